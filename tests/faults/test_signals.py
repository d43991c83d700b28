"""The process is told to end, in whatever phase its requests are: in order, with one line each and no traceback."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.blackhole import black_hole
from tests.support.client import Client, get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.namespaces import needs_namespaces
from tests.support.ports import once_it_listens, once_nobody_listens, reserved
from tests.support.proxies import ProxyProcess, spawned
from tests.support.upstream import Script, Upstream, UpstreamConnection, reply
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

either_signal = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])

ONE_WISH = 0.6  # seconds: a signal that follows within half a second of the first is the same wish
EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
PIECE = b"x" * 65536
PIECES = 400  # 25 MB: more than the kernel holds on the way
HALF_UPLOAD = post(body=b"12345678")[:-4]


class Stage:
    """An upstream whose every connection does the same; its scripts wait for `go_on`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def answers(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await self.go_on.wait()
        await connection.send(message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"))
        await connection.ended()

    async def streams(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await self.go_on.wait()
        await connection.send(chunk(b"data: 2\n\n") + LAST_CHUNK)
        await connection.ended()

    async def sends_much(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {PIECES * len(PIECE)}"))
        await connection.send(*[PIECE] * PIECES)
        await connection.ended()


async def half_a_head(client: Client, behind: Upstream) -> None:
    await client.send(get()[:-2])


async def uploading(client: Client, behind: Upstream) -> None:
    await client.send(HALF_UPLOAD)
    await behind.request()


async def waiting(client: Client, behind: Upstream) -> None:
    await client.send(post())
    await behind.request()


async def between_events(client: Client, behind: Upstream) -> None:
    await client.send(post())
    await client.take_until(b"data: 1\n\n\r\n")


async def pipelining(client: Client, behind: Upstream) -> None:
    await client.send(post() + get())
    await client.take_until(b"data: 1\n\n\r\n")


async def not_reading(client: Client, behind: Upstream) -> None:
    client.small_buffers()
    await client.send(post())
    await client.response()
    client.hold()


@dataclass(frozen=True)
class Phase:
    """What is under way when the signal comes, and what becomes of it if it does not end by itself."""

    begin: Callable[[Client, Upstream], Awaitable[None]]
    script: Callable[[Stage], Script] = lambda stage: stage.answers
    status: int | None = 503  # in the log; None if there is no request yet
    refused: bool = True  # the client gets a 503; else its connection is cut


PHASES = {
    "half a head": Phase(half_a_head, status=None, refused=False),
    "uploading": Phase(uploading),
    "waiting": Phase(waiting),
    "between events": Phase(between_events, lambda stage: stage.streams, status=200, refused=False),
    "pipelining": Phase(pipelining, lambda stage: stage.streams, status=200, refused=False),
    "not reading": Phase(not_reading, lambda stage: stage.sends_much, status=200, refused=False),
}
in_each_phase = pytest.mark.parametrize("name", PHASES)
UNDER_WAY = [name for name in PHASES if name != "half a head"]


async def check_cut(client: Client, proxy: ProxyProcess, phase: Phase, code: int) -> None:
    """The client was told, or can see that its answer is not whole; there is one line, and the exit code is right."""
    if phase.refused:
        response = await client.answer(b"POST")
        assert (response.status, response.values("x-proxy-error")) == (503, [b"stopping"])
        assert response.values("retry-after") == [b"5"]
        assert response.ending is Ending.COMPLETE
    assert await proxy.exit_code(within=5) == code
    if not phase.refused:
        client.resume()  # not before: one that reads on may have all of it within the grace
        rest = await client.rest()
        assert LAST_CHUNK not in rest
        assert len(rest) < PIECES * len(PIECE)
    lines = [(line["status"], line["error"], line["ended_by"]) for line in proxy.access_log]
    assert lines == ([(phase.status, "stopping", "proxy")] if phase.status else [])
    assert proxy.stderr == ""


@either_signal
@in_each_phase
async def test_after_the_grace(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, name: str, number: signal.Signals
) -> None:
    """What has not ended after the grace is refused or cut, whatever it was waiting for; the exit code is 0."""
    phase = PHASES[name]
    behind = await upstream(phase.script(Stage()))
    proxy = await proxy_process(behind, shutdown_grace="0.2")
    client = await connect(proxy)
    await phase.begin(client, behind)
    proxy.signal(number)
    await check_cut(client, proxy, phase, 0)


@either_signal
@pytest.mark.parametrize("name", UNDER_WAY)
async def test_twice(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, name: str, number: signal.Signals
) -> None:
    """A second signal does not wait for the grace, in any phase; the exit code is the signal's."""
    phase = PHASES[name]
    behind = await upstream(phase.script(Stage()))
    proxy = await proxy_process(behind, shutdown_grace="60")
    client = await connect(proxy)
    await phase.begin(client, behind)
    proxy.signal(number)
    await once_nobody_listens(proxy)
    assert proxy.process.returncode is None
    await asyncio.sleep(ONE_WISH)
    proxy.signal(number)
    await check_cut(client, proxy, phase, 128 + number)


@pytest.mark.parametrize("name", UNDER_WAY)
async def test_within_the_grace(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, name: str
) -> None:
    """What ends within the grace ends whole, uploads and slow readers too; what was pipelined behind is not begun."""
    stage, phase = Stage(), PHASES[name]
    behind = await upstream(phase.script(stage))
    proxy = await proxy_process(behind, shutdown_grace="60")
    client = await connect(proxy)
    await phase.begin(client, behind)
    proxy.signal(signal.SIGTERM)
    await once_nobody_listens(proxy)
    stage.go_on.set()
    if name == "uploading":
        await client.send(post(body=b"12345678")[-4:])
    client.resume()
    rest = await client.rest()
    assert rest.endswith({"not reading": PIECE}.get(name, b"\r\n\r\nok" if phase.refused else LAST_CHUNK))
    assert name != "not reading" or len(rest) == PIECES * len(PIECE)
    assert await proxy.exit_code(within=5) == 0
    assert len(behind.requests) == 1
    assert [(line["status"], line["error"]) for line in proxy.access_log] == [(200, None)]
    assert proxy.stderr == ""


HANGING_RESOLVER = """
import socket, threading
resolve = socket.getaddrinfo
def hang(host, *args, **kwargs):
    if host == "localhost" and kwargs.get("flags") != socket.AI_NUMERICHOST:
        threading.Event().wait()
    return resolve(host, *args, **kwargs)
socket.getaddrinfo = hang
"""


async def on_the_way(proxy: ProxyProcess, connect: Connect, client: Client) -> None:
    """Returns when the request of that client has been taken, and waits for a connection."""
    await client.send(post())
    assert (await (await connect(proxy)).ask(get(target="/healthz"))).status == 200


@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("name", ["black hole", "hanging resolver"])
async def test_connecting(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, tmp_path: Path, name: str, signals: int
) -> None:
    """A request that still waits for its connection, or for the resolver, keeps nobody from ending."""
    behind = await upstream(reply(b""))
    await behind.stop()
    prefix: list[str] = []
    if name == "hanging resolver":
        (tmp_path / "sitecustomize.py").write_text(HANGING_RESOLVER)
        behind.name = "localhost"
        prefix = ["sh", "-c", f'PYTHONPATH={tmp_path}:$PYTHONPATH exec "$@"', "sh"]
    with black_hole(behind.port):
        grace = "0.2" if signals == 1 else "60"
        proxy = await proxy_process(behind, prefix=prefix, shutdown_grace=grace, connect_timeout="60")
        client = await connect(proxy)
        await on_the_way(proxy, connect, client)
        proxy.signal(signal.SIGTERM)
        if signals == 2:
            await once_nobody_listens(proxy)
            await asyncio.sleep(ONE_WISH)
            proxy.signal(signal.SIGTERM)
        response = await client.answer(b"POST")
        assert (response.status, response.values("x-proxy-error")) == (503, [b"stopping"])
        assert await proxy.exit_code(within=5) == (0 if signals == 1 else 128 + signal.SIGTERM)
    lines = [(line["status"], line["error"]) for line in proxy.access_log if line["path"] != "/healthz"]
    assert lines == [(503, "stopping")]
    assert proxy.stderr == ""


class Starting(NamedTuple):
    """A process that starts, and has opened the file of its key, which is a pipe."""

    child: ProxyProcess
    pipe: int

    def end_configuration(self) -> None:
        """Nothing more comes. A signal that has come between opening and reading would wait for the reading."""
        os.close(self.pipe)


@asynccontextmanager
async def reading_its_configuration(folder: Path, *prefix: str) -> AsyncIterator[Starting]:
    pipes: list[int] = []

    def opened() -> bool:
        with suppress(OSError):  # nobody reads from it yet
            pipes.append(os.open(key, os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipes)

    os.mkfifo(key := folder / "key")
    async with spawned(cwd=folder, prefix=prefix, upstream_url="http://127.0.0.1:9", api_key_file=str(key)) as child:
        await eventually(opened, lambda: "somebody to read the key")
        yield Starting(child, *pipes)


@either_signal
async def test_before_it_is_ready(footprint: Footprint, tmp_path: Path, number: signal.Signals) -> None:
    """While it reads its configuration, a signal ends it as any program, without a word."""
    async with reading_its_configuration(tmp_path) as starting:
        starting.child.signal(number)
        starting.end_configuration()
        assert await starting.child.exit_code() == -number
    assert starting.child.stdout + starting.child.stderr == ""


AS_FIRST_PROCESS = ["unshare", "--user", "--pid", "--fork", "--kill-child"]


def stop_first_process(child: ProxyProcess) -> None:
    pid = child.process.pid  # of unshare, which waits
    os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text()), signal.SIGTERM)


@needs_namespaces
async def test_the_first_process_before_it_is_ready(footprint: Footprint, tmp_path: Path) -> None:
    """In a container no signal ends the first process by default: it ends by itself."""
    async with reading_its_configuration(tmp_path, *AS_FIRST_PROCESS) as starting:
        stop_first_process(starting.child)
        starting.end_configuration()
        assert await starting.child.exit_code() == 128 + signal.SIGTERM
    assert starting.child.stdout + starting.child.stderr == ""


@needs_namespaces
async def test_the_first_process(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """As the first process of a container it serves, and stops in order."""
    proxy = await proxy_process(await upstream(), prefix=AS_FIRST_PROCESS)
    client = await connect(proxy)
    assert (await client.ask(post())).status == 200
    stop_first_process(proxy)
    assert await proxy.exit_code(within=5) == 0
    assert proxy.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
async def test_killed_and_started_again(
    upstream: OpenUpstream, footprint: Footprint, tmp_path: Path, number: signal.Signals
) -> None:
    """Killed, it takes every connection with it; on the same port it starts again at once and serves."""
    stage = Stage()
    behind = await upstream(stage.streams, reply(message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")))
    clients: list[Client] = []
    with reserved() as address:
        settings = {"listen": str(address), "upstream_url": behind.url}
        async with spawned(cwd=tmp_path, **settings) as first:
            clients.append(await once_it_listens(address))
            await clients[0].send(post())
            await clients[0].take_until(b"data: 1\n\n\r\n")
            clients.append(await Client.open(address))
            # The proxy closes it first, so that its port is left in TIME_WAIT.
            assert (await clients[1].ask(get("Connection: close", target="/healthz"))).status == 200
            await clients[1].ended()
            clients[1].close()
            first.signal(number)
            assert await first.exit_code() == -number
        assert LAST_CHUNK not in await clients[0].rest()
        assert await behind.closed(within=1)
        assert first.stderr == ""
        # The first client has not closed its end.
        async with spawned(cwd=tmp_path, **settings) as second:
            clients.append(await once_it_listens(address))
            response = await clients[-1].ask(post())
            assert (response.status, bytes(response.body)) == (200, b"ok")
            second.signal(signal.SIGTERM)
            assert await second.exit_code() == 0
        assert len(second.access_log) == 1
    for client in clients:
        await client.aclose()


async def test_started_again_while_the_last_one_stops(
    upstream: OpenUpstream, footprint: Footprint, tmp_path: Path
) -> None:
    """The next one listens on the same port while a stream of the one before still runs on."""
    stage = Stage()
    behind = await upstream(stage.streams, reply(message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")))
    with reserved() as address:
        settings = {"listen": str(address), "upstream_url": behind.url, "shutdown_grace": "60"}
        async with spawned(cwd=tmp_path, **settings) as first:
            streaming = await once_it_listens(address)
            await streaming.send(post())
            await streaming.take_until(b"data: 1\n\n\r\n")
            first.signal(signal.SIGTERM)
            await once_nobody_listens(address)
            async with spawned(cwd=tmp_path, **settings) as second:
                client = await once_it_listens(address)
                assert (await client.ask(post())).status == 200
                stage.go_on.set()
                assert (await streaming.rest()).endswith(LAST_CHUNK)
                assert await first.exit_code(within=5) == 0
                assert (await client.ask(post())).status == 200
                await client.aclose()
                second.signal(signal.SIGTERM)
                assert await second.exit_code() == 0
        await streaming.aclose()


async def test_signals_that_are_none_of_its_business(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """SIGPIPE, SIGWINCH and, under nohup, SIGHUP: it serves on."""
    proxy = await proxy_process(await upstream(), prefix=["nohup"])
    client = await connect(proxy)
    for number in (signal.SIGPIPE, signal.SIGWINCH, signal.SIGHUP, signal.SIGCONT):
        proxy.signal(number)
        assert (await client.ask(post())).status == 200
    await client.aclose()
    await proxy.access_line(3)
    assert proxy.stderr == ""
