"""What web pages may do with a proxy that holds a key.

Any page can make its visitor's browser send requests to localhost. Some it may send unasked (forms, images, beacons),
and a paid key would answer them. Browsers say from where such a request comes; other programs say nothing.
"""

from collections.abc import Callable, Sequence

from starlette.types import Scope

from proxy.errors import Answered, CrossOrigin, FormBody
from proxy.headers import SEAL, HeaderList, not_shared_with_pages, values, without
from proxy.middleware.profile import profile_of
from proxy.middleware.rules import AnswerRule, Rule

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


def refuse_foreign_pages(allowed: Sequence[str]) -> Rule:
    """A rule: where the proxy pays, pages of origins that are not ``allowed`` are 403, preflights included."""

    def refused(scope: Scope) -> Scope:
        if profile_of(scope).pays and is_cross_origin(scope["headers"], allowed):
            raise CrossOrigin
        return scope

    return refused


def refuse_forms(scope: Scope) -> Scope:
    """A rule: where the proxy pays, a POST whose body any page may send is 415."""
    if scope["method"] == "POST" and profile_of(scope).pays and is_form(scope["headers"], scope["raw_path"]):
        raise FormBody
    return scope


def answer_preflights(scope: Scope) -> Scope:
    """A rule: where the proxy pays, it says itself what a page of an allowed origin may send (Fetch, 3.3.2)."""
    if scope["method"] != "OPTIONS" or not profile_of(scope).pays:
        return scope
    headers = scope["headers"]
    if not values(headers, b"origin") or not values(headers, b"access-control-request-method"):
        return scope
    permissions: HeaderList = [
        (b"Access-Control-Allow-Methods", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (b"Access-Control-Max-Age", b"600"),
    ]
    if asked := values(headers, b"access-control-request-headers"):
        permissions.append((b"Access-Control-Allow-Headers", b", ".join(asked)))
    if values(headers, b"access-control-request-private-network") == [b"true"]:
        permissions.append((b"Access-Control-Allow-Private-Network", b"true"))
    raise Answered(200, [*permissions, *SEAL, (b"Content-Length", b"0")])


def shared_with_pages(allowed: Sequence[str]) -> Callable[[HeaderList], HeaderList]:
    """What lets the page that has sent a request's headers read the answer, if its origin is ``allowed``."""
    known = frozenset(origin.encode() for origin in allowed)

    def shared(headers: HeaderList) -> HeaderList:
        origins = values(headers, b"origin") if known else []
        if len(origins) == 1 and origins[0] in known:
            return [
                (b"Access-Control-Allow-Origin", origins[0]),
                (b"Access-Control-Expose-Headers", b"*"),
                (b"Vary", b"Origin"),
            ]
        return []

    return shared


def share_answer(allowed: Sequence[str]) -> AnswerRule:
    """A rule for answers: where the proxy pays, it alone says who may read them, and nobody may embed them."""
    shared = shared_with_pages(allowed)

    def ruled(headers: HeaderList, scope: Scope) -> HeaderList:
        if not profile_of(scope).pays:
            return headers
        return [*without(not_shared_with_pages(headers), _SEALED), *shared(scope["headers"]), *SEAL]

    return ruled
