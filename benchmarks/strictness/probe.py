"""Sends rows through one proxy, and says in a few words what became of each.

Both ends are raw sockets; the upstream reads as a strict server would, and keeps what it got.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.strictness.rows import AnswerRow, RequestRow

_QUIET = 0.4  # seconds without a byte: nothing more will come
_CUT_WITHIN = 1.4  # the same within an answer: Envoy waits for a second before it closes a connection
_CLOSES_AFTER = 0.25  # seconds from an upstream's answer to its FIN
_NOTICED = 0.03  # seconds for a proxy to see that its upstream has closed

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_STATUS = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)[ \r]")
_HEAD = re.compile(rb"HTTP/1\.[01] (\d\d\d)[^\r\n]*\r\n((?:[^\r\n]*\r\n)*?)\r\n")
# What a proxy has to drop, or to write anew.
_OF_THE_HOP = frozenset(
    {b"host", b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings"}
    | {b"transfer-encoding", b"content-length", b"expect", b"http-referer", b"x-title"}
)


@dataclass
class Request:
    """As the upstream has read it."""

    start: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False


def read_requests(raw: bytes) -> list[Request]:
    """What a server finds in the bytes of one connection; only the last can be incomplete."""
    found: list[Request] = []
    while raw := raw.lstrip(b"\r\n"):
        head, end, raw = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = [
            (name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines[1:])
        ]
        request = Request(lines[0], fields)
        found.append(request)
        if not end:
            break
        if any(name == b"transfer-encoding" and b"chunked" in value.lower() for name, value in fields):
            raw = _read_chunks(request, raw)
        else:
            length = next((int(value) for name, value in fields if name == b"content-length" and value.isdigit()), 0)
            request.body, raw = raw[:length], raw[length:]
            request.complete = len(request.body) == length
        if not request.complete:
            break
    return found


def _read_chunks(request: Request, raw: bytes) -> bytes:
    while size := re.match(rb"([0-9a-fA-F]{1,15})[^\r\n]*\r\n", raw):
        raw = raw[size.end() :]
        length = int(size[1], 16)
        if not length:
            _, _, raw = (b"\r\n" + raw).partition(b"\r\n\r\n")
            request.complete = True
            break
        request.body += raw[:length]
        if raw[length : length + 2] != b"\r\n":
            break
        raw = raw[length + 2 :]
    return raw


class Upstream:
    """Answers the first request of each connection, and says no more on it."""

    def __init__(self) -> None:
        self.answer = _OK
        self.closes_after = 0.0
        self.connections: list[_Connection] = []
        self.port = 0

    async def start(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def hang_up(self) -> None:
        """Ends what is open. A proxy that waited for an answer may now send what it has kept back for behind it."""
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(_NOTICED)

    async def forget(self) -> None:
        """Ends what is open, so that the next row finds nothing of this one."""
        await self.hang_up()
        self.connections.clear()


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.raw = b""
        self.answered = self.continued = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.upstream.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        request = next(iter(read_requests(self.raw)), None)
        if self.answered or request is None:
            return
        if request.complete:
            self.answered = True
            self.transport.write(self.upstream.answer)
            asyncio.get_running_loop().call_later(self.upstream.closes_after, self.transport.close)
        elif (b"expect", b"100-continue") in request.fields and not self.continued:
            self.continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


@dataclass
class Told:
    """What a client has received."""

    raw: bytes = b""
    closed: bool = False
    statuses: list[int] = field(default_factory=list)


async def told(port: int, sent: bytes, *, whole: bool = False, method: str = "GET") -> Told:
    """Sends those bytes and listens until there is quiet, the end, or (with ``whole``) one whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    result = Told()
    try:
        writer.write(sent)
        with suppress(ConnectionError):
            await writer.drain()
        while not (whole and ending(result.raw, method, closed=False) == "whole"):
            # A proxy that waits for its upstream is quiet, too; that one closes soon.
            async with asyncio.timeout(_CUT_WITHIN + _CLOSES_AFTER if whole else _QUIET):
                piece = await reader.read(65536)
            if not piece:
                result.closed = True
                break
            result.raw += piece
    except TimeoutError:
        pass
    except ConnectionError:
        result.closed = True
    finally:
        writer.transport.abort()
    result.statuses = [int(match[1]) for match in _STATUS.finditer(result.raw)]
    return result


def without_interim(raw: bytes) -> bytes:
    """``raw`` less the 1xx answers that it begins with."""
    while (head := _HEAD.match(raw)) and head[1].startswith(b"1"):
        raw = raw[head.end() :]
    return raw


def ending(raw: bytes, method: str, *, closed: bool) -> str:
    """How far the first answer in ``raw`` has come: ``nothing``, ``begun``, ``cut`` or ``whole``."""
    raw = without_interim(raw)
    head = _HEAD.match(raw)
    if not head:
        return "cut" if closed and raw else "begun" if raw else "nothing"
    body = raw[head.end() :]
    fields = head[2].lower()
    if method == "HEAD" or head[1] in (b"204", b"304"):
        whole = True
    elif b"\r\ntransfer-encoding:" in b"\r\n" + fields:
        request = Request(b"", [])
        _read_chunks(request, body)
        whole = request.complete
    elif length := re.search(rb"(?:\A|\n)content-length: *(\d+)", fields):
        whole = len(body) >= int(length[1])
    else:
        whole = closed
    return "whole" if whole else "cut" if closed else "begun"


async def send_requests(port: int, upstream: Upstream, rows: Sequence[RequestRow]) -> list[str]:
    """The outcome of each row, at the proxy on ``port`` whose upstream that is."""
    outcomes = []
    upstream.answer, upstream.closes_after = _OK, 0.0
    for row in rows:
        result = await told(port, row.sent)
        await upstream.hang_up()
        seen = [read_requests(connection.raw) for connection in upstream.connections]
        outcomes.append(request_outcome(row, result, [request for requests in seen for request in requests]))
        await upstream.forget()
    return outcomes


def request_outcome(row: RequestRow, result: Told, seen: list[Request]) -> str:
    """What became of the first request of a row."""
    if any(b"/api/v1/smuggled " in request.start for request in seen if request.complete):
        return "forwards the hidden request"
    is_next = [b"/api/v1/next " in request.start for request in seen]
    first = next((request for request, n in zip(seen, is_next, strict=True) if not n), None)
    if first is None or not first.complete:
        if result.statuses and result.statuses[0] >= 400:
            on = ", and goes on" if any(is_next) or len(result.statuses) > 1 else ""
            return ("refuses in the middle" if first else "refuses") + on
        if result.closed and not result.statuses:
            return "closes in the middle" if first else "closes"
        return "waits" if not result.statuses else "answers by itself"
    if changed := list(_changes(row, first)):
        return "forwards, changed: " + ", ".join(changed)
    return (
        "forwards"
        if any(is_next) or not row.sent.endswith(b"/api/v1/next HTTP/1.1\r\nHost: localhost\r\n\r\n")
        else "forwards, and closes"
    )


def _changes(row: RequestRow, got: Request) -> list[str]:
    sent = row.sent.lstrip(b"\r\n")
    lines = sent.partition(b"\r\n\r\n")[0].split(b"\r\n")
    changes = []
    if got.start.split(b" ")[:1] != lines[0].split(b" ")[:1]:
        changes.append("method")
    target = re.sub(rb"\Ahttp://[^/]*", b"", lines[0].split(b" ")[1]) if lines[0].count(b" ") > 1 else b""
    if got.start.split(b" ")[1:2] != [target]:
        changes.append("target")
    named = b",".join(line.lower() for line in lines if line.lower().startswith(b"connection"))
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or name.lower() in _OF_THE_HOP or name.lower() in named:
            continue
        if (name.lower(), value.strip(b" \t")) not in got.fields:
            changes.append("a header")
            break
    if row.body is not None and got.body != row.body:
        changes.append("the body")
    return changes


async def send_answers(port: int, upstream: Upstream, rows: Sequence[AnswerRow]) -> list[str]:
    """The outcome of each row, at the proxy on ``port`` whose upstream that is."""
    outcomes = []
    upstream.closes_after = _CLOSES_AFTER
    for row in rows:
        upstream.answer = row.answer
        request = f"{row.method} /api/v1/x HTTP/1.1\r\nHost: localhost\r\n" + (
            "Content-Length: 0\r\n\r\n" if row.method in ("POST", "DELETE") else "\r\n"
        )
        result = await told(port, request.encode(), whole=True, method=row.method)
        outcomes.append(answer_outcome(row, result))
        await upstream.forget()
    return outcomes


def answer_outcome(row: AnswerRow, result: Told) -> str:
    """What the client got of a row's answer."""
    end = ending(result.raw, row.method, closed=result.closed)
    if end == "nothing":
        return "closes" if result.closed else "hangs"
    head = _HEAD.match(without_interim(result.raw))
    if not head:
        return "relays what is no HTTP"
    if head[1] in (b"500", b"502", b"503", b"504"):
        return "502"
    return {"whole": "relays", "cut": "cuts", "begun": "hangs within it"}[end]
