"""The live page: to whom requests are credited, and each request as it happens.

Its files are served as they are, from this package; nothing is asked of any other host, and nothing is kept.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.lifecycle import Lifecycle
from proxy.observe.feed import Feed
from proxy.pages.live.ask import Ask
from proxy.pages.live.events import EventStream
from proxy.pages.live.facts import setup
from proxy.pages.visitors import check_visitor
from proxy.settings.model import Settings

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = ("live.css", "live.js", "dom.js", "request.js", "ask.js", "picture.js", "icon.svg")

# Nothing but our own files, nothing inline, nowhere framed.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = [
    (b"Content-Security-Policy", _POLICY.encode("ascii")),
    (b"X-Frame-Options", b"DENY"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cache-Control", b"no-store"),
]


def live_page(settings: Settings, feed: Feed, lifecycle: Lifecycle, ask: ASGIApp) -> list[Route]:
    """The page ``/`` and what it needs, below ``/live/``; behind the access token where there is one.

    ``ask`` answers what the page asks OpenRouter.
    """
    told = setup(settings)
    read: dict[str, ASGIApp] = {
        "/": _file("index.html"),
        **{f"/live/{name}": _file(name) for name in _FILES},
        "/live/events": EventStream(feed, lifecycle, lambda: told),
        "/favicon.ico": _file("icon.svg"),  # asked for by browsers that show an answer which is no page of ours
    }
    token = settings.access_token
    return [
        *(Route(path, Private(app, token), methods=["GET"]) for path, app in read.items()),
        Route("/live/ask", Private(_endpoint(Ask(feed, settings, ask)), token), methods=["POST"]),
    ]


class Private:
    """An ASGI endpoint for whoever may look, with the headers that keep other pages out of it."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        check_visitor(scope["headers"], self.token)
        await self.app(scope, receive, send_sealed)


def _file(name: str) -> ASGIApp:
    content = (files(__package__) / "static" / name).read_bytes()
    media_type = _TYPES[name.rpartition(".")[2]]

    async def serve(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return _endpoint(serve)


def _endpoint(answer: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)

    return app
