"""The application: its paths, and the stations of a request as one list.

A station that has nothing to do after the next one is no coroutine: it returns the next one's. So is a ``send`` that
only changes a message. Whoever waits in the end resumes through fewer frames, for each piece of each stream.
"""

from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager

import httpx2 as httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.forward.forwarder import Forwarder, Timeouts
from proxy.lifecycle import Lifecycle
from proxy.middleware.attribution import AttributionMiddleware
from proxy.middleware.credentials import CredentialsMiddleware
from proxy.middleware.cross_origin import CrossOriginMiddleware, SealMiddleware, UnsharedMiddleware, cors
from proxy.middleware.end_to_end import EndToEndMiddleware
from proxy.middleware.errors import ErrorMiddleware
from proxy.middleware.guard import GuardMiddleware
from proxy.middleware.management import ManagementMiddleware
from proxy.middleware.record import RecordMiddleware
from proxy.observe.redaction import Redaction
from proxy.pages.health import health
from proxy.settings.model import Settings
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

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened:
            yield

    line: ASGIApp = forwarder
    for station, args, kwargs in reversed(stations):
        line = station(line, *args, **kwargs)
    pages = health(lifecycle)
    app = _Application(
        routes=pages,
        middleware=[
            *([Middleware(SealMiddleware)] if key is not None else []),
            Middleware(RecordMiddleware, Redaction(settings.secrets)),
            Middleware(ErrorMiddleware),
            Middleware(_Fork, line, {page.path for page in pages}),
        ],
        lifespan=lifespan,
    )
    app.state.lifecycle = lifecycle
    return app


class _Application(Starlette):
    """Starlette without its outermost layer, which answers bugs: `RecordMiddleware` does, and logs them.

    It is called for each request, and has nothing to do after its stations: as they are, it is no coroutine.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        return self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = ExceptionMiddleware(self.router)
        for station, args, kwargs in reversed(self.user_middleware):
            app = station(app, *args, **kwargs)
        return app


class _Fork:
    """Sends what is for a page of ours to Starlette's router, and all else down the line to the upstream."""

    def __init__(self, app: ASGIApp, line: ASGIApp, pages: Collection[str]) -> None:
        self.app = app
        self.line = line
        self.pages = frozenset(pages)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_ours = scope["type"] != "http" or scope["path"] in self.pages
        return (self.app if is_ours else self.line)(scope, receive, send)
