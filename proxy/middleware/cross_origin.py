"""What web pages may do with a proxy that holds a key.

Any page can make its visitor's browser send requests to localhost. Some it may send unasked (forms, images, beacons),
and a paid key would answer them. Browsers say from where such a request comes; other programs say nothing.
"""

from collections.abc import Awaitable, Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import CrossOrigin, FormBody
from proxy.headers import SEAL, HeaderList, not_shared_with_pages, values, without
from proxy.middleware.errors import ErrorMiddleware

# The bodies that a page may send without a preflight (Fetch, "CORS-safelisted request-header").
_FORMS = frozenset({b"text/plain", b"application/x-www-form-urlencoded"})
_MULTIPART = b"multipart/form-data"
# Where the API, or OpenAI's that it follows, takes uploads.
_UPLOADS = frozenset({b"files", b"uploads", b"audio", b"images", b"videos"})

_SEALED = frozenset(name.lower() for name, _ in SEAL)


def is_cross_origin(headers: HeaderList, allowed: Sequence[str]) -> bool:
    """Whether a browser sent this for a page whose origin is not ``allowed``.

    Our own origin has no pages that call the API, so an ``Origin`` is allowed or foreign; ``null`` is anybody's.
    Where there is none (images, scripts, links), ``Sec-Fetch-Site`` tells (Fetch Metadata, 2.4): ``same-site`` is
    still another port or name, ``none`` is the user's own doing.
    """
    if origins := values(headers, b"origin"):
        return len(origins) > 1 or origins[0].decode("latin-1") not in allowed
    return any(site.lower() not in (b"same-origin", b"none") for site in values(headers, b"sec-fetch-site"))


def is_form(headers: HeaderList, raw_path: bytes) -> bool:
    """Whether the body is of a type that a page may send unasked, where the API does not need it."""
    types = {value.split(b";")[0].strip().lower() for value in values(headers, b"content-type")}
    return bool(types & _FORMS) or (_MULTIPART in types and not _UPLOADS & set(raw_path.split(b"/")))


class CrossOriginMiddleware:
    """Refuses what comes from pages of origins that are not allowed, preflights included."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str] = ()) -> None:
        self.app = app
        self.allowed = tuple(allowed)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            if is_cross_origin(scope["headers"], self.allowed):
                raise CrossOrigin
            if scope["method"] == "POST" and is_form(scope["headers"], scope["raw_path"]):
                raise FormBody
        return self.app(scope, receive, send)


def cors(allowed: Sequence[str]) -> list[Middleware]:
    """The stations that let pages of the ``allowed`` origins read the answers, our refusals behind them included."""
    if not allowed:
        return []
    shared = Middleware(
        CORSMiddleware,
        allow_origins=tuple(allowed),
        allow_methods=("*",),
        allow_headers=("*",),
        expose_headers=("*",),
        allow_private_network=True,
    )
    return [shared, Middleware(ErrorMiddleware)]


class UnsharedMiddleware:
    """Drops what the upstream says about pages that may read its answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        def send_unshared(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": not_shared_with_pages(message["headers"])}
            return send(message)

        return self.app(scope, receive, send_unshared if scope["type"] == "http" else send)


class SealMiddleware:
    """Marks every answer as nothing that a page of another origin may embed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        def send_sealed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*without(message["headers"], _SEALED), *SEAL]}
            return send(message)

        return self.app(scope, receive, send_sealed if scope["type"] == "http" else send)
