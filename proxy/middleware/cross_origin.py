"""Which web pages may send requests through this proxy.

Any page can make its visitor's browser send requests to localhost. Some it may send unasked (forms, images, beacons).
Where the proxy pays, only pages that are configured may; where it does not, each request would still be stamped in the
name of its user's app, so pages of the web may not, as with other programs that serve models on localhost. Browsers say
from where a request comes; other programs say nothing.
"""

import functools
import re
from collections.abc import Sequence

from starlette.types import Scope

from proxy.errors import CrossOrigin, FormBody
from proxy.headers import Fields, fields_of
from proxy.host_names import ip_address, is_localhost, is_loopback
from proxy.middleware.profile import profile_of
from proxy.middleware.rules import Rule

# The bodies that a page may send without a preflight (Fetch, "CORS-safelisted request-header").
_FORMS = frozenset({b"text/plain", b"application/x-www-form-urlencoded"})
_MULTIPART = b"multipart/form-data"
# Where the API, or OpenAI's that it follows, takes uploads.
_UPLOADS = frozenset({b"files", b"uploads", b"audio", b"images", b"videos"})

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^/:@\[\]]*)(?::[0-9]{1,5})?", re.IGNORECASE
)


def is_cross_origin(fields: Fields, allowed: Sequence[str]) -> bool:
    """Whether a browser sent this for a page whose origin is not ``allowed``.

    Our own origin has no pages that call the API, so an ``Origin`` is allowed or foreign; ``null`` is anybody's.
    Where there is none (images, scripts, links), ``Sec-Fetch-Site`` tells (Fetch Metadata, 2.4): ``same-site`` is
    still another port or name, ``none`` is the user's own doing.
    """
    if origins := fields[b"origin"]:
        return len(origins) > 1 or origins[0].decode("latin-1") not in allowed
    return any(site.lower() not in (b"same-origin", b"none") for site in fields[b"sec-fetch-site"])


@functools.lru_cache(64)
def is_local(origin: bytes) -> bool:
    """Whether an origin is a page of this machine, or no page of the web: an app's or an extension's.

    ``null`` is neither: a page of any site can make a frame whose origin is.
    """
    match = _ORIGIN.fullmatch(origin.decode("latin-1"))
    if match is None:
        return False
    host = match["host"].lower()
    # Other names for loopback stand in some hosts files only: elsewhere, whoever answers the network's names owns them.
    return (
        match["scheme"].lower() not in ("http", "https")
        or is_localhost(host)
        or (ip_address(host.strip("[]")) is not None and is_loopback(host))
    )


def is_foreign(fields: Fields, allowed: Sequence[str]) -> bool:
    """Whether a browser sent this for a page of the web, of an origin that is not ``allowed``.

    ``Host`` is one of ours here, so that a page of that name is of our own origin.
    """
    if "*" in allowed:
        return False
    origins = fields[b"origin"]
    if not origins:
        return any(site.lower() == b"cross-site" for site in fields[b"sec-fetch-site"])
    (origin,) = origins if len(origins) == 1 else (b"null",)
    is_own = origin.partition(b"://")[2] in fields[b"host"]
    return not (is_own or is_local(origin) or origin.decode("latin-1") in allowed)


def is_form(fields: Fields, raw_path: bytes) -> bool:
    """Whether the body is of a type that a page may send unasked, where the API does not need it."""
    types = {value.split(b";")[0].strip().lower() for value in fields[b"content-type"]}
    return bool(types & _FORMS) or (_MULTIPART in types and not _UPLOADS & set(raw_path.split(b"/")))


def refuse_foreign_pages(allowed: Sequence[str]) -> Rule:
    """A rule: pages of origins that are not ``allowed`` are 403, preflights included.

    Where the proxy pays, pages of this machine are among those; where it does not, they and apps may call it.
    """

    def refused(scope: Scope) -> None:
        is_refused = is_cross_origin if profile_of(scope).pays else is_foreign
        if is_refused(fields_of(scope), allowed):
            raise CrossOrigin

    return refused


def refuse_forms(scope: Scope) -> None:
    """A rule: where the proxy pays, a POST whose body any page may send is 415."""
    if scope["method"] == "POST" and profile_of(scope).pays and is_form(fields_of(scope), scope["raw_path"]):
        raise FormBody
