"""TLS between a socket that the loop watches and a protocol; OpenSSL works on memory, and never sees the socket.

One read takes from the kernel what is there, be it many records; where OpenSSL reads the socket itself, each record
costs two. Why not the loop's own TLS: uvloop's keeps 256 KiB for each connection (0.23), and may keep a handshake that
is given up for a minute; and neither loop tells an end that the other side meant from one that it did not.
What an event costs: ``python -m benchmarks --only events --peers openrouter-proxy``.

It needs a loop with ``add_reader``, which Windows' default one is not.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

_RECORD = 16 * 1024  # bytes of plaintext in a record at most (RFC 8446, 5.1): one read takes it whole
_READ = _RECORD + 1024  # bytes that are taken from the socket at once: the largest record, with what it is wrapped in
_HIGH_WATER = 64 * 1024  # bytes that wait to be sent; asyncio's own limits
_LOW_WATER = 16 * 1024


def can_watch_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``loop`` has ``add_reader``: all have, but for Windows' default one."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


class Secured(NamedTuple):
    """A socket, and the TLS connection over it whose handshake is done."""

    socket: socket.socket
    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO


async def shake_hands(
    plain: socket.socket, context: ssl.SSLContext, host: str | None, *, server_side: bool = False
) -> Secured:
    """``plain``, connected and non-blocking, with TLS on it; owns it from now on.

    ``host`` is the name that the other side's certificate must have. Raises `ssl.SSLError` if it cannot be trusted, or
    speaks no TLS; `ConnectionAbortedError` if it ends the connection; else `OSError`.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        tls = context.wrap_bio(incoming, outgoing, server_hostname=host, server_side=server_side)
        while not _step(tls):
            await _send(plain, outgoing.read())
            data = await _receive(plain)
            if not data:  # says nothing about trust
                raise ConnectionAbortedError("closed within the TLS handshake")
            incoming.write(data)
        await _send(plain, outgoing.read())
    except BaseException:
        with suppress(OSError):  # why it is refused: an alert, if there is one
            plain.send(outgoing.read())
        plain.close()
        raise
    return Secured(plain, tls, incoming, outgoing)


def _step(tls: ssl.SSLObject) -> bool:
    """One step of the handshake; whether it was the last one."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLZeroReturnError:  # close_notify
        raise ConnectionAbortedError("closed within the TLS handshake") from None
    return True


async def _receive(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        with suppress(BlockingIOError, InterruptedError):
            return sock.recv(_READ)
        await _ready(sock, loop.add_reader, loop.remove_reader)


async def _send(sock: socket.socket, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    while data:
        with suppress(BlockingIOError, InterruptedError):
            data = data[sock.send(data) :]
            continue
        await _ready(sock, loop.add_writer, loop.remove_writer)


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


def ended_by_peer(transport: asyncio.Transport) -> bool:
    """Whether it was the peer that ended the connection, whose end has come: with TLS, anyone on the way can send it.

    RFC 9112, 9.8: without close_notify, a body that lasts until the close is not complete. Neither asyncio nor uvloop
    tell; OpenSSL does: after close_notify it reads the end, and without it, it wants more.
    """
    ssl_object: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    try:
        return ssl_object is None or ssl_object.read(1) == b""
    except ssl.SSLError:
        return False


class TlsTransport(asyncio.Transport):
    """The transport of ``protocol`` over a TLS connection whose handshake is done; owns its socket.

    Tells the protocol what asyncio's own transports tell, and one thing better: `eof_received` comes only if the other
    side said that it ends (close_notify). Any other end is an error for `connection_lost`.
    """

    def __init__(self, secured: Secured, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": secured.socket})
        self._loop = asyncio.get_running_loop()
        self._socket, self._tls, self._incoming, self._outgoing = secured
        self._protocol = protocol
        self._unsealed = bytearray()  # what OpenSSL does not take before it has read something
        self._backlog = bytearray()  # records that the kernel has not taken
        self._reading = True
        self._closing = False
        self._peer_takes_nothing = False
        self._write_paused = False
        self._loop.add_reader(self._socket, self.read_ready)
        protocol.connection_made(self)
        if self._incoming.pending:  # what came with the last bytes of the handshake: its end, perhaps
            self._pass_on()

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        """Close at once, without a word: what is half sent must not look whole (RFC 9112, 9.8)."""
        self._lose(None)

    def close(self) -> None:
        """Close with close_notify, if all that was written is on its way (RFC 9112, 9.8)."""
        if not self._closing and not self.get_write_buffer_size():
            with suppress(OSError):  # SSLWantReadError: the other side's is not waited for
                self._tls.unwrap()
            with suppress(OSError):
                self._socket.send(self._outgoing.read())
        self._lose(None)

    # Reading

    def pause_reading(self) -> None:
        if self._reading and not self._closing:
            self._reading = False
            self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._socket, self.read_ready)
            if self._incoming.pending:
                self._loop.call_soon(self._pass_on)

    def read_ready(self) -> None:
        """Pass on what the socket has."""
        if not self._reading or self._closing:
            return
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if not data:
            self._end(ssl.SSLEOFError("closed without close_notify"))  # by anyone on the way, perhaps
            return
        self._incoming.write(data)
        self._pass_on()
        if len(data) == _READ:
            self._loop.call_soon(self.read_ready)

    def _end(self, error: Exception) -> None:
        """The socket has no more; what is here of records is passed on first, as far as it is wanted now."""
        if self._incoming.pending:
            self._pass_on()
        if self._reading:  # else the end is found again by whoever reads on
            self._lose(error)

    def _pass_on(self) -> None:
        """Pass on what is here of records."""
        try:
            while self._reading and not self._closing:
                data = self._tls.read(_RECORD)
                if not data:
                    self._protocol.eof_received()
                    self._lose(None)
                    return
                self._protocol.data_received(data)
                if not self._incoming.pending:  # asked for more, OpenSSL would say so by an exception
                    break
        except ssl.SSLWantReadError:  # half a record; a session ticket; a new key
            pass
        except OSError as error:
            self._flush()  # the alert that says why
            self._lose(error)
            return
        if self._outgoing.pending or self._unsealed:
            self._write_unsealed()

    def release_buffer(self) -> None:
        """Let OpenSSL give back the 17 kB in which it makes records: it takes them to read a session ticket as well.

        They would go with the next write (SSL_MODE_RELEASE_BUFFERS, which Python sets): one of no bytes makes no record
        (SSL_write_ex(3)).
        """
        if not self._closing and not self._unsealed:
            with suppress(OSError):  # in the middle of a renegotiation
                self._tls.write(b"")

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._peer_takes_nothing or not data:
            return
        if self._unsealed:
            self._unsealed += data
        else:
            sealed = self._seal(data)
            if sealed < len(data):
                self._unsealed += memoryview(data)[sealed:]
        self._flush()

    def _seal(self, data: bytes | bytearray | memoryview) -> int:
        """Make records of ``data``, and send each before the next; of how many of its bytes.

        The memory in which OpenSSL makes them never gets smaller (BIO_s_mem(3)): made at once, the largest request's
        would be kept for as long as the connection is open.
        """
        sealed = 0
        try:
            sealed = self._tls.write(data if len(data) <= _RECORD else memoryview(data)[:_RECORD])
            while sealed < len(data):
                self._flush()
                sealed += self._tls.write(memoryview(data)[sealed : sealed + _RECORD])
        except ssl.SSLWantReadError:  # as in a renegotiation, which the context should have ruled out
            pass
        except OSError as error:
            self._loop.call_soon(self._lose, error)
            return len(data)
        return sealed

    def _write_unsealed(self) -> None:
        if self._unsealed:
            with memoryview(self._unsealed) as waiting:
                sealed = self._seal(waiting)
            del self._unsealed[:sealed]
        self._flush()

    def get_write_buffer_size(self) -> int:
        return len(self._backlog) + len(self._unsealed)

    def _flush(self) -> None:
        """Send what OpenSSL has made of what was written; what the kernel does not take now goes later."""
        records = self._outgoing.read()
        if not self._backlog:
            sent = self._send(records)
            if sent < len(records):
                self._backlog += memoryview(records)[sent:]
                self._loop.add_writer(self._socket, self._write_ready)
        else:
            self._backlog += records
        if not self._write_paused and len(self._backlog) + len(self._unsealed) > _HIGH_WATER:
            self._write_paused = True
            self._protocol.pause_writing()

    def _write_ready(self) -> None:
        with memoryview(self._backlog) as waiting:
            sent = self._send(waiting)
        del self._backlog[:sent]
        if not self._backlog:
            self._loop.remove_writer(self._socket)
        if self._write_paused and self.get_write_buffer_size() <= _LOW_WATER:
            self._write_paused = False
            self._protocol.resume_writing()

    def _send(self, data: bytes | memoryview) -> int:
        """How many bytes of ``data`` need not be sent again.

        Once the peer takes nothing any more, there is no use in sending, but it may have answered before: a request
        that is too large is refused so. What it said, and the end, are found by reading.
        """
        if self._closing or self._peer_takes_nothing or not data:
            return len(data)
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._peer_takes_nothing = True
            return len(data)

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
