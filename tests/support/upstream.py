"""The upstream's end: each connection follows a script, and everything about it is kept for the test to look at."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.connection import Connection, End, GoneError
from tests.support.http1 import Request, message, read_request
from tests.support.waiting import PATIENCE, News

OK = message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")


class UpstreamConnection(Connection):
    """One connection that the upstream has accepted, as its script sees it."""

    def __init__(self, upstream: "Upstream") -> None:
        super().__init__()
        self.upstream = upstream
        self.requests: list[Request] = []
        self.script: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.upstream.accept(self)

    async def head(self) -> Request:
        """The head of the next request; GoneError if the other side closes the connection instead."""
        request = await read_request(self)
        if request is None:
            raise GoneError("closed between requests")
        self.requests.append(request)
        self.upstream.requests.append(request)
        self.upstream.news.tell()
        return request

    async def request(self) -> Request:
        """The next request with its whole body; GoneError if it is cut (`Request.ending` says so too)."""
        request = await self.head()
        await request.read()
        if request.ending != "complete":
            raise GoneError("cut request")
        return request


Script = Callable[[UpstreamConnection], Awaitable[None]]


def reply(*pieces: bytes, close: bool = False) -> Script:
    """Reads each request whole and answers it with the same bytes; with `close`, ends the connection then."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            await connection.send(*pieces)
            if close:
                return

    return script


async def stall(connection: UpstreamConnection) -> None:
    """Reads each request whole and never answers."""
    while True:
        await connection.request()


class Upstream:
    """Listens on a free loopback port. The n-th connection follows the n-th script, further ones the last.

    When a script returns, its connection is closed (FIN). A script that the peer leaves (GoneError) just ends; one
    that fails in any other way fails the test, on leaving the context.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = scripts or (reply(OK),)
        self.tls = tls
        self.host = "127.0.0.1"
        self.name = "localhost" if tls else self.host
        """By which it is called; with TLS, what its certificate must be for."""
        self.port = 0
        self.connections: list[UpstreamConnection] = []
        """All that were ever accepted, in order; each knows how the other side ended it (`Connection.end`)."""
        self.requests: list[Request] = []
        """All whose head has arrived, in order, over all connections."""
        self.server_names: list[str | None] = []
        """The name that each TLS handshake asked for (SNI)."""
        self.news = News()
        self._server: asyncio.Server
        if tls:
            tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.name}:{self.port}"

    @property
    def authority(self) -> bytes:
        """What the `Host` of a request for it must be."""
        return f"{self.name}:{self.port}".encode()

    async def request(self, n: int = 0) -> Request:
        """The n-th request, once its head is there."""
        await self.news.until(lambda: len(self.requests) > n, f"request {n}", state=lambda: self.requests)
        return self.requests[n]

    async def connection(self, n: int = 0) -> UpstreamConnection:
        """The n-th connection, once it is there."""
        await self.news.until(lambda: len(self.connections) > n, f"connection {n}", state=lambda: self.connections)
        return self.connections[n]

    async def closed(self, n: int = 0, *, within: float = PATIENCE) -> End:
        """How the other side closed the n-th connection, once it has."""
        return await (await self.connection(n)).ended(within=within)

    @property
    def open(self) -> list[UpstreamConnection]:
        """The connections that neither side has ended."""
        return [connection for connection in self.connections if connection.end is None]

    def accept(self, connection: UpstreamConnection) -> None:
        script = self.scripts[min(len(self.connections), len(self.scripts) - 1)]
        self.connections.append(connection)
        connection.script = asyncio.get_running_loop().create_task(self._run(script, connection))
        self.news.tell()

    async def _run(self, script: Script, connection: UpstreamConnection) -> None:
        try:
            with suppress(GoneError):
                await script(connection)
        finally:
            connection.close()

    async def start(self) -> None:
        """Listens; after `stop`, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: UpstreamConnection(self), self.host, self.port, ssl=self.tls, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listens no more (connecting is refused) and ends what is open."""
        self._server.close()
        scripts = [connection.script for connection in self.connections]
        for connection in self.connections:
            connection.script.cancel()
            await connection.aclose()
        results = await asyncio.gather(*scripts, return_exceptions=True)
        failures = [r for r in results if isinstance(r, BaseException) and not isinstance(r, asyncio.CancelledError)]
        if failures:
            raise failures[0]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
