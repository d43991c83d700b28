"""What we rely on in the installed uvicorn and httptools, beyond what they promise: fails by name when it changes.

Of uvicorn that is how its server makes a connection, and the steps of its life that ours replaces.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import httptools
import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from uvicorn.server import ServerState

from proxy.server.sockets import open_sockets
from proxy.settings.addresses import Listen


class Made(asyncio.Protocol):
    """A connection that keeps what it was made with."""

    all: list[dict[str, Any]]

    def __init__(self, **given: Any) -> None:
        self.all.append(given)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Steps(uvicorn.Server):
    """A server that writes down the steps of its life, and ends once ``enough`` is set."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.steps: list[str] = []
        self.signals: list[int] = []
        self.ready = asyncio.Event()
        self.enough = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        self.steps.append("startup")
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        self.steps.append("main_loop")
        await self.enough.wait()

    async def shutdown(self, sockets: Any = None) -> None:
        self.steps.append("shutdown")
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.signals.append(sig)
        self.enough.set()


def config_for(app: Any, http: type[asyncio.Protocol] = Made) -> uvicorn.Config:
    """As proxy/server/server.py has it."""
    return uvicorn.Config(
        app, http=http, ws="none", interface="asgi3", lifespan="on", log_config=None, access_log=False,
        proxy_headers=False, server_header=False,
    )  # fmt: skip


@pytest.mark.integration
async def test_how_a_connection_is_made() -> None:
    """Of the class that `Config(http=...)` names, with four arguments, given by name."""

    class Mine(Made):
        all: list[dict[str, Any]] = []  # noqa: RUF012

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, int]]:
        yield {"answer": 42}

    app = Starlette(lifespan=lifespan)
    config = config_for(app, Mine)
    server = Steps(config)
    state = server.server_state = ServerState()
    sockets = open_sockets(Listen("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(server._serve(sockets))
        await server.ready.wait()
        reader, writer = await asyncio.open_connection(*sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        server.enough.set()
    assert Mine.all == [{"config": config, "server_state": state, "app_state": {"answer": 42}, "_loop": None}]
    assert config.loaded_app is app


@pytest.mark.integration
async def test_the_steps_of_a_server() -> None:
    """The lifespan begins in `startup`, and ends when `shutdown` says so; what is between is `main_loop`."""
    life: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        life.append("begins")
        yield
        life.append("ends")

    server = Steps(config_for(Starlette(lifespan=lifespan)))
    sockets = open_sockets(Listen("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(server._serve(sockets))
        await server.ready.wait()
        assert (server.steps[0], life, server.started, len(server.servers)) == ("startup", ["begins"], True, 1)
        server.enough.set()
    assert (server.steps, life) == (["startup", "main_loop", "shutdown"], ["begins", "ends"])


@pytest.mark.integration
async def test_signals_come_to_the_server() -> None:
    """While `serve` runs, and no longer, SIGINT and SIGTERM are its own; and it raises none by itself."""
    server = Steps(config_for(Starlette()))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(open_sockets(Listen("127.0.0.1", 0))))
        await server.ready.wait()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert server.signals == [signal.SIGINT, signal.SIGTERM]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_the_date() -> None:
    """A tick leaves the date of now, and nothing else, in the headers that answers have by default."""
    server = uvicorn.Server(config_for(Starlette()))
    server.config.load()
    assert server.server_state.default_headers == []
    assert not await server.on_tick(0)
    [(name, value)] = server.server_state.default_headers
    assert name == b"date"
    assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", value)


def test_the_loop() -> None:
    """It runs on uvloop where that is installed."""
    factory = config_for(Starlette()).get_loop_factory()
    assert factory is not None
    loop = factory()
    assert isinstance(loop, uvloop.Loop)
    loop.close()


def test_llhttp_is_strict() -> None:
    """Without the leniencies that uvicorn's own protocol asks for, it holds the grammar of header lines."""
    for faulty in (
        *(
            b"X : 1\r\n",
            b"X: 1\r\n 2\r\n",
            b"X: 1\n",
            b"X: \0\r\n",
            b"X: 1\rY: 2\r\n",
            b": 1\r\n",
            b"X\r\n",
            b"(: 1\r\n",
        ),
        *(b"Content-Length: +2\r\n", b"Content-Length: 2\r\nContent-Length: 2\r\n"),
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    ):
        with pytest.raises(httptools.HttpParserError):
            httptools.HttpRequestParser(None).feed_data(b"GET / HTTP/1.1\r\nHost: a\r\n" + faulty + b"\r\n")


def test_what_llhttp_lets_through() -> None:
    """The holes that proxy/server/request_head.py closes: when llhttp closes one itself, ours can go."""
    for head in (
        *(
            b"GET /\r\n",
            b"GET / HTTP/0.9\r\n",
            b"GET / HTTP/2.0\r\n",
            b"OPTIONS / RTSP/1.0\r\n",
            b"GET  / HTTP/1.1\r\n",
        ),
        *(b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", b"\nGET / HTTP/1.1\r\n"),
        *(b"POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"),
        b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n",
    ):
        httptools.HttpRequestParser(None).feed_data(head + b"\r\n")
