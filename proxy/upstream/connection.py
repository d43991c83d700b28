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
from collections.abc import Callable
from typing import cast

import httptools
import httpx2 as httpx

from proxy.headers import HeaderList, list_members, values

_HIGH_WATER = 64 * 1024  # bytes of body held for a slow reader before the socket is left unread
_MAX_HEAD = 128 * 1024  # bytes of header lines before an answer, interim answers included
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class State(enum.Enum):
    """Where a connection stands; drawn above."""

    IDLE = "idle"
    AWAITING = "awaiting"
    READING = "reading"
    COMPLETE = "complete"
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Its methods are for the exchange that it carries, and for the pool that owns it.

    Raises `httpx.RemoteProtocolError` (not HTTP/1.1, or ended too early), `httpx.ReadError` (reset) and
    `httpx.WriteError` (closed while being written to).
    """

    def __init__(self, on_closed: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_closed = on_closed
        self._transport: asyncio.Transport
        self._state = State.IDLE
        self._method = ""
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._write_gate: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._reset()
        self.exchanges = 0

    def _reset(self) -> None:
        self._status = 0
        self._headers: HeaderList = []
        self._head_size = 0
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
        if self._state is not State.IDLE:
            raise httpx.WriteError("the connection is closed")
        self._reset()
        self._method = method
        self._state = State.AWAITING
        self.exchanges += 1

    def write(self, data: bytes) -> None:
        if self._state is State.CLOSED:
            raise httpx.WriteError("the connection is closed")
        self._transport.write(data)

    @property
    def write_paused(self) -> bool:
        return self._write_gate is not None

    async def drain(self) -> None:
        """Wait until the upstream has taken enough of what was written."""
        if self._write_gate is not None:
            await asyncio.shield(self._write_gate)
        if self._state is State.CLOSED:
            raise httpx.WriteError("the connection is closed")

    async def head(self) -> tuple[int, HeaderList]:
        """Wait for the final answer's status and header list."""
        while self._state is State.AWAITING:
            await self._wait()
        if not self._status:
            raise self._error or httpx.ReadError("the connection was closed")
        return self._status, self._headers

    async def read(self) -> bytes:
        """Wait for the next piece of the body, as it came; ``b""`` is its proper end."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._state is not State.READING:
                return b""
            await self._wait()
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
        if self._state is State.COMPLETE and self._keep_alive and self.request_sent and not self._chunks:
            self._state = State.IDLE
            return True
        self.close()
        return False

    def stale(self) -> bool:
        """Whether something has arrived that the loop has not seen yet: on an idle connection, its end."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close at once. Never politely: what is half sent must not look whole (RFC 9112, 9.5)."""
        if self._state is not State.CLOSED:
            self._closed()
            self._transport.abort()

    @property
    def closed(self) -> bool:
        return self._state is State.CLOSED

    def _in_exchange(self) -> bool:
        return self._state in (State.AWAITING, State.READING)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _closed(self) -> None:
        if self._in_exchange() and self._error is None:
            self._error = httpx.ReadError("the connection was closed")
        self._state = State.CLOSED
        self._wake()
        self.resume_writing()
        self._on_closed(self)

    def _complete(self) -> None:
        self._state = State.COMPLETE
        self._wake()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if not self._in_exchange():
            # Nobody asked for these bytes: given to the next exchange, they would be its answer. (The pool of
            # httpcore2 2.16 does that.)
            self.close()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
            if self._state is State.COMPLETE and not self._ends_with_message(data):
                self._keep_alive = False
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
            return bool(self._chunks) and data.endswith(self._chunks[-1])
        return data.endswith(b"\r\n\r\n") and not data.endswith(b"\r\n\r\n\r\n")

    def eof_received(self) -> None:
        if self._state is State.IDLE:
            self.close()
        elif self._state is State.READING and self._until_close:
            self._keep_alive = False
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is State.CLOSED:
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
        if self._state is State.COMPLETE:
            self._keep_alive = False  # another message behind the answer: see data_received

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state is not State.AWAITING:
            return  # a trailer
        self._head_size += len(name) + len(value) + 4
        if self._head_size > _MAX_HEAD:
            raise httpx.RemoteProtocolError("too many header bytes")
        if _CONTROL.search(value):
            raise httpx.RemoteProtocolError("control byte in a header")
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._state is not State.AWAITING:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = []  # interim answers are for this hop
            self._head_size += 32  # so that a flood of empty ones ends too
            if self._head_size > _MAX_HEAD:
                raise httpx.RemoteProtocolError("too many interim answers")
            return
        self._until_close, self._length = _framing(self._method, status, self._headers)
        if not 200 <= status <= 599:
            raise httpx.RemoteProtocolError("status out of range")
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            raise httpx.RemoteProtocolError("not HTTP/1.x")
        self._keep_alive = self._parser.should_keep_alive() and not self._until_close
        self._status = status
        self._state = State.READING
        self._wake()
        if self._method == "HEAD":
            # llhttp cannot know that no body follows, so it goes on waiting for one: start afresh.
            self._parser = httptools.HttpResponseParser(self)
            self._complete()

    def on_body(self, body: bytes) -> None:
        if self._state is not State.READING:
            self._keep_alive = False  # a body behind an answer to HEAD
            return
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._state is State.READING:
            self._complete()


def _framing(method: str, status: int, headers: HeaderList) -> tuple[bool, bool]:
    """Whether the connection's end ends this body, and whether its length does (RFC 9112, 6.3).

    Raises for a transfer coding other than exactly ``chunked``: removing the header would change the body.
    """
    codings = list(list_members(values(headers, b"transfer-encoding")))
    if codings and codings != [b"chunked"]:
        raise httpx.RemoteProtocolError("unknown transfer coding")
    if method == "HEAD" or status in (204, 304):
        return False, False
    lengths = values(headers, b"content-length")
    return not (codings or lengths), any(int(length) for length in lengths)
