"""The application is an ordinary one: it runs under any ASGI server, and under Starlette's test client."""

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from proxy.app import App, create_app
from proxy.headers import Fields, HeaderList, fields_of
from proxy.middleware.record import RecordMiddleware
from proxy.observe.access_log import log
from proxy.observe.record import Record
from proxy.observe.redaction import Redaction
from proxy.settings.model import Settings
from tests.support.client import Client, get, post, post_chunked
from tests.support.fixtures import Connect, OpenUpstream
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.proxies import IDENTITY, STAMP
from tests.support.upstream import OK, UpstreamConnection, reply, stall
from tests.support.waiting import PATIENCE, eventually

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


class Answering(httpx.AsyncBaseTransport):
    """Gives every request the same answer, and knows whether it was closed."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, headers=[(b"X-Generation-Id", b"gen-1")], stream=httpx.ByteStream(b"hello"))

    async def aclose(self) -> None:
        self.closed = True


def proxy_for(transport: httpx.AsyncBaseTransport) -> App:
    identity: dict[str, Any] = dict(IDENTITY)
    return create_app(Settings(**identity), transport)


def test_starlettes_client() -> None:
    """A page, a forwarded request, a refusal and the lifespan work in Starlette's test client."""
    transport = Answering()
    with TestClient(proxy_for(transport), "http://localhost") as client:
        assert (client.get("/healthz").text, client.get("/readyz").text) == ("ok\n", "ready\n")
        answer = client.post("/v1/chat/completions?x=1", json={})
        assert (answer.status_code, answer.text, answer.headers["x-generation-id"]) == (200, "hello", "gen-1")
        assert client.get("/nowhere").headers["x-proxy-error"] == "unknown-path"
        during = transport.closed
    assert (during, transport.closed) == (False, True)
    [request] = transport.requests
    assert request.extensions["target"] == b"/api/v1/chat/completions?x=1"
    assert [line for line in request.headers.raw if line in STAMP] == STAMP


@pytest.mark.integration
def test_without_a_lifespan() -> None:
    """A page answers even where nobody runs the lifespan."""
    assert TestClient(proxy_for(Answering())).get("/healthz").status_code == 200


@pytest.mark.integration
def test_a_loop_for_each_request() -> None:
    """Without a lifespan, Starlette's test client has one: timeouts strike in the second as well as in the first."""

    def serve(listener: socket.socket) -> None:
        for answer in (message("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close") + b"ok", b""):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(65536)
                connection.sendall(answer)
                while not answer and connection.recv(65536):
                    pass

    identity: dict[str, Any] = dict(IDENTITY)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        upstream = threading.Thread(target=serve, args=(listener,))
        upstream.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = TestClient(
            create_app(Settings(**identity, upstream_url=url, response_timeout=0.3)), "http://localhost"
        )
        statuses = [client.post("/v1/chat/completions", json={}).status_code for _ in range(2)]
        upstream.join()
    assert statuses == [200, 504]


def test_servers_take_it_for_what_it_is() -> None:
    """It is what servers look for when they are not told which version of ASGI an application speaks."""
    app = proxy_for(Answering())
    assert inspect.iscoroutinefunction(app.__call__)
    config = uvicorn.Config(app, interface="auto", log_config=None)
    config.load()
    assert config.interface == "asgi3"


@dataclass
class Served:
    """Where it listens."""

    host: str
    port: int


@asynccontextmanager
async def under_uvicorn(app: App, listening: socket.socket) -> AsyncIterator[None]:
    """On uvicorn's own server, and its own protocol on h11."""
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", lifespan="on", log_config=None))
    async with asyncio.TaskGroup() as group:
        group.create_task(server._serve([listening]))  # `serve` takes the signals
        await eventually(lambda: server.started, lambda: "uvicorn to start")
        yield
        server.should_exit = True


@asynccontextmanager
async def under_hypercorn(app: App, listening: socket.socket) -> AsyncIterator[None]:
    """On hypercorn."""
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.errorlog = None
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]  # its own scope types
        yield
        stop.set()


Serve = Callable[[App, socket.socket], AbstractAsyncContextManager[None]]
Start = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(params=[under_uvicorn, under_hypercorn], ids=["uvicorn", "hypercorn"])
def start(request: pytest.FixtureRequest) -> Start:
    """Serves the proxy for an upstream on another server than ours."""
    run: Serve = request.param

    @asynccontextmanager
    async def started(upstream_url: str, **settings: Any) -> AsyncIterator[Served]:
        made = Settings(**{**IDENTITY, "upstream_url": upstream_url, "warm_connections": 0, **settings})
        listening = socket.create_server(("127.0.0.1", 0))
        host, port = listening.getsockname()
        async with run(create_app(made), listening):
            yield Served(host, port)

    return started


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Record]]:
    caplog.set_level("INFO", log.name)
    return lambda: [line.__dict__["record"] for line in caplog.records if line.name == log.name]


async def test_a_stream(start: Start, upstream: OpenUpstream, connect: Connect) -> None:
    """On another server too, each piece of a stream arrives before the next is sent, and the request is stamped."""
    seen = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await seen.wait()
        await connection.send(chunk(b"data: 2\n\n") + LAST_CHUNK)

    behind = await upstream(script)
    async with start(behind.url) as served:
        client = await connect(served)
        await client.send(post_chunked("X-Title: Tool", body=chunk(b"{}") + LAST_CHUNK))
        response = await client.response()
        await response.read(until=b"data: 1\n\n")
        seen.set()
        await response.read()
        assert bytes(response.body) == b"data: 1\n\ndata: 2\n\n"
        await client.aclose()
    [request] = behind.requests
    assert bytes(request.body) == b"{}"
    assert [line for line in request.headers if line in STAMP] == STAMP
    assert request.values("x-title") == [b"Example App"]


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
@pytest.mark.parametrize("phase", ["head", "body", "upload"])
async def test_leaving(
    start: Start,
    upstream: OpenUpstream,
    connect: Connect,
    records: Callable[[], list[Record]],
    phase: str,
    leave: Callable[[Client], None],
) -> None:
    """On another server too, a client that leaves closes the upstream within a second, and is one line in the log."""

    async def streaming(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await connection.ended()

    behind = await upstream(streaming if phase == "body" else stall, reply(OK))
    async with start(behind.url) as served:
        client = await connect(served)
        await client.send(post_chunked(body=chunk(b"half")) if phase == "upload" else post())
        if phase == "body":
            await (await client.response()).read(until=b"data: 1\n\n")
        request = await behind.request()
        if phase == "head":
            await request.read()
        leave(client)
        await behind.closed(within=1)
        await eventually(lambda: len(records()) == 1, lambda: f"one line, not {records()}")
        assert (records()[0].status, records()[0].ended_by) == (499, "client")
        other = await connect(served)
        assert (await other.ask(get())).status == 200
        await other.aclose()


async def test_a_cut(start: Start, upstream: OpenUpstream, connect: Connect, footprint: Footprint) -> None:
    """On another server too, an answer that the upstream does not complete is no complete one."""
    behind = await upstream(reply(EVENTS + chunk(b"data: 1\n\n"), close=True))
    async with start(behind.url) as served:
        client = await connect(served)
        response = await client.ask(post())
        assert (bytes(response.body), response.ending) == (b"data: 1\n\n", Ending.CUT)
    # uvicorn tells so with the traceback of what an application raises.
    footprint.complaints[:] = [each for each in footprint.complaints if "ResponseCut" not in each]


async def test_a_refusal(start: Start, connect: Connect) -> None:
    """On another server too, what is not forwarded is answered in our own words."""
    async with start("http://127.0.0.1:9") as served:
        client = await connect(served)
        assert (await client.ask(get(target="/nowhere"))).values("x-proxy-error") == [b"unknown-path"]
        await client.aclose()


async def test_what_is_in_front_may_change_the_headers() -> None:
    """The rules see the header lines that come in, and not those that our server has found before."""
    server_has: HeaderList = [(b"host", b"localhost"), (b"x-token", b"secret")]
    changed: HeaderList = [(b"host", b"localhost"), (b"x-more", b"1")]
    seen: list[Fields] = []

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(fields_of(scope))

    async def nothing(*_: object) -> Any:
        raise AssertionError

    app = RecordMiddleware(looking, Redaction(), [], {})
    for headers in (server_has, changed):
        scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": headers}
        await app({**scope, "fields": Fields(server_has)}, nothing, nothing)
    assert [sorted(fields.names) for fields in seen] == [[b"host", b"x-token"], [b"host", b"x-more"]]
