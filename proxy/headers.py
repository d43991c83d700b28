"""Pure functions on header lists.

A header list is an ordered list of ``(name, value)`` byte pairs, as it stands on the wire. Order, duplicates and
bytes that are not text carry meaning (RFC 9110, section 5.3), so nothing here turns into a dict.

Names are compared in *folded* form: lower case, and with ``_`` read as ``-``, because servers behind a CGI-like
gateway cannot tell ``X_Title`` from ``X-Title``.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView
from itertools import product
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:  # the commands that only look at settings take these lists, too, and no server
    from starlette.types import Scope

T = TypeVar("T")

HeaderList = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",  # RFC 9110, 7.6.1: for this hop only, and so is everything that it names
        b"proxy-connection",  # never a standard, still sent by old clients; means Connection
        b"keep-alive",  # RFC 2068, 19.7.1.1: parameters of this connection
        b"proxy-authenticate",  # RFC 9110, 11.7.1: between this client and this proxy
        b"proxy-authorization",  # RFC 9110, 11.7.2: the same, in the other direction
        b"te",  # RFC 9110, 10.1.4: what this hop can decode
        b"trailer",  # RFC 9110, 6.6.2: announces trailers, which are dropped
        b"transfer-encoding",  # RFC 9112, 6.1: the framing of this hop
        b"upgrade",  # RFC 9110, 7.8: of this connection
        b"http2-settings",  # RFC 7540, 3.2.1: belongs to an h2c upgrade
    }
)

# What tells OpenRouter about the machines before us: our users did not ask to be traced. A browser sends cookies
# of every program on localhost to every port there (RFC 6265, 8.5), so those would leak sessions of others.
# Beside RFC 7239's header, the names by which proxies, CDNs and platforms tell a client's address.
PRIVATE = frozenset(
    {
        *(b"forwarded", b"x-forwarded", b"via", b"cookie"),  # and all that begin with X-Forwarded-
        *(b"x-real-ip", b"x-client-ip", b"client-ip", b"x-cluster-client-ip", b"x-remote-ip", b"x-remote-addr"),
        *(b"x-original-forwarded-for", b"x-originating-ip", b"x-proxyuser-ip", b"proxy-client-ip"),
        *(b"cf-connecting-ip", b"cf-connecting-ipv6", b"cf-pseudo-ipv4", b"true-client-ip"),  # Cloudflare, Akamai
        *(b"fastly-client-ip", b"fly-client-ip", b"do-connecting-ip", b"x-nf-client-connection-ip"),
        *(b"x-azure-clientip", b"x-azure-socketip", b"x-appengine-user-ip", b"x-vercel-forwarded-for"),
        *(b"x-envoy-external-address", b"wl-proxy-client-ip"),
    }
)

# By which frameworks take another path, or another method, than those of the request line: past the rules, in the name
# of the proxy's key. Nobody who calls OpenRouter needs them.
MOVES_THE_REQUEST = frozenset(
    {
        *(b"x-original-url", b"x-rewrite-url", b"x-override-url", b"x-original-uri", b"x-original-path"),  # IIS, Zend
        *(b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-original-method"),
        *(b"x-middleware-subrequest", b"x-middleware-rewrite", b"x-matched-path"),  # Next.js (CVE-2025-29927)
        *(b"x-invoke-path", b"x-now-route-matches"),
    }
)

# `Expect: 100-continue` is answered on this hop, as RFC 9110, 10.1.1 allows. Passed on, it would let an upstream
# answer before it takes the body that we send anyway: the root of the "0.CL" request smuggling.
ANSWERED_HERE = frozenset({b"expect"})

# About the connection to openrouter.ai or its domain, which is not the one that the client has; and the header
# by which a client recognises our own errors, which therefore nobody else may send.
UPSTREAM_ONLY = frozenset({b"alt-svc", b"strict-transport-security", b"set-cookie", b"x-proxy-error"})

# What a server in front of us (nginx, Apache, Lighttpd) would do in its own name, or a browser in that of our origin.
OBEYED = frozenset({b"x-sendfile", b"x-lighttpd-send-file", b"clear-site-data", b"service-worker-allowed"})
_OBEYED_PREFIX = b"x-accel-"  # nginx: a file to send, a rate, an expiry; but the one that only concerns buffering
_HARMLESS = b"x-accel-buffering"

# By which the upstream tells browsers what pages may read. It does not know that the key is ours, not the page's.
SHARED_WITH_PAGES = frozenset({b"timing-allow-origin"})  # and all that begin with Access-Control-

# Marks an answer as nothing that a page of another origin may embed.
NOT_EMBEDDABLE = [
    (b"Cross-Origin-Resource-Policy", b"same-origin"),  # no image, script or frame of another origin (Fetch, 3.7)
    (b"X-Content-Type-Options", b"nosniff"),  # an answer is never taken for a script
]


_BEARER = re.compile(rb"\Abearer[ \t]+", re.IGNORECASE)  # RFC 9110, 11.1: the scheme's name in any case
_NAMES = 1024  # that are remembered
_LONGEST_NAME = 64  # bytes of them

_REQUEST_DROPPED = HOP_BY_HOP | PRIVATE | ANSWERED_HERE | {b"host"}
_RESPONSE_DROPPED = HOP_BY_HOP | UPSTREAM_ONLY | OBEYED


class _ByName(Generic[T]):
    """What ``say`` says of a header name: most come again and again. As `functools.lru_cache`, at a third of its cost.

    When there are too many, which only odd clients can bring about, it forgets them all, and goes on. Who asks often
    looks into ``known`` by himself.
    """

    def __init__(self, say: Callable[[bytes], T]) -> None:
        self._say = say
        self.known: dict[bytes, T] = {}

    def __call__(self, name: bytes) -> T:
        said = self.known.get(name)
        if said is None:
            said = self._say(name)
            if len(self.known) >= _NAMES:
                self.known.clear()
            if len(name) <= _LONGEST_NAME:
                self.known[name] = said
        return said


folded = _ByName(lambda name: name.lower().replace(b"_", b"-"))
"""The form of a header name in which it is compared."""


def values(headers: HeaderList, name: bytes) -> list[bytes]:
    """All values of ``name`` (given in lower case), in order. Exact names only: ``_`` is not ``-`` here."""
    found = []
    for key, value in headers:  # Python 3.11 makes a function call of a comprehension
        if key.lower() == name:
            found.append(value)
    return found


class Fields:
    """The header lines of a message as they came, by name in lower case: for all who look for a few of them."""

    __slots__ = ("_by_name", "_lines", "_repeated")

    def __init__(self, lines: HeaderList, by_name: dict[bytes, bytes] | None = None) -> None:
        """Those of ``lines`` with names in lower case, as ASGI has them."""
        self._lines = lines
        self._by_name = dict(lines) if by_name is None else by_name
        self._repeated = len(self._by_name) < len(lines)

    @classmethod
    def spelled_anyhow(cls, lines: HeaderList) -> Self:
        """Those of ``lines`` with names in any case."""
        return cls(lines, {name.lower(): value for name, value in lines})

    def __getitem__(self, name: bytes) -> list[bytes]:
        """All values of ``name``, in order; none, if it is not there."""
        value = self._by_name.get(name)
        if value is None:
            return []
        return values(self._lines, name) if self._repeated else [value]

    def are_of(self, lines: HeaderList) -> bool:
        """Whether they were read from this very list, and not from one of which it has been made."""
        return self._lines is lines

    @property
    def names(self) -> KeysView[bytes]:
        return self._by_name.keys()


def fields_of(scope: "Scope") -> Fields:
    """Those of the request that ``scope`` belongs to; its list may have been changed since."""
    fields: Fields = scope["fields"]
    return fields


def spelled(names: Iterable[bytes]) -> frozenset[bytes]:
    """All that `folded` makes ``names`` of, in lower case."""
    parts = [name.split(b"-") for name in names]
    return frozenset(
        part[0] + b"".join(map(b"".join, zip(hyphens, part[1:], strict=True)))
        for part in parts
        for hyphens in product((b"-", b"_"), repeat=len(part) - 1)
    )


CREDENTIALS = spelled((b"authorization", b"x-api-key"))
"""By which a caller says who it is, in every spelling; they are one thing."""


def serialized(first_line: bytes, headers: HeaderList) -> bytes:
    """A head as it goes out; raises `ValueError` for a line break or NUL in any of its lines."""
    lines = [first_line, *map(b": ".join, headers)]
    text = b" ".join(lines)
    # Asked by `in`, bytes first take what they look for for a number, and that costs an exception (CPython 3.11).
    if text.find(b"\n") >= 0 or text.find(b"\r") >= 0 or text.find(b"\0") >= 0:
        raise ValueError("line break or NUL in a message's head")
    return b"\r\n".join([*lines, b"", b""])


def without(headers: HeaderList, names: Collection[bytes]) -> HeaderList:
    """``headers`` less every line whose folded name is in ``names``."""
    known = folded.known
    return [line for line in headers if (known.get(line[0]) or folded(line[0])) not in names]


def list_members(lines: list[bytes]) -> Iterator[bytes]:
    """The members of a comma-separated list that may span several lines (RFC 9110, 5.6.1), stripped and lower-cased."""
    for line in lines:
        for member in line.lower().split(b","):
            if member := member.strip(b" \t"):
                yield member


def end_to_end_request(headers: HeaderList, fields: Fields) -> HeaderList:
    """What of a client's request may reach the upstream, with the body's framing stated anew.

    ``Content-Length`` survives being named by ``Connection``: whether there is a body is not the client's to hide.
    The upstream's ``Host`` is added by the forwarder.
    """
    kept = _kept(headers, fields[b"connection"], _ends_with_request)
    if is_chunked(fields):
        kept.append((b"Transfer-Encoding", b"chunked"))
    return kept


def is_chunked(fields: Fields) -> bool:
    """Whether the length of a request's body was not stated."""
    codings = fields[b"transfer-encoding"]
    return bool(codings) and any(list_members(codings))


def body_framing(fields: Fields) -> tuple[int, bool]:
    """Length of a request's body, and whether it is chunked. Without either header there is none (RFC 9112, 6.3)."""
    if is_chunked(fields):
        return 0, True
    lengths = fields[b"content-length"]
    return (int(lengths[0]) if lengths else 0), False


def end_to_end_response(headers: HeaderList) -> HeaderList:
    """What of the upstream's response may reach the client; the server frames the body anew."""
    return _kept(headers, values(headers, b"connection"), _ends_with_response)


def not_shared_with_pages(headers: HeaderList) -> HeaderList:
    """``headers`` less what would let web pages of other origins read the answer (Fetch, 3.3.3)."""
    return [
        (name, value)
        for name, value in headers
        if (key := folded(name)) not in SHARED_WITH_PAGES and not key.startswith(b"access-control-")
    ]


@_ByName
def _ends_with_request(name: bytes) -> bool:
    key = folded(name)
    return key in _REQUEST_DROPPED or key.startswith(b"x-forwarded-")


@_ByName
def _ends_with_response(name: bytes) -> bool:
    key = folded(name)
    return key in _RESPONSE_DROPPED or (key.startswith(_OBEYED_PREFIX) and key != _HARMLESS)


_USUAL_OPTIONS = [b"keep-alive"]  # which names nothing but what ends here by its own name
# By an option of `Connection`: whether there is a body is not for one hop to say, and the other one is our own by then.
_NOT_TO_BE_NAMED = {b"content-length", _HARMLESS}


def _kept(headers: HeaderList, options: list[bytes], ends_here: _ByName[bool]) -> HeaderList:
    """``headers`` less those that end here: by their names, or named by an option of ``Connection``."""
    known = ends_here.known
    try:
        kept = [line for line in headers if not known[line[0]]]
    except KeyError:
        kept = [line for line in headers if not ends_here(line[0])]
    if options and options != _USUAL_OPTIONS:
        named = {folded(option) for option in list_members(options)} - _NOT_TO_BE_NAMED
        if not all(map(ends_here, named)):
            kept = without(kept, named)
    return kept


def presented(value: bytes) -> bytes:
    """What a credential's header presents: its value without ``Bearer``."""
    return _BEARER.sub(b"", value.strip(b" \t"))


_BASIC = re.compile(rb"[ \t]*basic[ \t]+([A-Za-z0-9+/_-]+)=*[ \t]*", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648, 5


def user_and_password(value: bytes) -> bytes:
    """What a value of the scheme ``Basic`` holds (RFC 7617, 2); nothing, if it is none."""
    match = _BASIC.fullmatch(value)
    if match is None:
        return b""
    encoded = match[1][:-1] if len(match[1]) % 4 == 1 else match[1]  # one letter more says nothing
    return urlsafe_b64decode(encoded.translate(_URL_SAFE) + b"==")  # more padding than is needed does no harm
