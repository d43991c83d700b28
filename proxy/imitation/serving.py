"""Serves the imitation in the running event loop, keeping the head of each request byte for byte."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from proxy.imitation.exchange import EXTENSION, Head, Wire

_BACKLOG = 100


class RecordingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a memory for what ASGI drops.

    uvicorn 0.54 lower-cases header names, and adds the trailers of a chunked body to ``scope["headers"]``.
    """

    _lines: list[tuple[bytes, bytes]]
    _trailers: list[tuple[bytes, bytes]]
    _head_complete: bool

    def on_message_begin(self) -> None:
        """Start a request with empty lists."""
        super().on_message_begin()
        self._lines, self._trailers, self._head_complete = [], [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a line as it is; what comes behind the body stays out of the scope."""
        if self._head_complete:
            self._trailers.append((name, value))
            return
        self._lines.append((name, value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the head over with the scope."""
        self._head_complete = True
        head = Head(self.parser.get_method(), self.url, tuple(self._lines))
        extensions: dict[str, Any] = {EXTENSION: Wire(head, self._trailers, self.transport.abort)}
        self.scope["extensions"] = extensions
        super().on_headers_complete()


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve on ``host:port`` (0: any free port) and give the origin, e.g. ``http://127.0.0.1:41234``.

    Raises `OSError` if the port is taken; see `serving_on`.
    """
    with socket.create_server((host, port), backlog=_BACKLOG) as listening:
        async with serving_on(app, [listening]):
            yield f"http://{host}:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving_on(
    app: ASGIApp, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve on listening sockets; on leaving, open connections are dropped and their handlers awaited."""
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    # uvicorn.Server would take the process's signals and tick ten times a second for a Date header that we set.
    state = ServerState()
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(
            lambda: RecordingProtocol(config=config, server_state=state, app_state={}), sock=each, ssl=tls
        )
        for each in sockets
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks)
