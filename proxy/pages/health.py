"""Whether the process lives, and whether it takes requests: for whoever restarts it, and whoever sends to it."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.errors import Starting, Stopping
from proxy.headers import NOT_EMBEDDABLE
from proxy.lifecycle import Lifecycle

_HEADERS = {name.decode(): value.decode() for name, value in NOT_EMBEDDABLE}


def health(lifecycle: Lifecycle) -> list[Route]:
    """The pages ``/healthz`` and ``/readyz``."""

    async def readyz(request: Request) -> Response:
        if lifecycle.stopping:
            raise Stopping
        if lifecycle.starting:
            raise Starting
        return PlainTextResponse("ready\n", headers=_HEADERS)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def healthz(request: Request) -> Response:
    """Whether the process lives; says nothing about the upstream, which must not restart us when it is down."""
    return PlainTextResponse("ok\n", headers=_HEADERS)
