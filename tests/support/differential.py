"""Random exchanges, and what came of each at both ends, over one transport or another."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import httpx2 as httpx
from hypothesis import strategies as st

from proxy.settings.model import Settings
from proxy.upstream.opening import open_transport
from tests.support.http1 import chunk, message
from tests.support.outbound import Asked, connect_proxy
from tests.support.pieces import cut
from tests.support.proxies import IDENTITY
from tests.support.upstream import Upstream, UpstreamConnection

PATIENCE = 3.0  # seconds; an answer that takes longer never comes
OWN = message("HTTP/1.1 200 OK", "X-Own: 1", "Content-Length: 3", body=b"own")
"""The answer to the request after the random one: whatever that left behind must not take its place."""

HeaderList: TypeAlias = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Ask:
    """A request. Without a coding it has no body."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    coding: str | None
    pieces: tuple[bytes, ...]

    @property
    def fields(self) -> HeaderList:
        framing = {
            "length": [(b"Content-Length", b"%d" % sum(map(len, self.pieces)))],
            "chunked": [(b"Transfer-Encoding", b"chunked")],
            None: [],
        }[self.coding]
        return [(b"Host", b"upstream.test"), *self.headers, *framing]

    @property
    def wire(self) -> bytes:
        """What must reach the upstream."""
        head = b"%b %b HTTP/1.1\r\n" % (self.method, self.target)
        head += b"".join(b"%b: %b\r\n" % pair for pair in self.fields) + b"\r\n"
        if self.coding == "chunked":
            return head + b"".join(map(chunk, self.pieces)) + b"0\r\n\r\n"
        return head + b"".join(self.pieces)

    def request(self, url: str) -> httpx.Request:
        async def stream() -> AsyncIterator[bytes]:
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(0)

        return httpx.Request(
            self.method.decode(),
            url,
            headers=self.fields,
            stream=_Stream(stream()) if self.coding else httpx.ByteStream(b""),
            extensions={"target": self.target, "timeout": {"connect": PATIENCE, "write": PATIENCE}},
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


NEXT = Ask(b"GET", b"/next", (), None, ())


@dataclass(frozen=True)
class Answer:
    """What the upstream sends, and how it goes on. ``meant`` is what a sound one says: status, headers, body."""

    wire: bytes
    cuts: tuple[int, ...]
    closes: bool
    meant: tuple[int, tuple[tuple[bytes, bytes], ...], bytes] | None


@dataclass(frozen=True)
class Outcome:
    """What came of an exchange: the request at the upstream; at this end, the answer as far as it came, and its end."""

    sent: bytes
    status: int | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    error: str | None
    next_is_own: bool

    @property
    def whole(self) -> bool:
        return self.error is None


# What is drawn.

_token = st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1, max_size=8).map(str.encode)
_name = st.one_of(st.sampled_from([b"X-A", b"x-a", b"Set-Cookie", b"Content-Type", b"X_A"]), _token)
_value = st.one_of(
    st.sampled_from([b"", b"a", b"a, b", b"chunked", b"\xe9\xff", b"a\tb", b'"x; y"', b": :", b"a  b"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12).map(
        lambda text: text.encode("latin-1").strip(b"\xa0\x85")
    ),
)
_FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"host", b"upgrade", b"trailer", b"expect", b"te"}
_field = st.tuples(_name.filter(lambda name: name.lower() not in _FRAMING), _value)
_fields = st.lists(_field, max_size=4).map(tuple)
_target = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12).map(
    lambda text: b"/" + text.encode()
)
_bytes = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 70_000]),
)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"]))
    coding = draw(st.sampled_from([None, "length", "chunked"])) if method not in (b"GET", b"HEAD") else None
    pieces = draw(st.lists(_bytes.filter(bool), max_size=4)) if coding else []
    return Ask(method, draw(_target), draw(_fields), coding, tuple(pieces))


def _chunks(draw: st.DrawFn, body: bytes) -> bytes:
    pieces = [piece for piece in cut(body, draw(st.lists(st.integers(0, max(len(body), 1)), max_size=3))) if piece]
    wire = b""
    for piece in pieces:
        size = b"%x" % len(piece)
        size = draw(st.sampled_from([size, size.upper(), b"0" + size]))
        wire += size + draw(st.sampled_from([b"", b"", b";a=b", b';a="b"'])) + b"\r\n" + piece + b"\r\n"
    trailers = draw(st.one_of(st.just(()), _fields))
    return wire + b"0\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in trailers) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn, method: bytes) -> Answer:
    interim = draw(st.lists(st.sampled_from([b"100 Continue\r\n", b"103 Early Hints\r\nLink: </x>\r\n"]), max_size=2))
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 206, 301, 304, 402, 429, 500, 529, 599]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    reason = draw(st.sampled_from([b"OK", b"", b"Not Found", b"caf\xe9"]))
    fields = [*draw(_fields)]
    bodiless = method == b"HEAD" or status in (204, 304)
    body = draw(_bytes)
    framing = draw(st.sampled_from(["length", "chunked", "close"] if version == b"1.1" else ["length", "close"]))
    keeps = draw(st.booleans())
    if framing == "length":
        fields.append((draw(st.sampled_from([b"Content-Length", b"content-length"])), b"%d" % len(body)))
    elif framing == "chunked":
        fields.append((b"Transfer-Encoding", b"chunked"))
    if draw(st.booleans()):
        fields.append((b"Connection", b"keep-alive" if keeps and framing != "close" else b"close"))
    fields = draw(st.permutations(fields))
    wire = b"".join(b"HTTP/1.1 %b\r\n" % head for head in interim)
    wire += b"HTTP/%b %d %b\r\n" % (version, status, reason)
    wire += b"".join(b"%b: %b\r\n" % pair for pair in fields) + b"\r\n"
    if not bodiless:
        wire += _chunks(draw, body) if framing == "chunked" else body
    meant = (status, tuple(fields), b"" if bodiless else body)
    spoilt = draw(st.one_of(st.none(), st.none(), _spoil(wire)))
    closes = framing == "close" or not keeps or spoilt is not None
    whole = wire if spoilt is None else spoilt
    cuts = draw(st.one_of(st.just(()), st.lists(st.integers(0, len(whole)), max_size=6), st.just(range(len(whole)))))
    few = tuple(cuts) if len(whole) < 2000 else tuple(cuts)[:6]
    return Answer(whole, few, closes, meant if spoilt is None else None)


_LINES = [
    *(b"Content-Length: 1", b"Content-Length: 5, 5", b"Content-Length: +1", b"Content-Length: 99999999999999999999"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity"),
    *(
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b" folded",
        b"X : a",
        b"X-Nul: \x00",
        b"X-Ctl: \x01",
        b": a",
        b"no colon",
    ),
    *(b"X-LF: a\nX-B: b", b"X-CR: a\rb", b"Trailer: X-A", b"Keep-Alive: timeout=5"),
]


def _spoil(wire: bytes) -> st.SearchStrategy[bytes]:
    """``wire`` with one thing wrong in it, perhaps."""
    at = st.integers(0, min(len(wire), 400))
    odd = st.sampled_from(
        [b"\r", b"\n", b" ", b"\t", b"\0", b":", b";", b"0", b"f", b"-", b"\xff", b"\r\n", b"\r\n\r\n"]
    )
    first, _, rest = wire.partition(b"\r\n")
    return st.one_of(
        at.map(lambda n: wire[:n]),
        st.builds(lambda n, byte: wire[:n] + byte + wire[n + 1 :], at, odd),
        st.builds(lambda n, more: wire[:n] + more + wire[n:], at, odd),
        st.builds(lambda line: first + b"\r\n" + line + b"\r\n" + rest, st.sampled_from(_LINES)),
        st.sampled_from([OWN, b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n", b"\0"]).map(lambda extra: wire + extra),
        st.sampled_from([b"HTTP/2 200 OK", b"HTTP/1.1 099 Low", b"HTTP/1.1 600 High", b"HTTP/1.1 101 Switching"]).map(
            lambda line: line + b"\r\n" + rest
        ),
    )


exchanges = asks().flatmap(lambda ask: st.tuples(st.just(ask), answers(ask.method)))


# What comes of it.


@dataclass
class _Plan:
    ask: Ask
    answer: Answer
    sent: bytes = b""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class World:
    """An upstream in the clear, one behind TLS, an outbound proxy before the first; all follow one plan."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.plain = Upstream(self._follow)
        self.tls = Upstream(self._follow, tls=tls)
        self.outbound = Upstream(connect_proxy(Asked()))
        self._plan: _Plan

    async def __aenter__(self) -> Self:
        for each in (self.plain, self.tls, self.outbound):
            await each.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self.outbound, self.tls, self.plain):
            await each.stop()

    async def _follow(self, connection: UpstreamConnection) -> None:
        plan = self._plan
        if not plan.over.is_set():
            while len(plan.sent) < len(plan.ask.wire):
                data = await connection.take(len(plan.ask.wire) - len(plan.sent))
                if not data:
                    return
                plan.sent += data
            try:
                await connection.send(*cut(plan.answer.wire, plan.answer.cuts))
            finally:
                plan.over.set()
            if plan.answer.closes:
                return
        while True:
            await connection.take_until(b"\r\n\r\n")
            await connection.send(OWN)

    def ours(self) -> dict[str, tuple[str, httpx.AsyncBaseTransport]]:
        """Our transport, in every way; each with the URL that it calls."""
        ways = [("direct", self.plain, "none"), ("tls", self.tls, "none"), ("tunnel", self.plain, self.outbound.url)]
        made: dict[str, tuple[str, httpx.AsyncBaseTransport]] = {}
        for name, upstream, outbound in ways:
            own = {"upstream_url": upstream.url, "outbound_proxy": outbound, "warm_connections": 0}
            settings: dict[str, Any] = {**IDENTITY, **own}
            made[name] = upstream.url, open_transport(Settings(**settings))
        return made

    def oracle(self) -> tuple[str, httpx.AsyncBaseTransport]:
        """httpx2's own."""
        return self.plain.url, httpx.AsyncHTTPTransport(trust_env=False)

    async def outcome(self, way: tuple[str, httpx.AsyncBaseTransport], ask: Ask, answer: Answer) -> Outcome:
        url, transport = way
        plan = self._plan = _Plan(ask, answer)
        async with transport:
            status, headers, body, error = await _exchange(transport, ask.request(url))
            if len(plan.sent) == len(ask.wire):
                await plan.over.wait()
            for _ in range(8):  # turns of the loop in which all of it arrives
                await asyncio.sleep(0)
            plan.over.set()
            own = await _exchange(transport, NEXT.request(url))
        for upstream in (self.plain, self.tls, self.outbound):
            for connection in upstream.connections:
                await connection.ended()
            await asyncio.gather(*(connection.script for connection in upstream.connections))
            upstream.connections.clear()
        return Outcome(plan.sent, status, headers, body, error, own[2:] == (b"own", None))


async def _exchange(
    transport: httpx.AsyncBaseTransport, request: httpx.Request
) -> tuple[int | None, tuple[tuple[bytes, bytes], ...], bytes, str | None]:
    """Status, headers and body as far as they came, and the kind of error that ended them."""
    status: int | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    body = b""
    response: httpx.Response | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            response = await transport.handle_async_request(request)
            status, headers = response.status_code, response.headers.raw
            stream: Any = response.stream
            async for piece in stream:
                body += piece
    except (httpx.TransportError, TimeoutError) as error:
        return status, tuple(headers), body, type(error).__name__
    finally:
        if response is not None:
            await response.aclose()
    return status, tuple(headers), body, None
