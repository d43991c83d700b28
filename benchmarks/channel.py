"""The cheapest TLS that Python has, for the two ends of a benchmark: they must cost less than what they measure.

A non-blocking `ssl.SSLSocket` under the loop's ``add_reader`` costs less than half of what uvloop's own TLS does, which
copies each record through two memory BIOs.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

RECORD = 16 * 1024
"""Bytes: the largest plaintext of a TLS record (RFC 8446, 5.1), which one read or write takes whole."""


_NO_LINGER = struct.pack("ii", 1, 0)


class Peer(Protocol):
    """What listens to a channel."""

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, error: Exception | None) -> None: ...


class Channel:
    """One TLS connection; takes a connected socket, and owns it. ``on_open`` is called after the handshake.

    ``on_drained`` is called when the kernel has taken the rest of what `write` could not hand over at once.
    """

    def __init__(self, wrapped: ssl.SSLSocket, peer: Peer, on_open: Callable[[], None] = lambda: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = wrapped
        self._peer = peer
        self._on_open = on_open
        self._backlog = b""
        self.closed = False
        self.on_drained: Callable[[], None] = lambda: None
        self._loop.add_reader(wrapped, self._shake_hands)
        self._shake_hands()

    @classmethod
    def server(cls, accepted: socket.socket, context: ssl.SSLContext, peer: Peer) -> "Channel":
        """The side of the one who accepted."""
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False), peer)

    @classmethod
    async def client(cls, host: str, port: int, context: ssl.SSLContext, peer: Peer) -> "Channel":
        """A connection whose handshake is done."""
        loop = asyncio.get_running_loop()
        plain = socket.socket()
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(plain, (host, port))
        opened = asyncio.Event()
        wrapped = context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)
        channel = cls(wrapped, peer, opened.set)
        await opened.wait()
        if channel.closed:
            raise ConnectionError("the TLS handshake failed")
        return channel

    def write(self, data: bytes) -> bool:
        """Send now what the kernel takes, and the rest as soon as it does; whether it took everything."""
        if self._backlog:
            self._backlog += data
        elif len(data) > (sent := self._send(data)) and not self.closed:
            self._backlog = data[sent:]
            self._loop.add_writer(self._socket, self._flush)
        return not self._backlog

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken."""
        return len(self._backlog)

    def close(self) -> None:
        """End the connection; what the kernel has taken still goes out."""
        self._lost(None)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        if not self.closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._lost(None)

    def _shake_hands(self) -> None:
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            self._lost(error)
            self._on_open()
            return
        self._loop.add_reader(self._socket, self._read)
        self._on_open()

    def _read(self) -> None:
        try:
            data = self._socket.recv(RECORD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lost(error)
            return
        if data:
            self._peer.data_received(data)
        else:
            self._lost(None)

    def _send(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            self._lost(error)
            return 0

    def _flush(self) -> None:
        self._backlog = self._backlog[self._send(self._backlog) :]
        if not self._backlog and not self.closed:
            self._loop.remove_writer(self._socket)
            self.on_drained()

    def _lost(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        with suppress(OSError):
            self._socket.close()
        self._peer.connection_lost(error)
