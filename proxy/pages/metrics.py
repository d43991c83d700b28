"""The page ``/metrics``, for Prometheus."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.errors import Overloaded
from proxy.observe.exposition import exposition
from proxy.observe.metrics import Metrics
from proxy.pages.visitors import check_visitor, known_to
from proxy.settings.model import Settings


def metrics_page(metrics: Metrics, settings: Settings) -> list[Route]:
    """The page ``/metrics``; with an access token, which a scraper presents as Bearer or as the password of Basic.

    Where only profiles have tokens, nobody need present one, and is told the names of none: only of the profile whose
    token is presented (promise 33 in docs/wire.md).
    """
    tokens = {name: own.access_token for name, own in settings.profiles.items() if own.access_token is not None}
    hides_names = bool(tokens) and settings.access_token is None

    async def show(request: Request) -> Response:
        headers = request.scope["headers"]
        check_visitor(headers, settings.access_token)
        hidden = settings.profiles.keys() - known_to(headers, tokens) if hides_names else ()
        try:
            # In a thread: for hundreds of profiles it takes longer than any event should wait.
            text, media_type = await asyncio.to_thread(exposition, metrics.scrape(), hidden)
        except RuntimeError as error:
            raise Overloaded(Overloaded.no_thread) from error
        except (OSError, ImportError) as error:  # no file to be had
            raise Overloaded from error
        return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return [Route("/metrics", show)]
