"""One end of a TCP (or TLS) connection, with nothing between the test and the bytes."""

import asyncio
import enum
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from tests.support.waiting import PATIENCE, News

T = TypeVar("T")


class End(enum.StrEnum):
    """How the other side ended its half of the connection."""

    FIN = enum.auto()
    RESET = enum.auto()
    OURS = enum.auto()  # it had not, when we closed it ourselves


class GoneError(ConnectionError):
    """The other side ended the connection while more was expected from it, or on its way to it."""


class Connection(asyncio.Protocol):
    """Collects what arrives, without being asked, so that an end is noticed in whatever state the test is.

    >>> await connection.send(b"GET / HTTP/1.1\\r\\n\\r\\n")
    >>> await connection.take_until(b"\\r\\n")
    b'HTTP/1.1 200 OK\\r\\n'
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.buffer = bytearray()
        """What has arrived and was not taken yet."""
        self.end: End | None = None
        self.sent = 0
        """Bytes handed to `send` (or `write`) and accepted by the transport."""
        self.news = News()
        self._writable = True
        self._lost = False
        self._left = False
        self._half_open = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._half_open = transport.get_extra_info("ssl_object") is None  # TLS has no halves

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.news.tell()

    def eof_received(self) -> bool:
        self._ended(End.FIN)
        return self._half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        # uvloop's TLS (0.23) has no other word for a FIN without close_notify than a loss without an error.
        self._ended(End.RESET if exc else End.OURS if self._left else End.FIN)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.news.tell()

    def _ended(self, end: End) -> None:
        self.end = self.end or end
        self.news.tell()

    # Sending

    def write(self, data: bytes) -> None:
        """Hands the bytes over without waiting for the other side to take them."""
        self.transport.write(data)
        self.sent += len(data)

    async def send(self, *pieces: bytes) -> None:
        """Sends each piece as soon as the one before is in the kernel; GoneError if the other side has left."""
        for piece in pieces:
            if self.transport.is_closing():
                raise GoneError("the connection is closed")
            self.write(piece)
            await self._until(lambda: self._writable or self.transport.is_closing(), "the peer to read")
            # One turn of the loop for a peer in this process: pieces arrive as pieces.
            await asyncio.sleep(0)

    async def trickle(self, data: bytes) -> None:
        """Sends one byte at a time."""
        await self.send(*(data[i : i + 1] for i in range(len(data))))

    # Receiving

    async def take_until(self, marker: bytes) -> bytes:
        """Everything up to and including `marker`; GoneError if the connection ends before it."""
        await self._until(lambda: marker in self.buffer or self.end, repr(marker))
        at = self.buffer.find(marker)
        if at < 0:
            raise GoneError(f"{self.end} before {marker!r}; there is: {bytes(self.buffer)!r}")
        return self._taken(at + len(marker))

    async def take(self, at_most: int = 1 << 30) -> bytes:
        """What there is, as soon as there is something; empty when the connection has ended."""
        await self._until(lambda: self.buffer or self.end, "more bytes")
        return self._taken(min(at_most, len(self.buffer)))

    async def rest(self) -> bytes:
        """Everything until the other side ends the connection."""
        await self.ended()
        return self._taken(len(self.buffer))

    async def ended(self, *, within: float = PATIENCE) -> End:
        """How the other side ended its half, once it has."""
        return await self._until(lambda: self.end, "the end of the connection", within=within)

    def hold(self) -> None:
        """Reads nothing more from the socket (so also notices no end) until `resume`."""
        self.transport.pause_reading()

    def resume(self) -> None:
        self.transport.resume_reading()

    def _taken(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    async def _until(self, ready: Callable[[], T | None], what: str, *, within: float = PATIENCE) -> T:
        return await self.news.until(
            ready, what, within=within, state=lambda: f"end={self.end}, {bytes(self.buffer[:2000])!r}"
        )

    # Ending

    def half_close(self) -> None:
        """Ends our half (FIN); the other may still send."""
        self.transport.write_eof()

    def close(self) -> None:
        """Ends both halves (FIN), once what was sent is in the kernel."""
        self._left = True
        self.transport.close()

    def reset(self) -> None:
        """Ends the connection with RST."""
        self._left = True
        if not self._lost:
            reset_transport(self.transport)

    async def aclose(self) -> None:
        """For the owner: closes whatever is still open, at once."""
        self._left = True
        if not self._lost:  # else asyncio 3.11 may fail in abort()
            with suppress(AttributeError):  # 3.11.2 does so a turn of the loop before it tells of the end, too
                self.transport.abort()
        await asyncio.sleep(0)

    def small_buffers(self, size: int = 192 * 1024) -> None:
        """Keeps the kernel from swallowing megabytes on our behalf, for tests of back-pressure.

        Below some segments of loopback (64 KiB each), every further one may wait for the kernel's persist timer.
        """
        limit_buffers(self.transport, size)


def limit_buffers(transport: asyncio.Transport, size: int) -> None:
    """What the kernel holds for it, in either direction."""
    with socket_of(transport) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def reset_transport(transport: asyncio.Transport) -> None:
    """Ends the connection with RST."""
    with socket_of(transport) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def socket_of(transport: asyncio.Transport) -> socket.socket:
    """Another handle of its socket, to be closed."""
    # uvloop's transport hides its socket's options: they belong to the open file, so a duplicate serves.
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
