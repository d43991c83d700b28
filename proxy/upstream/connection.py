"""One HTTP/1.1 connection to the upstream, parsed by llhttp (through httptools).

The life of a connection, with the one who makes each step::

                 start()                head complete              message complete
    IDLE ──────(exchange)──► AWAITING ────(upstream)──► READING ──────(upstream)──► COMPLETE
     ▲                          │                          │                           │
     └──────────────────────────┼───── release() (exchange), if it can be used again ──┘
                                │
    any ── close() (exchange, pool), the upstream's close, or a breach of HTTP ──► CLOSED

Whoever waits is woken by the next event, and sees in this order: what has arrived, the end, the error.
"""

import asyncio
import enum
import re
import select
import ssl
from collections.abc import Callable
from typing import cast

import httptools
import httpx2 as httpx

from proxy.headers import HeaderList

_HIGH_WATER = 64 * 1024  # bytes of body held for a slow reader before the socket is left unread
_MAX_HEAD = 128 * 1024  # bytes of header lines before an answer, interim answers included
_MAX_FRAMING = 256 * 1024  # bytes that bring no byte of a body: endless lines, interim answers, trailers
_MAX_LENGTH = 2**63 - 1  # bytes of a body; beyond, a client that counts in signed numbers sees a negative length
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BLANK_LINE_AT_END = re.compile(rb"[^\r\n]\r\n\r\n\Z")


class State(enum.Enum):
    """Where a connection stands; drawn above."""

    IDLE = "idle"
    AWAITING = "awaiting"
    READING = "reading"
    COMPLETE = "complete"
    CLOSED = "closed"


# Looked up in its class, a member of an enum costs ten times as much (CPython 3.11, enum.EnumType.__getattr__).
IDLE, AWAITING, READING, COMPLETE, CLOSED = State


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Its methods are for the exchange that it carries, and for the pool that owns it.

    Raises `httpx.RemoteProtocolError` (not HTTP/1.1, or ended too early), `httpx.ReadError` (reset) and
    `httpx.WriteError` (closed while being written to).
    """

    def __init__(self, on_closed: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_closed = on_closed
        self._transport: asyncio.Transport
        self._state = IDLE
        self._method = ""
        self._waiter: asyncio.Future[None] | None = None
        self._write_gate: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._poll: select.poll | None = None
        self._reset()
        self.exchanges = 0
        self.idle_since = 0.0  # by the wall clock; the pool says so

    def _reset(self) -> None:
        # A parser for each exchange: llhttp 9 keeps what a trailer said of framing, and waits for a body after HEAD.
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: HeaderList = []
        self._head_size = 0
        self._framing_size = 0
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._error: Exception | None = None
        self._until_close = False
        self._length = False
        self._keep_alive = False
        self.request_sent = False  # the exchange says so, once the last byte of the request is written
        self.heard = False  # any byte of an answer

    # For the exchange

    def start(self, method: str) -> None:
        """Begin an exchange on an idle connection."""
        if self._state is not IDLE:
            raise httpx.WriteError("the connection is closed")
        self._reset()
        self._method = method
        self._state = AWAITING
        self.exchanges += 1

    def write(self, data: bytes) -> None:
        if self._state is CLOSED:
            raise httpx.WriteError("the connection is closed")
        self._transport.write(data)

    @property
    def write_paused(self) -> bool:
        return self._write_gate is not None

    async def drain(self) -> None:
        """Wait until the upstream has taken enough of what was written."""
        if self._write_gate is not None:
            await asyncio.shield(self._write_gate)
        if self._state is CLOSED:
            raise httpx.WriteError("the connection is closed")

    async def head(self) -> tuple[int, HeaderList]:
        """Wait for the final answer's status and header list."""
        while self._state is AWAITING:
            await self._wait()
        if not self._status:
            raise self._error or httpx.ReadError("the connection was closed")
        return self._status, self._headers

    async def read(self) -> bytes:
        """Wait for the next piece of the body, as it came. Raises `StopAsyncIteration` at its proper end."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._state is not READING:
                raise StopAsyncIteration
            await self._wait()
        return self._take()

    def whole_body(self) -> bytes | None:
        """The answer's body, if all of it is here and nothing of it has been read; None otherwise."""
        if self._state is not COMPLETE or self._error is not None:
            return None
        return self._take()

    def _take(self) -> bytes:
        """All that has come of the body and was not taken yet; there is room for more then."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._buffered = 0
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def fail(self, error: Exception) -> None:
        """End the exchange with ``error``."""
        if self._error is None:
            self._error = error
        self.close()

    # For the pool

    def release(self) -> bool:
        """End the exchange; whether the connection is idle now and can carry another one, or closed."""
        # A request that is still on its way out was answered early, and may never be read to its end.
        sent = self.request_sent and not self._transport.get_write_buffer_size()
        if self._state is COMPLETE and self._keep_alive and sent and not self._chunks:
            self._state = IDLE
            return True
        self.close()
        self._headers, self._chunks, self._error = [], [], None  # an error refers to its frames, and so to all this
        return False

    def stale(self) -> bool:
        """Whether something has arrived that the loop has not seen yet: on an idle connection, most likely its end."""
        if self._transport.is_closing():  # seen, and to be told a turn of the loop later
            return True
        if self._poll is None:
            return bool(select.select([self._transport.get_extra_info("socket")], [], [], 0)[0])
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close at once. Never politely: what is half sent must not look whole (RFC 9112, 9.5)."""
        if self._state is not CLOSED:
            self._closed()
            self._transport.abort()

    @property
    def closed(self) -> bool:
        return self._state is CLOSED

    @property
    def awaiting(self) -> bool:
        """Whether an exchange is under way whose answer has not begun."""
        return self._state is AWAITING

    def _in_exchange(self) -> bool:
        return self._state in (AWAITING, READING)

    def _wait(self) -> asyncio.Future[None]:
        """For the one who waits: done with the next event."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _closed(self) -> None:
        if self._in_exchange() and self._error is None:
            self._error = httpx.ReadError("the connection was closed")
        self._state = CLOSED
        del self._parser  # they refer to each other: what a broken upstream has filled it with is freed now
        self._wake()
        self.resume_writing()
        self._on_closed(self)

    def _complete(self) -> None:
        self._state = COMPLETE
        self._wake()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if not self._in_exchange():
            # Nobody asked for these bytes: given to the next exchange, they would be its answer. (The pool of
            # httpcore2 2.16 does that.)
            self.close()
            return
        if not self.heard:
            self.heard = True
            if not data.startswith(b"H"):  # llhttp skips line breaks, and takes RTSP for HTTP
                self.fail(httpx.RemoteProtocolError("not HTTP"))
                return
        self._framing_size += len(data)
        try:
            self._parser.feed_data(data)
            if self._state is COMPLETE and not self._ends_with_message(data):
                self._keep_alive = False
            elif self._framing_size > _MAX_FRAMING:
                self.fail(httpx.RemoteProtocolError("too many bytes without a body"))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._in_exchange():
                self.close()  # the answer was complete; the rest is none of its bytes
            else:
                cause = error.__context__ if isinstance(error.__context__, httpx.RemoteProtocolError) else error
                self.fail(httpx.RemoteProtocolError(str(cause)))

    def _ends_with_message(self, data: bytes) -> bool:
        """Whether ``data``, in which the answer came to its end, surely holds nothing behind it.

        llhttp tells of anything but line breaks, which it skips between messages.
        """
        if self._length:
            last = self._chunks[-1] if self._chunks else b""
            return bool(last.strip(b"\r\n")) and data.endswith(last)
        return bool(_BLANK_LINE_AT_END.search(data, len(data) - 5))

    def eof_received(self) -> None:
        if self._state is IDLE:
            self.close()
        elif self._state is READING and self._until_close and self._ended_by_peer():
            self._keep_alive = False
            self._complete()

    def _ended_by_peer(self) -> bool:
        """Whether it was the upstream that ended the connection: with TLS, anyone on the way can send a FIN.

        RFC 9112, 9.8: without close_notify, a body that lasts until the close is not complete. Neither asyncio nor
        uvloop tell; OpenSSL does: after close_notify it reads the end, and without it, it wants more.
        """
        ssl_object: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        try:
            return ssl_object is None or ssl_object.read(1) == b""
        except ssl.SSLError:
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is CLOSED:
            return
        if self._in_exchange() and self._error is None:
            if exc is None:
                self._error = httpx.RemoteProtocolError("the upstream closed the connection before the end")
            else:
                self._error = httpx.ReadError("the connection was reset")
        self._closed()

    def pause_writing(self) -> None:
        if self._write_gate is None:
            self._write_gate = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._write_gate is not None:
            self._write_gate.set_result(None)
            self._write_gate = None

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self._state is COMPLETE:
            self._keep_alive = False  # another message behind the answer: see data_received

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state is not AWAITING:
            return  # a trailer
        self._head_size += len(name) + len(value) + 4
        if self._head_size > _MAX_HEAD:
            raise httpx.RemoteProtocolError("too many header bytes")
        if _CONTROL.search(value):
            raise httpx.RemoteProtocolError("control byte in a header")
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._state is not AWAITING:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = []  # interim answers are for this hop
            return
        if not 200 <= status <= 599:
            raise httpx.RemoteProtocolError("status out of range")
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise httpx.RemoteProtocolError("not HTTP/1.x")
        self._until_close, self._length = _framing(self._method, status, version, self._headers)
        self._keep_alive = self._parser.should_keep_alive() and not self._until_close
        self._status = status
        self._state = READING
        self._wake()
        if self._method == "HEAD":  # llhttp cannot know that no body follows
            self._complete()

    def on_body(self, body: bytes) -> None:
        if self._state is not READING:
            self._keep_alive = False  # a body behind an answer to HEAD
            return
        self._framing_size = 0
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._state is READING:
            self._complete()


def _framing(method: str, status: int, version: str, headers: HeaderList) -> tuple[bool, bool]:
    """Whether the connection's end ends this body, and whether its length does (RFC 9112, 6.3).

    llhttp has refused a length that is not one number, or beside a transfer coding. This refuses, in words that a
    lenient reader may read otherwise, a coding that is not exactly ``chunked``, and any in HTTP/1.0 (6.1).
    """
    codings: list[bytes] = []
    lengths: list[int] = []
    for name, value in headers:
        key = name.lower()
        if key == b"content-length":
            lengths.append(int(value))
        elif key == b"transfer-encoding":
            codings.append(value.strip(b" ").lower())
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise httpx.RemoteProtocolError("unknown transfer coding")
    if lengths and max(lengths) > _MAX_LENGTH:
        raise httpx.RemoteProtocolError("impossible length")
    if method == "HEAD" or status in (204, 304):
        return False, False
    return not (codings or lengths), any(lengths)
