"""TLS on a socket that the loop only watches: OpenSSL reads and writes the descriptor itself.

It costs as much CPU as uvloop's own TLS, which copies each record through two memory BIOs (26 and 27 µs for a relayed
event, in one run), but no 256 KiB for each connection; a handshake that is given up ends at once, where uvloop 0.23 may
keep it for a minute; and it tells an end that the other side meant from one that it did not. It needs a loop with
``add_reader``, which Windows' default one is not.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_RECORD = 16 * 1024  # bytes of plaintext in a record at most (RFC 8446, 5.1): one read takes it whole
_RECORDS_A_TURN = 8  # read in a row before other connections have their turn
_HIGH_WATER = 64 * 1024  # bytes that wait to be sent; asyncio's own limits
_LOW_WATER = 16 * 1024


def can_watch_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``loop`` has ``add_reader``: all have, but for Windows' default one."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


async def shake_hands(plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """``plain``, connected and non-blocking, as TLS; owns it from now on. Raises `OSError`, of which TLS's are part."""
    loop = asyncio.get_running_loop()
    try:
        plain.getpeername()  # raises after a reset, with which `wrap_socket` would lose its socket (CPython 3.11)
        wrapped = context.wrap_socket(
            plain,
            server_hostname=host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,  # an end without close_notify may be anyone's on the way: see `TlsTransport`
        )
    except BaseException:
        plain.close()
        raise
    try:
        while (wants := _step(wrapped)) is not None:
            if wants is ssl.SSLWantReadError:
                await _ready(wrapped, loop.add_reader, loop.remove_reader)
            else:
                await _ready(wrapped, loop.add_writer, loop.remove_writer)
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def _step(wrapped: ssl.SSLSocket) -> type[ssl.SSLError] | None:
    """One step of the handshake: what it waits for, if it is not done."""
    try:
        wrapped.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
        return type(wants)
    except ssl.SSLEOFError:
        raise ConnectionAbortedError("closed within the TLS handshake") from None  # says nothing about trust
    return None


async def _ready(sock: socket.socket, add: Callable[..., Any], remove: Callable[[socket.socket], Any]) -> None:
    ready = asyncio.get_running_loop().create_future()
    add(sock, _settle, ready)
    try:
        await ready
    finally:
        remove(sock)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class TlsTransport(asyncio.Transport):
    """The transport of ``protocol`` over a TLS connection whose handshake is done; owns its socket.

    Tells the protocol what asyncio's own transports tell, and one thing better: `eof_received` comes only if the other
    side said that it ends (close_notify). Any other end is an error for `connection_lost`.
    """

    def __init__(self, sock: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": sock})
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._protocol = protocol
        self._backlog = bytearray()
        self._reading = True
        self._will_read_on = False
        self._closing = False
        self._deaf_peer = False
        self._write_paused = False
        self._poll: select.poll | None = None
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)
        self._loop.add_reader(sock, self.read_ready)
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._lose(None)

    close = abort
    """A proxy's connection is never closed politely: what is half sent must not look whole (RFC 9112, 9.5)."""

    # Reading

    def pause_reading(self) -> None:
        if self._reading and not self._closing:
            self._reading = False
            self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._socket, self.read_ready)

    def read_ready(self) -> None:
        """Pass on what the socket has."""
        for _ in range(_RECORDS_A_TURN):
            if not self._reading or self._closing:
                return
            try:
                data = self._socket.recv(_RECORD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):  # half a record; a session ticket; a new key
                return
            except OSError as error:
                self._lose(error)
                return
            if not data:
                self._protocol.eof_received()
                self._lose(None)
                return
            self._protocol.data_received(data)
            # OpenSSL holds nothing back: it reads no further than a record (SSL_CTX_set_read_ahead(3)). The loop would
            # call again for what there is, but with uvloop not for an error: it tells of that once, and then no more
            # (0.23, `UVPoll._fatal_error`), be there data before the reset or not.
            if len(data) < _RECORD and (self._poll is None or not self._poll.poll(0)):
                return
        if not self._will_read_on:  # the loop calls as well: each call that led to another would add one to each turn
            self._will_read_on = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._will_read_on = False
        self.read_ready()

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._deaf_peer or not data:
            return
        sent = 0 if self._backlog else self._send(data)
        if sent < len(data):
            if not self._backlog:
                self._loop.add_writer(self._socket, self._write_ready)
            self._backlog += memoryview(data)[sent:]
            if len(self._backlog) > _HIGH_WATER and not self._write_paused:
                self._write_paused = True
                self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._backlog)

    def _write_ready(self) -> None:
        with memoryview(self._backlog) as waiting:
            sent = self._send(waiting)
        del self._backlog[:sent]
        if not self._backlog:
            self._loop.remove_writer(self._socket)
        if self._write_paused and len(self._backlog) <= _LOW_WATER:
            self._write_paused = False
            self._protocol.resume_writing()

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        """How many bytes of ``data`` need not be sent again. OpenSSL takes a record at a time (partial writes).

        Once the peer takes nothing any more, there is no use in sending, but it may have answered before: a request
        that is too large is refused so. What it said, and the end, are found by reading.
        """
        sent = 0
        try:
            sent = self._socket.send(data)
            while sent < len(data):
                sent += self._socket.send(memoryview(data)[sent:])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass  # what is tried again begins with the same bytes, as OpenSSL demands
        except OSError:
            self._deaf_peer = True
            return len(data)
        return sent

    def _lose(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        with suppress(OSError):
            self._socket.close()
        self._loop.call_soon(self._tell_end, error)

    def _tell_end(self, error: Exception | None) -> None:
        protocol = self._protocol
        del self._protocol  # they refer to each other: with it go a body's bytes that were not sent
        protocol.connection_lost(error)
