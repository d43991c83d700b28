"""The process is stopped and goes on, or the clock is set: no request is given up for time that nobody had."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.support.aftermath import OWN, Base, sound
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.proxies import ProxyProcess
from tests.support.upstream import UpstreamConnection
from tests.support.waiting import PATIENCE, eventually

LIMIT = 3.0  # seconds: each wait that the proxy bounds; a machine with much to do pauses any process for a while
STREAM = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
UPLOAD = post(body=b"12345678")


async def stop(proxy: ProxyProcess) -> None:
    """Returns when it has stopped."""
    proxy.signal(signal.SIGSTOP)
    state = Path(f"/proc/{proxy.process.pid}/stat")
    await eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", lambda: "the process to stop")


class Stage:
    """What the upstream sends before the stop, and while the process is stopped."""

    def __init__(self, before: bytes, meanwhile: bytes) -> None:
        self.before = before
        self.meanwhile = meanwhile
        self.asked = asyncio.Event()
        self.stopped = asyncio.Event()
        self.sent = asyncio.Event()

    async def script(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(self.before)
        self.asked.set()
        await self.stopped.wait()
        await connection.send(self.meanwhile)
        self.sent.set()
        await sound(connection)


STAGES = {
    "the head": (b"", OWN),
    "an event": (STREAM + chunk(b"1"), chunk(b"2") + LAST_CHUNK),
    "the end": (STREAM + chunk(b"1"), LAST_CHUNK),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
async def test_what_came_meanwhile_is_not_late(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, name: str
) -> None:
    """Stopped for longer than every limit, while the upstream has answered: the client gets the whole answer."""
    stage = Stage(*STAGES[name])
    behind = await upstream(stage.script)
    proxy = await proxy_process(behind, response_timeout=str(LIMIT), idle_timeout=str(LIMIT))
    base = Base(proxy)
    client = await connect(proxy)
    await client.send(post())
    await stage.asked.wait()
    if stage.before:
        await client.take_until(b"1\r\n")
    await asyncio.sleep(LIMIT / 4)  # the upstream's time has begun to count
    await stop(proxy)
    stage.stopped.set()
    await stage.sent.wait()
    await asyncio.sleep(1.5 * LIMIT)  # the passing of time is what is tested
    proxy.signal(signal.SIGCONT)
    rest = await (client.take_until(b"own") if name == "the head" else client.take_until(LAST_CHUNK))
    assert b"2\r\n" in rest or name != "an event"
    await client.aclose()
    assert (await proxy.access_line())["error"] is None
    await base.check(connect, lines=2)


@pytest.mark.slow
@pytest.mark.parametrize("half", [UPLOAD[:-4], UPLOAD[:40]], ids=["a body", "a head"])
async def test_a_client_that_went_on_meanwhile_is_not_late(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, half: bytes
) -> None:
    """Stopped for longer than a client may pause in its upload: what it has sent meanwhile counts."""
    behind = await upstream(sound)
    proxy = await proxy_process(behind, idle_timeout=str(LIMIT))
    base = Base(proxy)
    client, other = await connect(proxy), await connect(proxy)
    await client.send(half)
    await (behind.request() if half.endswith(b"1234") else other.ask(get(target="/healthz")))
    await asyncio.sleep(LIMIT / 4)  # the client's time has begun to count
    await stop(proxy)
    await client.send(UPLOAD[len(half) :])
    await asyncio.sleep(1.5 * LIMIT)  # the passing of time is what is tested
    proxy.signal(signal.SIGCONT)
    response = await client.answer(b"POST")
    assert (response.status, bytes(response.body)) == (200, b"own")
    await client.aclose()
    await other.aclose()
    assert (await proxy.access_line())["status"] == 200
    await base.check(connect, lines=2 if half.endswith(b"1234") else 3)


async def test_clients_that_come_meanwhile(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Whoever comes while it is stopped is served once it goes on; told to end meanwhile, it ends then, in order."""
    proxy = await proxy_process(await upstream(sound))
    base = Base(proxy)
    await stop(proxy)
    clients = [await connect(proxy) for _ in range(20)]
    for client in clients:
        await client.send(post())
    proxy.signal(signal.SIGCONT)
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
        await client.aclose()
    await base.check(connect, lines=21, kept=20)
    await stop(proxy)
    proxy.signal(signal.SIGTERM)
    proxy.signal(signal.SIGCONT)
    assert await proxy.exit_code(within=5) == 0
    assert proxy.stderr == ""


CLOCK = """
import pathlib, time
real, real_ns = time.time, time.time_ns
def shift():
    return int(pathlib.Path("clock").read_text())
time.time = lambda: real() + shift()
time.time_ns = lambda: real_ns() + shift() * 10**9
"""
"""Sets the clock that Python code reads. (uvloop's timers, as asyncio's, run on the monotonic one.)"""


async def date_of(proxy: ProxyProcess, connect: Connect) -> datetime:
    """The clock of that process."""
    client = await connect(proxy)
    response = await client.ask(get(target="/healthz"))
    await client.aclose()
    [date] = response.values("date")
    return parsedate_to_datetime(date.decode())


async def once_it_is_set(proxy: ProxyProcess, connect: Connect, before: datetime) -> None:
    """Returns when the proxy has looked at its clock again, as it does some times a second."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if abs(await date_of(proxy, connect) - before) > timedelta(hours=23):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("days", [1, -1])
async def test_the_clock_is_set(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, tmp_path: Path, days: int
) -> None:
    """The clock jumps by a day: no wait ends, no stream is cut, and how long a request took is still true."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(STREAM, chunk(b"1"))
        await jumped.wait()
        await connection.send(chunk(b"2") + LAST_CHUNK)
        await sound(connection)

    jumped = asyncio.Event()
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    (tmp_path / "clock").write_text("0")
    prefix = ["sh", "-c", f'PYTHONPATH={tmp_path}:$PYTHONPATH exec "$@"', "sh"]
    behind = await upstream(script)
    proxy = await proxy_process(behind, prefix=prefix, response_timeout="60", idle_timeout="60")
    streaming, uploading, idle = [await connect(proxy) for _ in range(3)]
    await streaming.send(post())
    await streaming.take_until(b"1\r\n1\r\n")
    await uploading.send(UPLOAD[:-4])
    await behind.request(1)
    assert (await idle.ask(get(target="/healthz"))).status == 200
    before = await date_of(proxy, connect)
    (tmp_path / "next").write_text(str(days * 86400))
    (tmp_path / "next").replace(tmp_path / "clock")
    await once_it_is_set(proxy, connect, before)
    jumped.set()
    assert await streaming.take_until(LAST_CHUNK) == b"1\r\n2\r\n" + LAST_CHUNK
    await uploading.send(UPLOAD[-4:])
    response = await uploading.answer(b"POST")
    assert (response.status, bytes(response.body), response.ending) == (200, b"12", Ending.COMPLETE)
    assert (await idle.ask(post())).status == 200
    for client in (streaming, uploading, idle):
        await client.aclose()
    await proxy.until(lambda: len([1 for line in proxy.access_log if line["method"] == "POST"]) == 3, "three lines")
    lines = [line for line in proxy.access_log if line["method"] == "POST"]
    assert {line["error"] for line in lines} == {None}
    assert all(0 <= line["first_byte_ms"] <= line["total_ms"] < 60_000 for line in lines)
    jump = datetime.fromisoformat(lines[-1]["time"]) - datetime.now(UTC)
    assert abs(jump - timedelta(days=days)) < timedelta(minutes=1)
    assert proxy.stderr == ""
