"""Promise 34 with several processes: each tells what all have counted, and no count goes backwards."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client import Client, get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.http1 import LAST_CHUNK, message
from tests.support.proxies import ProxyProcess
from tests.support.upstream import OK, Script, UpstreamConnection, reply
from tests.support.waiting import eventually
from tests.wire.test_promise_34_metrics import PREFIX, Samples, samples, value
from tests.wire.test_workers import EVENTS, workers_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and asks /proc"),
    pytest.mark.only_route("direct", reason="is about processes, which reach the upstream as one does"),
]


STREAM = "/api/v1/responses"


def answers(finish: asyncio.Event) -> Script:
    """Answers each request; what is asked for as a stream ends when ``finish`` is set."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.news.until(lambda: connection.buffer or connection.end, "a request", within=3600)
            request = await connection.request()
            if request.target != STREAM.encode():
                await connection.send(OK)
                continue
            await connection.send(EVENTS)
            await finish.wait()
            await connection.send(LAST_CHUNK)

    return script


async def only(pid: int, proxy: ProxyProcess, connect: Connect) -> Client:
    """A client that this worker serves: no other runs while it connects."""
    others = workers_of(proxy) - {pid}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        for other in others:
            await stands_still(other)
        client = await connect(proxy)
        assert (await client.ask(get(target="/healthz"))).status == 200
        return client
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


async def stands_still(pid: int) -> None:
    stat = Path(f"/proc/{pid}/stat")
    await eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", lambda: f"{pid} to stand still")


async def scraped(client: Client) -> str:
    response = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
    assert response.status == 200
    return bytes(response.body).decode()


async def test_they_are_added_up(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Whichever worker answers tells the sum over all: requests, bytes, times, those under way, and the pools."""
    finish = asyncio.Event()
    proxy = await proxy_process(await upstream(answers(finish)), workers="2")
    one, two = [await only(pid, proxy, connect) for pid in sorted(workers_of(proxy))]
    for client, count in ((one, 7), (two, 5)):
        for _ in range(count):
            assert (await client.ask(post(body=b"12345"))).status == 200
    assert (await one.ask(get(target="/nowhere"))).status == 404
    await two.send(post(target=STREAM))
    open_stream = await two.response()

    for client in (one, await only(max(workers_of(proxy)), proxy, connect)):
        text = await scraped(client)
        assert value(text, "requests_total", outcome="stamped", status="2xx") == 12
        assert value(text, "requests_total", error="unknown-path") == 1
        assert value(text, "request_body_bytes_total") == 12 * 5
        assert value(text, "response_body_bytes_total") == 12 * 2
        assert value(text, "time_to_first_byte_seconds_count") == 12
        assert value(text, "request_duration_seconds_bucket", le="+Inf") == 12
        await under_way(client, 2)  # the stream, and this one
    for _ in range(20):
        text = await scraped(await connect(proxy))
        assert value(text, "requests_total", outcome="stamped") == 12
    await settled(proxy, connect, "upstream_handshakes_total", 2)
    await settled(proxy, connect, "upstream_connections", 1, state="active")
    await settled(proxy, connect, "upstream_connections", 1, state="idle")
    finish.set()
    await open_stream.read()
    await eventually_scraped(one, lambda text: value(text, "requests_total", outcome="stamped") == 13)
    await under_way(one, 1)


async def settled(proxy: ProxyProcess, connect: Connect, name: str, number: float, **labels: str) -> None:
    """What a worker reads from its other parts is told to the others once a second: wait until all tell this."""
    async with asyncio.timeout(30):
        while True:
            texts = [await scraped(await connect(proxy)) for _ in range(5)]
            if {value(text, name, **labels) for text in texts} == {number}:
                return


async def test_what_a_killed_one_has_counted_stays(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Its requests stay in the sums, those it had under way go; whoever takes its place counts on from there."""
    proxy = await proxy_process(await upstream(answers(asyncio.Event())), workers="2")
    victim, other = sorted(workers_of(proxy))
    doomed, witness = await only(victim, proxy, connect), await only(other, proxy, connect)
    for client in (doomed, witness):
        for _ in range(3):
            assert (await client.ask(post())).status == 200
    await settled(proxy, connect, "upstream_handshakes_total", 2)
    await doomed.send(post(target=STREAM))
    await doomed.response()
    await under_way(witness, 2)
    before = counters(await scraped(witness))

    os.kill(victim, signal.SIGKILL)
    await proxy.until(lambda: "another starts" in proxy.stdout, "the supervisor's line")
    await under_way(witness, 1)
    for sample, number in counters(await scraped(witness)).items():
        assert number >= before.get(sample, 0), sample
    await eventually(lambda: len(workers_of(proxy)) == 2, lambda: "another worker")
    [successor] = workers_of(proxy) - {other}
    heir = await only(successor, proxy, connect)
    for _ in range(2):
        assert (await heir.ask(post())).status == 200
    for client in (heir, witness):
        text = await scraped(client)
        assert value(text, "requests_total", outcome="stamped") == 3 + 3 + 2
        for sample, number in counters(text).items():
            assert number >= before.get(sample, 0), sample
        await under_way(client, 1)
    await settled(proxy, connect, "upstream_handshakes_total", 3)


async def under_way(client: Client, count: int) -> None:
    """Wait for it: that another worker is done with a request is seen a moment after its answer is."""
    await eventually_scraped(client, lambda text: value(text, "requests_in_progress") == count)


async def eventually_scraped(client: Client, ready: Callable[[str], bool]) -> None:
    async with asyncio.timeout(30):
        while not ready(await scraped(client)):
            pass


def counters(text: str) -> Samples:
    """What Prometheus takes to have been reset when it becomes less."""
    return {
        (name, labels): number
        for (name, labels), number in samples(text).items()
        if name.endswith(("_total", "_count", "_sum", "_bucket"))
    }


async def test_about_the_processes(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """What Prometheus calls a process is all of them: their memory and files as sums, and one start."""
    proxy = await proxy_process(await upstream(reply(OK)), workers="2")
    one, two = [await only(pid, proxy, connect) for pid in sorted(workers_of(proxy))]
    started = {value_of(await scraped(client), "process_start_time_seconds") for client in (one, two)}
    assert len(started) == 1
    of_each = [int(limit_of(pid)) for pid in workers_of(proxy)]
    await eventually_scraped(one, lambda text: value_of(text, "process_max_fds") == sum(of_each))
    resident = sum(resident_bytes(pid) for pid in workers_of(proxy))
    await eventually_scraped(
        one, lambda text: value_of(text, "process_resident_memory_bytes") == pytest.approx(resident, rel=0.2)
    )
    names = {name for name, _ in samples(await scraped(one))}
    assert {"python_info", f"{PREFIX}info", "process_cpu_seconds_total"} <= names
    kernel_counts_files = Path("/proc/self/fd").stat().st_size > 0  # since Linux 6.2
    assert ("process_open_fds" in names) == kernel_counts_files
    assert not {name for name in names if name.startswith("python_gc")}  # of one process, whichever answers


def value_of(text: str, name: str) -> float:
    return samples(text)[name, frozenset()]


def limit_of(pid: int) -> str:
    [line] = [each for each in Path(f"/proc/{pid}/limits").read_text().splitlines() if each.startswith("Max open file")]
    return line.split()[3]


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_file_is_written(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, tmp_path: Path, workers: int
) -> None:
    """They share memory without a name: no folder can be missing or full or be left behind; a single one shares none.

    The process may not write to any file at all, as on a file system that is read-only.
    """
    nowhere = tmp_path / "nowhere"
    prefix = ["prlimit", "--fsize=0", "env", f"TMPDIR={nowhere}"]
    proxy = await proxy_process(await upstream(reply(OK)), workers=str(workers), prefix=prefix)
    pids = workers_of(proxy) or {proxy.process.pid}
    assert len(pids) == workers
    client = await connect(proxy)
    assert (await client.ask(post())).status == 200
    assert value(await scraped(client), "requests_total", outcome="stamped") == 1
    for pid in pids:
        maps = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
        shared = [each[-1] for each in maps if each[1] == "rw-s" and not each[-1].startswith("anon_inode:")]  # io_uring
        assert shared == ["/dev/zero (deleted)"] * (workers > 1)
    if workers > 1:
        os.kill(min(pids), signal.SIGKILL)
        await proxy.until(lambda: "another starts" in proxy.stdout, "the supervisor's line")
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_code(within=10) == 0
    assert not nowhere.exists()


async def test_no_live_page(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Of several workers each would show only its own requests: there is none, and the start says so."""
    proxy = await proxy_process(await upstream(reply(OK)), workers="2", live_page="on", log_format="text")
    assert "no live page: of 2 workers each would show only its own (OPENROUTER_WORKERS)" in proxy.stdout
    response = await (await connect(proxy)).ask(get(target="/"))
    assert (response.status, response.values("x-proxy-error")) == (404, [b"unknown-path"])
