"""The page ``/metrics``, for Prometheus."""

import asyncio

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.errors import Overloaded
from proxy.observe.exposition import exposition
from proxy.observe.metrics import Metrics
from proxy.pages.visitors import check_visitor


def metrics_page(metrics: Metrics, token: SecretStr | None) -> list[Route]:
    """The page ``/metrics``; with a ``token``, which a scraper presents as Bearer or as the password of Basic."""

    async def show(request: Request) -> Response:
        check_visitor(request.scope["headers"], token)
        try:
            # In a thread: for hundreds of profiles it takes longer than any event should wait.
            text, media_type = await asyncio.to_thread(exposition, metrics.scrape())
        except (RuntimeError, OSError, ImportError) as error:  # no thread to be had, or no file
            raise Overloaded from error
        return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return [Route("/metrics", show)]
