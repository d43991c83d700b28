"""The application: its paths, and the stations of a request as one list."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2 as httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.attribution import AttributionMiddleware
from proxy.credentials import CredentialsMiddleware
from proxy.cross_origin import CrossOriginMiddleware, SealMiddleware, UnsharedMiddleware, cors
from proxy.end_to_end import EndToEndMiddleware
from proxy.errors import ErrorMiddleware, Stopping
from proxy.forwarder import Forwarder, Timeouts
from proxy.guard import GuardMiddleware
from proxy.lifecycle import Lifecycle
from proxy.management import ManagementMiddleware
from proxy.observe.access import RecordMiddleware
from proxy.observe.redaction import Redaction
from proxy.settings import Settings
from proxy.upstream import open_transport


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """The proxy as an ASGI application. ``transport`` defaults to the one that the settings ask for; the app closes it.

    ``app.state.lifecycle`` is how the server tells it that it is stopping.
    """
    lifecycle = Lifecycle()
    opened = transport if transport is not None else open_transport(settings)
    timeouts = Timeouts(settings.connect_timeout, settings.response_timeout, settings.idle_timeout)
    forwarder = Forwarder(opened, settings.upstream_url, timeouts)

    key = settings.api_key
    key_guards = [
        Middleware(CrossOriginMiddleware, settings.allowed_origins),
        Middleware(ManagementMiddleware, settings.allow_management),
        *cors(settings.allowed_origins),
        Middleware(UnsharedMiddleware),
    ]

    # The way of a request, outermost first.
    stations = [
        Middleware(GuardMiddleware, lifecycle, settings.allowed_hosts),
        *(key_guards if key is not None else []),
        Middleware(EndToEndMiddleware),
        *([Middleware(CredentialsMiddleware, key, settings.access_token)] if key is not None else []),
        Middleware(AttributionMiddleware, settings.attribution, settings.attribution_mode, settings.extra_headers),
    ]

    async def readyz(request: Request) -> Response:
        if lifecycle.stopping:
            raise Stopping
        return PlainTextResponse("ready\n")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened:
            yield

    app = Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz)],
        middleware=[
            *([Middleware(SealMiddleware)] if key is not None else []),
            Middleware(RecordMiddleware, Redaction(settings.secrets)),
            Middleware(ErrorMiddleware),
        ],
        lifespan=lifespan,
    )
    # Not a `Mount`: its pattern works on the decoded path, and does not match one with a line break in it.
    app.router.redirect_slashes = False
    app.router.default = forwarder
    for station, args, kwargs in reversed(stations):
        app.router.default = station(app.router.default, *args, **kwargs)
    app.state.lifecycle = lifecycle
    return app


async def healthz(request: Request) -> Response:
    """Whether the process lives; says nothing about the upstream, which must not restart us when it is down."""
    return PlainTextResponse("ok\n")
