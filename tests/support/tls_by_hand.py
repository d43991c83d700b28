"""The server's end of TLS, record by record, so that it can be cut, spoilt or ended wrongly at any byte."""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.support.connection import Connection, GoneError
from tests.support.upstream import Script, UpstreamConnection

ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""A fatal alert (handshake_failure), unencrypted: behind the handshake nobody may believe it."""


class Tls:
    """Encrypts and decrypts for a connection that is plain TCP to everyone else; what is sent when is for the script.

    >>> tls = Tls(connection, server_context(authority))
    >>> await tls.handshake()
    >>> await tls.request()
    >>> await connection.send(tls.sealed(OK) + tls.close_notify())
    """

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self.connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def flight(self) -> bytes:
        """Reads until it is the server's turn in the handshake, and returns what it would say."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                if flight := self._outgoing.read():
                    return flight
                await self._receive()
            else:
                return self._outgoing.read()

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            else:
                await self._flush()
                return

    async def request(self) -> bytes:
        """Reads a request without a body."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            with suppress(ssl.SSLWantReadError):
                data = self._tls.read(65536)
                if not data:
                    raise GoneError("close_notify")
                request += data
                continue
            await self._receive()
        return request

    def sealed(self, data: bytes) -> bytes:
        """The records that carry `data`."""
        self._tls.write(data)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The record that says that nothing more will come."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    async def closed_with_notice(self) -> bool:
        """Whether the other side ends the connection with close_notify, once it has ended it."""
        while True:
            try:
                if not self._tls.read(65536):
                    return True
            except ssl.SSLWantReadError:
                if not (data := await self.connection.take()):
                    return False
                self._incoming.write(data)
            except ssl.SSLError:  # an alert that says something else
                return False

    async def _receive(self) -> None:
        data = await self.connection.take()
        if not data:
            raise GoneError("closed within TLS")
        self._incoming.write(data)

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self.connection.send(data)


def over_tls(context: ssl.SSLContext, script: Callable[[UpstreamConnection, Tls], Awaitable[None]]) -> Script:
    """A script for a connection whose handshake is done."""

    async def with_tls(connection: UpstreamConnection) -> None:
        tls = Tls(connection, context)
        await tls.handshake()
        await script(connection, tls)

    return with_tls
