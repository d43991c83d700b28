"""Which web pages may read an answer, and what a browser may make of one.

Where the proxy pays, only it says who may read an answer, and nobody may embed one. Where it does not, that is the
upstream's business, and only answers of our own are our concern: each page may read those, as their text is the help.
"""

from collections.abc import Callable, Sequence

from starlette.types import Scope

from proxy.errors import Answered
from proxy.headers import NOT_EMBEDDABLE, HeaderList, fields_of, not_shared_with_pages, values, without
from proxy.middleware.profile import profile_of
from proxy.middleware.rules import AnswerRule

_NOT_EMBEDDABLE_NAMES = frozenset(name.lower() for name, _ in NOT_EMBEDDABLE)
# Where a browser puts an answer that it navigates to (Fetch, "request destination").
_DOCUMENTS = frozenset({b"document", b"iframe", b"frame", b"fencedframe", b"embed", b"object"})
_NOSNIFF = frozenset({b"x-content-type-options"})
_SANDBOX = [(b"Content-Security-Policy", b"sandbox"), (b"X-Content-Type-Options", b"nosniff")]


def permissions(scope: Scope) -> HeaderList | None:
    """What a page is told that asks what it may send (Fetch, 3.3.2): anything. None for a request that does not ask."""
    headers = scope["headers"]
    if scope["method"] != "OPTIONS" or not values(headers, b"origin"):
        return None
    if not values(headers, b"access-control-request-method"):
        return None
    told: HeaderList = [
        (b"Access-Control-Allow-Methods", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (b"Access-Control-Max-Age", b"600"),
    ]
    if asked := values(headers, b"access-control-request-headers"):
        told.append((b"Access-Control-Allow-Headers", b", ".join(asked)))
    if values(headers, b"access-control-request-private-network") == [b"true"]:
        told.append((b"Access-Control-Allow-Private-Network", b"true"))
    return [*told, *NOT_EMBEDDABLE, (b"Content-Length", b"0")]


def answer_preflights(scope: Scope) -> None:
    """A rule: where the proxy pays, it says itself what a page may send that has come this far."""
    if profile_of(scope).pays and (told := permissions(scope)) is not None:
        raise Answered(200, told)


def readable(allowed: Sequence[str], *, by_anyone: bool) -> Callable[[HeaderList], HeaderList]:
    """What lets the page that has sent a request's headers read the answer, if it is ``by_anyone`` or ``allowed``."""
    known = frozenset(origin.encode() for origin in allowed)

    def shared(headers: HeaderList) -> HeaderList:
        origins = values(headers, b"origin") if by_anyone or known else []
        if len(origins) == 1 and (by_anyone or origins[0] in known):
            return [
                (b"Access-Control-Allow-Origin", origins[0]),
                (b"Access-Control-Expose-Headers", b"*"),
                (b"Vary", b"Origin"),
            ]
        return []

    return shared


def share_answer(allowed: Sequence[str]) -> AnswerRule:
    """A rule for answers: where the proxy pays, pages of ``allowed`` origins may read them, and nobody embed them."""
    shared = readable(allowed, by_anyone=False)

    def ruled(headers: HeaderList, scope: Scope) -> HeaderList:
        if not profile_of(scope).pays:
            return headers
        return [
            *without(not_shared_with_pages(headers), _NOT_EMBEDDABLE_NAMES),
            *shared(scope["headers"]),
            *NOT_EMBEDDABLE,
        ]

    return ruled


def sandbox(headers: HeaderList, scope: Scope) -> HeaderList:
    """A rule for answers: what a browser navigates to runs nothing in our origin, which the live page has as well.

    Browsers without Fetch Metadata, and all of them towards a name without TLS, tell only by what they accept.
    """
    fields = fields_of(scope)
    if destinations := fields[b"sec-fetch-dest"]:
        is_document = destinations[0].lower() in _DOCUMENTS
    else:
        is_document = any(b"text/html" in value for value in fields[b"accept"])
    return [*without(headers, _NOSNIFF), *_SANDBOX] if is_document else headers
