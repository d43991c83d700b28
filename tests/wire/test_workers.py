"""Several processes that share an address: they serve as one, are replaced when they die, and end together."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.client import Client, get, post
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, Response, chunk, message
from tests.support.ports import Reserved, once_nobody_listens
from tests.support.proxies import ROOT, ProxyProcess, spawned
from tests.support.upstream import OK, UpstreamConnection, reply
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and asks /proc"),
    pytest.mark.only_route("direct", reason="is about processes, which reach the upstream as one does"),
]

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
ONE_WISH = 0.6  # seconds: a signal that follows within half a second of the first is the same wish


class Streams:
    """Streams whose first event is at the client; they end when `finish` is set."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()

    async def script(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await self.finish.wait()
        with suppress(GoneError):
            await connection.send(chunk(b"data: 2\n\n") + LAST_CHUNK)
        await connection.ended()

    async def begin(self, client: Client) -> Response:
        await client.send(post())
        response = await client.response()
        await response.read(until=b"data: 1\n\n")
        return response


def workers_of(proxy: ProxyProcess) -> set[int]:
    pid = proxy.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def test_they_serve_as_one(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, footprint: Footprint
) -> None:
    """Each takes what comes to the one address; the start is told once; the end is the end of all."""
    proxy = await proxy_process(await upstream(reply(OK)), workers="3")
    assert len(workers_of(proxy)) == 3
    for _ in range(30):
        client = await connect(proxy)
        assert (await client.ask(get())).status == 200
        await client.aclose()
    assert (await (await connect(proxy)).ask(get(target="/readyz"))).status == 200
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_code(within=10) == 0
    assert proxy.stdout.count("listening on") == 1
    assert len(proxy.access_log) == 31
    assert proxy.stderr == ""


@pytest.mark.timeout(120)
async def test_one_is_killed_under_open_streams(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Its streams are cut, all others go on; the next request is served, and another worker takes its place."""
    streams = Streams()
    behind = await upstream(streams.script)
    proxy = await proxy_process(behind, workers="2")
    before = workers_of(proxy)
    responses = [await streams.begin(await connect(proxy)) for _ in range(500)]
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    await proxy.until(lambda: "another starts" in proxy.stdout, "the supervisor's line")
    assert f"worker 1 (process {victim}) ended (SIGKILL): another starts in 0.5 s" in proxy.stdout
    assert (await (await connect(proxy)).ask(get(target="/healthz"))).status == 200
    await eventually(lambda: len(workers_of(proxy)) == 2, lambda: "another worker")
    assert len(workers_of(proxy) & before) == 1
    streams.finish.set()
    endings = []
    for response in responses:
        with suppress(GoneError):
            await response.read()
        endings.append(response.ending)
        assert (response.ending is Ending.COMPLETE) == response.body.endswith(b"data: 2\n\n")
    assert set(endings) == {Ending.COMPLETE, Ending.CUT}
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_code(within=10) == 0
    assert proxy.stderr == ""


async def test_one_that_dies_at_once_again_waits_longer(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """One that keeps dying does not keep the machine busy: each time it is started again later."""
    proxy = await proxy_process(await upstream(reply(OK)), workers="2")
    kept = max(workers_of(proxy))
    for n, wait in enumerate(["0.5 s", "1 s"], start=1):
        [victim] = workers_of(proxy) - {kept}
        os.kill(victim, signal.SIGKILL)
        await proxy.until(lambda n=n: proxy.stdout.count("another starts") == n, f"line {n}")
        assert f"(process {victim}) ended (SIGKILL): another starts in {wait}" in proxy.stdout
        assert (await (await connect(proxy)).ask(get())).status == 200
        await eventually(lambda: len(workers_of(proxy)) == 2, lambda: "another worker")


@pytest.mark.parametrize("to_all", [False, True], ids=["to the supervisor", "to all, as a terminal does"])
async def test_open_streams_run_on(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, *, to_all: bool
) -> None:
    """A signal ends no stream in any of them within the grace; new connections are refused."""
    streams = Streams()
    proxy = await proxy_process(await upstream(streams.script), workers="2", shutdown_grace="30")
    responses = [await streams.begin(await connect(proxy)) for _ in range(8)]
    for pid in workers_of(proxy) if to_all else ():
        os.kill(pid, signal.SIGINT)
    proxy.signal(signal.SIGINT)
    await once_nobody_listens(proxy)
    streams.finish.set()
    for response in responses:
        assert await response.read() == b"data: 1\n\ndata: 2\n\n"
        assert response.ending is Ending.COMPLETE
    assert await proxy.exit_code(within=10) == 0


async def test_a_second_signal_cuts(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """It does not wait for the grace in any of them, and the exit code says which signal it was."""
    streams = Streams()
    proxy = await proxy_process(await upstream(streams.script), workers="2", shutdown_grace="30")
    responses = [await streams.begin(await connect(proxy)) for _ in range(8)]
    proxy.signal(signal.SIGTERM)
    await once_nobody_listens(proxy)
    await asyncio.sleep(ONE_WISH)
    proxy.signal(signal.SIGTERM)
    for response in responses:
        await response.read()
        assert response.ending is Ending.CUT
    assert await proxy.exit_code(within=10) == 128 + signal.SIGTERM
    assert "Traceback" not in proxy.stdout + proxy.stderr


async def test_the_supervisor_is_killed(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Its workers let open streams run on, and end: none is left that nobody looks after."""
    streams = Streams()
    proxy = await proxy_process(await upstream(streams.script), workers="2")
    workers = workers_of(proxy)
    response = await streams.begin(await connect(proxy))
    proxy.signal(signal.SIGKILL)
    await once_nobody_listens(proxy)
    streams.finish.set()
    assert await response.read() == b"data: 1\n\ndata: 2\n\n"
    await eventually(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), lambda: "the workers to end", within=10
    )


HANGING_WORKER = """
import os, pathlib, time
fork, count = os.fork, [0]
def hang_at_the_second():
    count[0] += 1
    pid = fork()
    while pid == 0 and count[0] == 2 and not pathlib.Path({gate!r}).exists():
        time.sleep(0.01)
    return pid
os.fork = hang_at_the_second
"""


async def test_ready_when_all_are(footprint: Footprint, upstream: OpenUpstream, tmp_path: Path) -> None:
    """While one of them has not started, `/readyz` says 503, and there is no banner; `/healthz` says that it lives."""
    gate = tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(HANGING_WORKER.format(gate=str(gate)))
    prefix = ["sh", "-c", f'PYTHONPATH={tmp_path}:$PYTHONPATH exec "$@"', "sh"]
    behind = await upstream(reply(OK))
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        address = Reserved(*holder.getsockname())
        settings = {"listen": str(address), "workers": "2", "upstream_url": behind.url}
        async with spawned("serve", cwd=tmp_path, prefix=prefix, **settings) as child:
            client = await once_answered(address)
            answer = await client.ask(get(target="/readyz"))
            assert (answer.status, answer.values("x-proxy-error")) == (503, [b"starting"])
            assert "listening" not in child.stdout
            gate.touch()
            await child.until(lambda: "listening on" in child.stdout, "the start")
            async with asyncio.timeout(5):
                while (await client.ask(get(target="/readyz"))).status != 200:
                    await client.aclose()
                    client = await Client.open(address)
            await client.aclose()
            child.signal(signal.SIGTERM)
            assert await child.exit_code(within=10) == 0


async def once_answered(address: Reserved) -> Client:
    """A client whose connection is served: `/healthz` has been answered on it."""
    async with asyncio.timeout(10):
        while True:
            with suppress(OSError):
                client = await Client.open(address)
                assert (await client.ask(get(target="/healthz"))).status == 200
                return client
            await asyncio.sleep(0.02)


@pytest.mark.integration
async def test_one_that_cannot_start(footprint: Footprint, tmp_path: Path) -> None:
    """Then none stays, the supervisor says so, and its exit code is not 0."""
    broken = "import os\nfork = os.fork\nos.fork = lambda: fork() or os._exit(7)\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    prefix = ["sh", "-c", f'PYTHONPATH={tmp_path}:$PYTHONPATH exec "$@"', "sh"]
    settings = {"workers": "2", "upstream_url": "http://127.0.0.1:9"}
    async with spawned("serve", cwd=tmp_path, prefix=prefix, **settings) as child:
        assert await child.exit_code(within=10) == 7
    assert "ended before all had started (exit code 7)" in child.stdout
    assert "listening" not in child.stdout


SUPERVISED = """
import os, signal, time
from proxy.observe.formatters import set_up_logging
from proxy.server import workers

fork, forks = os.fork, 0

def work(link):
    link.tell_started()
    if forks == {dies}:
        os.read(link.all_started, 1)
        os._exit(9)
    os.read(link.supervisor, 1)
    return 0

def forked():
    global forks
    forks += 1
    {fork}

os.fork = forked
set_up_logging("info", as_json=False, colour=False)
ready, stop = (lambda: print("ready", flush=True)), (lambda: print("stopping", flush=True))
job = workers.Job(work, ready, stop, ended=lambda number: None)
raise SystemExit(workers.Supervisor(job, 2, 1.0).run())
"""


async def supervised(fork: str, tmp_path: Path, dies: int = 0) -> asyncio.subprocess.Process:
    """A supervisor of two workers, with what ``os.fork`` does instead; the first worker dies as the fork says."""
    script = tmp_path / "supervised.py"
    script.write_text(SUPERVISED.format(fork=fork, dies=dies))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, script),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.integration
async def test_a_signal_that_meets_a_new_worker(tmp_path: Path) -> None:
    """It is the worker's, not its supervisor's, as soon as there is a worker."""
    fork = "pid = fork()\n    if pid == 0: os.kill(os.getpid(), signal.SIGTERM)\n    return pid"
    process = await supervised(fork, tmp_path)
    said = (await process.communicate())[0].decode()
    assert " ended before all had started (SIGTERM)" in said
    assert "ready" not in said
    assert process.returncode == 1


@pytest.mark.integration
async def test_a_worker_that_cannot_be_started_at_first(tmp_path: Path) -> None:
    """Nothing runs then, and the exit code says so."""
    process = await supervised("raise BlockingIOError(11, 'Resource temporarily unavailable')", tmp_path)
    said = (await process.communicate())[0].decode()
    assert said.count("worker 1 could not be started (Resource temporarily unavailable)") == 1
    assert "worker 2" not in said
    assert process.returncode == 1


@pytest.mark.integration
async def test_a_worker_that_cannot_be_replaced_yet(tmp_path: Path) -> None:
    """The others go on, and it is tried again after a while."""
    fork = (
        "if forks == 3: raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "    if forks == 4: print('again', flush=True)\n    return fork()"
    )
    process = await supervised(fork, tmp_path, dies=1)
    assert process.stdout is not None
    lines = []
    while (line := (await process.stdout.readline()).decode()) and line != "again\n":
        lines.append(line)
    assert line == "again\n", lines
    assert "ready\n" in lines
    assert any(
        "could not be started (Resource temporarily unavailable): another starts in 1 s" in each for each in lines
    )
    process.send_signal(signal.SIGTERM)
    assert "stopping" in (await process.communicate())[0].decode()
    assert process.returncode == 0


async def test_lines_stay_whole(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Many lines of several processes to one pipe, read slowly: each arrives whole, and none holds up a request."""
    proxy = await proxy_process(await upstream(reply(OK)), workers="3")
    proxy.stop_reading()

    async def ask() -> None:
        client = await connect(proxy)
        for _ in range(40):
            assert (await client.ask(get(target="/api/v1/models/" + "x" * 200))).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(ask())
    proxy.read_on()
    await proxy.until(lambda: len(proxy.access_log) == 640, "each line")
    for line in proxy.stdout.splitlines():
        json.loads(line)
