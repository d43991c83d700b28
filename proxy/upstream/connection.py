"""One HTTP/1.1 connection to the upstream; `proxy.upstream.parser` reads what it says.

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
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import cast

import httpx2 as httpx

from proxy.upstream.parser import END, Head, ResponseParser
from proxy.upstream.tls import TlsTransport, ended_by_peer

_HIGH_WATER = 64 * 1024  # bytes of body held for a slow reader before the socket is left unread
_CLOSED_EARLY = "the upstream closed the connection before the end"
_SOONER = 1.0  # seconds before the upstream closes it: a request must not meet its FIN on the way
_NO_LINGER = struct.pack("ii", 1, 0)
_NO_LIMITS: Mapping[str, float | None] = {}


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

    Raises `httpx.RemoteProtocolError` (not HTTP/1.1, or ended too early), `httpx.ReadError` (reset),
    `httpx.WriteError` (closed while being written to), and what its watch ends it with.
    """

    def __init__(self, on_closed: Callable[["Connection"], None]) -> None:
        self._on_closed = on_closed
        self._transport: asyncio.Transport
        self._state = IDLE
        self._parser = ResponseParser()
        self._write_gate: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._poll: select.poll | None = None
        self._reset()
        self.loop = self._loop = asyncio.get_running_loop()
        self.opened_at = self._loop.time()
        self.exchanges = 0
        self.idle_since = 0.0  # by the wall clock; the pool says so
        self._timeouts = _NO_LIMITS
        # Since the watch looked: a final head, a piece of a body, or a write. No interim answer, and no half of a head.
        self.moved = False
        self.taken = 0  # bytes, by the upstream; the watch says so

    def _reset(self) -> None:
        self._waiter: asyncio.Future[Head] | None = None
        self._reader: asyncio.Future[bytes] | None = None  # for the next piece of the body
        self._head: Head | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._error: Exception | None = None
        self.request_sent = False  # the exchange says so, once the last byte of the request is written
        self.heard = False  # any byte of an answer
        # By the loop's clock; the watch says so.
        self.waits_since: float | None = None
        self.suspect_since: float | None = None
        self.unheard_since: float | None = None

    # For the exchange

    def start(self, method: str, timeouts: Mapping[str, float | None] = _NO_LIMITS) -> None:
        """Begin an exchange on an idle connection, with those ``timeouts``: see `limit`."""
        if self._state is not IDLE:
            raise httpx.WriteError("the connection is closed")
        self._reset()
        self._timeouts = timeouts
        self._parser.begin(method)
        self._state = AWAITING
        self.exchanges += 1

    def write(self, data: bytes) -> None:
        if self._state is CLOSED:
            raise httpx.WriteError("the connection is closed")
        self.moved = True
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

    def head(self) -> Awaitable[Head]:
        """The final answer's status and header list; no coroutine of its own, as for `read`."""
        waiter: asyncio.Future[Head] = self._loop.create_future()
        self._waiter = waiter
        self._wake()
        return waiter

    def read(self) -> Awaitable[bytes]:
        """The next piece of the body, as it came; raises `StopAsyncIteration` at its proper end, or when awaited.

        No coroutine of its own, for each piece of each stream: a future is what would be waited for anyway.
        """
        reader: asyncio.Future[bytes] = self._loop.create_future()
        self._reader = reader
        if self._chunks or self._error is not None or self._state is not READING:
            self._give(reader)
        return reader

    def release_buffer(self) -> None:
        """Give back the memory that is for writing: an answer may stream for hours."""
        if isinstance(self._transport, TlsTransport):
            self._transport.release_buffer()

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

    # For the pool and its watch

    @property
    def limit(self) -> float | None:
        """How many seconds the present wait may last; None: no limit, or it is the client who takes its time.

        ``write`` is for the upstream to take some of an upload, ``response`` for its answer's head after the request's
        last byte, and ``read`` for the next piece of a body, while nothing moves in either direction.
        """
        timeouts = self._timeouts
        if self._state is READING:
            return None if self._reader is None else timeouts.get("read")
        if self._state is AWAITING and self.request_sent:
            return timeouts.get("response", timeouts.get("read"))
        return timeouts.get("write") if self._state is AWAITING and self.write_paused else None

    @property
    def socket(self) -> socket.socket:
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    def give_up(self) -> None:
        """End the exchange on a path that is gone. What the kernel still repeats must not arrive when it is back."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.fail(httpx.ReadError("the path to the upstream is gone"))

    def read_on(self) -> None:
        """Read what the loop may not tell of.

        If data and a reset have come together, uvloop calls the reader once, and watches the socket no more (0.23,
        `UVPoll._fatal_error`): who has read the data has not heard of the reset.
        """
        if isinstance(self._transport, TlsTransport):
            self._transport.read_ready()

    def release(self) -> bool:
        """End the exchange; whether the connection is idle now and can carry another one, or closed."""
        # A request that is still on its way out was answered early, and may never be read to its end.
        sent = self.request_sent and not self._transport.get_write_buffer_size()
        if self._state is COMPLETE and self._parser.reusable and sent and not self._chunks:
            self._state = IDLE
            return True
        self.close()
        self._head, self._chunks, self._error = None, [], None  # an error refers to its frames, and so to all this
        return False

    @property
    def usable_until(self) -> float | None:
        """The loop's time at which the upstream will close it, as its last answer said; None if it did not say."""
        kept_for = self._parser.kept_for
        return None if kept_for is None else self._loop.time() + kept_for - _SOONER

    def stale(self) -> bool:
        """Whether something has arrived that the loop has not seen yet: on an idle connection, most likely its end."""
        if self._transport.is_closing():  # seen, and to be told a turn of the loop later
            return True
        if self._poll is None:
            return bool(select.select([self._transport.get_extra_info("socket")], [], [], 0)[0])
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close at once; with TLS, with close_notify, unless a request is half sent: that must not look whole.

        RFC 9112, 9.8: a client must send it before it closes.
        """
        if self._state is CLOSED:
            return
        half_sent = self._state is not IDLE and not self.request_sent
        self._closed()
        # The loops' own TLS would wait for the other side's, for up to half a minute.
        if isinstance(self._transport, TlsTransport) and not half_sent:
            self._transport.close()
        else:
            self._transport.abort()

    @property
    def closed(self) -> bool:
        return self._state is CLOSED

    def _in_exchange(self) -> bool:
        return self._state in (AWAITING, READING)

    def _wake(self) -> None:
        """Let the one who waits have what there is now."""
        if self._reader is not None:
            self._give(self._reader)
        elif self._waiter is not None and self._state is not AWAITING:
            waiter, self._waiter = self._waiter, None
            if waiter.done():  # cancelled
                return
            if self._head is not None:
                waiter.set_result(self._head)
            else:
                waiter.set_exception(self._error or httpx.ReadError("the connection was closed"))

    def _give(self, reader: asyncio.Future[bytes]) -> None:
        """Give ``reader`` what has arrived, or the end, or the error; nothing, if there is none of them yet."""
        if not reader.done():  # cancelled
            if self._chunks:
                reader.set_result(self._take())
            elif self._error is not None:
                reader.set_exception(self._error)
            elif self._state is not READING:
                reader.set_exception(StopAsyncIteration())
            else:
                return
        self._reader = None

    def _closed(self) -> None:
        if self._in_exchange() and self._error is None:
            self._error = httpx.ReadError("the connection was closed")
        self._state = CLOSED
        self._parser.forget()
        self._wake()
        self.resume_writing()
        self._on_closed(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._state is not READING and self._state is not AWAITING:
            # Nobody asked for these bytes: given to the next exchange, they would be its answer. (The pool of
            # httpcore2 2.16 does that.)
            self.close()
            return
        self.heard = True
        events = self._parser.feed(data)
        reader = self._reader
        if reader is not None and len(events) == 1 and type(events[0]) is bytes and not reader.done():
            # The usual step of a stream: one piece, for one who waits for it. Nothing else is here then (`_give`).
            self.moved = True
            self._reader = None
            reader.set_result(events[0])
            return
        for event in events:
            if type(event) is bytes:
                self.moved = True
                self._chunks.append(event)
                self._buffered += len(event)
            elif type(event) is Head:
                self._head = event
                self._state = READING
                self.moved = True
            elif event is END:
                self._state = COMPLETE
            elif isinstance(event, Exception):
                self.fail(event)
                return
        if self._buffered > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        if self._state is IDLE:
            self.close()
        elif self._state is READING and self._parser.until_close and ended_by_peer(self._transport):
            self._state = COMPLETE
            self._wake()
        elif self._in_exchange():
            # No answer can come any more. The loop's own transport would first wait until the rest of an upload is
            # taken, by an upstream that may have ceased to read.
            self.fail(httpx.RemoteProtocolError(_CLOSED_EARLY))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is CLOSED:
            return
        if self._in_exchange() and self._error is None:
            if exc is None:
                self._error = httpx.RemoteProtocolError(_CLOSED_EARLY)
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
