"""Connections cannot be made ready, or do not stay: patience, silence, and no harm to requests."""

import asyncio
import json
import logging
import random
import resource
import signal
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from proxy.upstream import backoff, opening
from proxy.upstream import pool as pools
from proxy.upstream.backoff import Backoff
from proxy.upstream.direct import Direct
from proxy.upstream.pool import Pool
from proxy.upstream.transport import UpstreamTransport
from proxy.upstream.trust import tls_context
from tests.support.blackhole import black_hole
from tests.support.client import get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, OpenUpstream, Setup, StartProcess, StartProxy
from tests.support.footprint import Footprint, open_sockets
from tests.support.names import Names
from tests.support.ports import once_it_listens, reserved
from tests.support.proxies import Proxy, in_process, spawned
from tests.support.tls_by_hand import Tls, over_tls
from tests.support.upstream import OK, Script, Upstream, UpstreamConnection, reply
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.only_route("direct", reason="its upstreams speak TLS, or break it, by themselves")

AT_ONCE = 5.0  # seconds; far less than any limit that could be waited for instead


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds in the place of seconds."""
    monkeypatch.setattr(backoff, "_FIRST", 0.01)
    monkeypatch.setattr(backoff, "_LONGEST", 0.08)


@pytest.fixture
def forbearing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that no test outlasts."""
    monkeypatch.setattr(backoff, "_FIRST", 3600.0)
    monkeypatch.setattr(backoff, "_LONGEST", 3600.0)


def url(behind: Upstream) -> str:
    """It is called over TLS, whatever it speaks."""
    return f"https://localhost:{behind.port}"


async def change(behind: Upstream, tls: ssl.SSLContext | None, script: Script) -> None:
    """From now on the upstream is like that to new connections; those that are open stay."""
    behind._server.close()
    behind.tls, behind.scripts = tls, (*behind.scripts[:1] * len(behind.connections), script)
    await behind.start()


async def hangs_up(connection: UpstreamConnection) -> None:
    connection.close()


async def never_greets(connection: UpstreamConnection) -> None:
    await connection.ended()


def test_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """From failure to failure twice as long, up to a minute, and from the start after a success."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    pauses = Backoff()
    assert pauses.until < 0
    for pause in (1, 2, 4, 8, 16, 32, 60, 60, *[60] * 2000):
        pauses.failed(100.0)
        assert pauses.until == 100.0 + pause
    pauses.worked()
    assert pauses.until < 0
    pauses.failed(200.0)
    assert pauses.until == 201.0


def test_backoff_is_spread() -> None:
    """Not all who have lost the same upstream come back in the same moment; and never earlier than in half the time."""
    found = set()
    for _ in range(100):
        pauses = Backoff()
        pauses.failed(0.0)
        found.add(pauses.until)
        assert 0.5 <= pauses.until <= 1.0
    assert len(found) > 50


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
async def test_closed_by_the_upstream(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tls: ssl.SSLContext,
    impatient: None,
    leave: Callable[[Connection], None],
) -> None:
    """One that the upstream closes is replaced, and the next request finds the replacement."""
    behind = await upstream(tls=tls)
    proxy = await proxy_for(behind, warm_connections=1)
    way = Setup(await connect(proxy), behind, proxy)
    leave(await behind.connection())
    await behind.connection(1)
    assert (await way.client.ask(post())).status == 200
    assert [len(connection.requests) for connection in behind.connections[:2]] == [0, 1]


@pytest.mark.parametrize("unused", ["closed at once", "closed after a while", "bytes that nobody asked for"])
async def test_an_upstream_that_wants_no_idle_ones(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, tls: ssl.SSLContext, impatient: None, unused: str
) -> None:
    """An upstream that ends what is not used at once is not dialled again and again: from time to time it grows."""
    times = []

    async def script(connection: UpstreamConnection) -> None:
        times.append(asyncio.get_running_loop().time())
        if unused == "closed after a while":
            await asyncio.sleep(0.01)
        elif unused == "bytes that nobody asked for":
            await connection.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")

    behind = await upstream(script, tls=tls)
    await proxy_for(behind, warm_connections=1)
    await behind.connection(6)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    # The last pauses are the longest ones, of which chance takes at most half; the loop's clock is read earlier.
    assert min(gaps[3:6]) >= 0.035, gaps


async def test_closed_as_soon_as_it_is_made(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, tls: ssl.SSLContext, impatient: None
) -> None:
    """One whose end came with the last bytes of its handshake was never ready, and another follows."""
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # in which the last bytes are the server's

    async def greets_and_leaves(connection: UpstreamConnection) -> None:
        by_hand = Tls(connection, tls)
        await connection.send(await by_hand.flight())
        await connection.send(await by_hand.flight() + by_hand.close_notify())

    behind = await upstream(greets_and_leaves)
    proxy = await proxy_for(url(behind), warm_connections=1)
    await behind.connection(1)
    await change(behind, tls, reply(OK))
    ready = await behind.connection(len(behind.connections))
    assert (await (await connect(proxy)).ask(post())).status == 200
    assert len(ready.requests) == 1


async def serves(pool: Pool) -> None:
    connection = pool.idle()
    assert connection
    connection.start("GET")
    connection.write(get())
    connection.request_sent = True
    assert (await connection.head())[0] == 200
    with suppress(StopAsyncIteration):
        while await connection.read():
            pass
    pool.release(connection)


async def lives_to_its_end(pool: Pool) -> None:
    await eventually(pool.short.is_set, lambda: "the expiry")


@pytest.mark.parametrize("good", [serves, lives_to_its_end])
async def test_what_ends_the_patience(
    upstream: OpenUpstream,
    tls: ssl.SSLContext,
    forbearing: None,
    monkeypatch: pytest.MonkeyPatch,
    good: Callable[[Pool], Awaitable[None]],
) -> None:
    """One that served a request, or that the upstream let live, shows that the next one may be tried at once."""
    if good is lives_to_its_end:
        monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.05)
    behind = await upstream(tls=tls)
    pool = Pool(Direct("localhost", behind.port), tls_context(), ready=1)
    pool.begin()
    await pool.prepare(PATIENCE)
    pool.short.clear()
    now = asyncio.get_running_loop().time()
    pool.backoff.failed(now)
    assert pool.backoff.until > now
    await good(pool)
    assert pool.backoff.until < now
    pool.close()


async def test_down_and_up_again(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tls: ssl.SSLContext,
    impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the upstream hangs up on TLS, it is tried at growing gaps, without a line; then one is ready again."""
    times = []

    async def notes(connection: UpstreamConnection) -> None:
        times.append(asyncio.get_running_loop().time())
        connection.close()

    behind = await upstream(notes)
    proxy = await proxy_for(url(behind), warm_connections=1)
    await behind.connection(6)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 0.005
    assert min(gaps[3:6]) >= 0.035, gaps
    await change(behind, tls, reply(OK))
    ready = await behind.connection(len(behind.connections))
    client = await connect(proxy)
    assert (await client.ask(post())).status == 200
    assert len(ready.requests) == 1
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG and record.name != "proxy.access"]


async def test_a_request_that_gets_through_ends_the_patience(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, tls: ssl.SSLContext, forbearing: None
) -> None:
    """In a pause a request connects by itself; if that works, one is made ready at once."""
    behind = await upstream(hangs_up)
    proxy = await proxy_for(url(behind), warm_connections=1)
    client = await connect(proxy)
    await behind.closed()
    await behind.stop()
    assert (await client.ask(post())).values("x-proxy-error") == [b"upstream-unreachable"]
    behind.tls, behind.scripts = tls, (reply(OK),)
    await behind.start()
    assert (await client.ask(post())).status == 200
    await behind.connection(2)
    assert [len(connection.requests) for connection in behind.connections] == [0, 1, 0]


async def test_a_request_does_not_wait_for_one_that_hangs(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, tls: ssl.SSLContext
) -> None:
    """While one is being opened that may never be ready, a request opens its own."""
    behind = await upstream(never_greets)
    proxy = await proxy_for(url(behind), warm_connections=1)
    await (await behind.connection()).take(1)
    await change(behind, tls, reply(OK))
    assert (await (await connect(proxy)).ask(post())).status == 200
    assert [len(connection.requests) for connection in behind.connections] == [0, 1]


async def test_no_limit_for_requests_is_a_limit_here(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    tls: ssl.SSLContext,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With OPENROUTER_CONNECT_TIMEOUT=0, what hangs is given up all the same, and tried again."""
    monkeypatch.setattr(opening, "_READY_WITHIN", 0.1)
    behind = await upstream(never_greets)
    proxy = await proxy_for(url(behind), warm_connections=1, connect_timeout=0)
    assert proxy.settings.connect_timeout is None
    await behind.closed()
    await behind.connection(1)


async def test_no_descriptors(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, tls: ssl.SSLContext
) -> None:
    """Without a descriptor to spare nothing is opened, and only the server says why; later one is ready again."""
    behind = await upstream(tls=tls)
    proxy = await proxy_process(behind, warm_connections="1", http_referer="https://app.test/")
    await behind.connection()
    limits = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    behind.connections[0].close()
    await proxy.until(lambda: "could be made ready" in proxy.stdout, "the failure")
    assert len(behind.connections) == 1
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, limits)
    await behind.connection(1)
    lines = map(json.loads, proxy.stdout.splitlines())
    told = [line["message"] for line in lines if line["level"] != "debug"]
    assert not [each for each in told if not each.startswith(("listening on ", "overloaded: no file "))]
    assert proxy.stderr == ""


@pytest.mark.integration
@pytest.mark.parametrize("fault", ["hole", "refused"])
async def test_the_start_does_not_wait(footprint: Footprint, tmp_path: Path, fault: str) -> None:
    """With an upstream out of reach, the proxy starts and ends as always, at once and without a line of it."""
    with black_hole() as hole, reserved() as nobody, reserved() as address:
        target = hole.replace("http:", "https:") if fault == "hole" else f"https://{nobody}"
        settings = {"upstream_url": target, "warm_connections": "1", "listen": str(address), "log_level": "info"}
        async with spawned("serve", cwd=tmp_path, http_referer="https://app.test/", **settings) as proxy:
            client = await once_it_listens(address)
            assert (await client.ask(get(target="/healthz"))).status == 200
            await client.aclose()
            proxy.signal(signal.SIGTERM)
            assert await proxy.exit_code(within=AT_ONCE) == 0
    assert [json.loads(line)["message"] for line in proxy.stdout.splitlines()] == [f"listening on http://{address}"]
    assert proxy.stderr == ""


class Stage:
    """Brings a proxy into a state of its keeping connections ready, and is left with it in that state."""

    def __init__(self, upstream: OpenUpstream, connect: Connect, tls: ssl.SSLContext, names: Names) -> None:
        self.upstream, self.connect, self.tls, self.names = upstream, connect, tls, names
        self.stack = AsyncExitStack()

    async def proxy(self, url: str) -> Proxy:
        return await self.stack.enter_async_context(in_process(url, warm_connections=1))

    async def dns_hangs(self) -> None:
        self.names.answering.clear()
        await self.proxy("https://upstream.test:443")
        await eventually(lambda: self.names.lookups == 1, lambda: "a lookup")

    async def tcp_hangs(self) -> None:
        hole = self.stack.enter_context(black_hole())
        proxy = await self.proxy(hole.replace("http:", "https:"))
        await (await self.connect(proxy)).ask(get(target="/healthz"))

    async def tls_hangs(self) -> None:
        behind = await self.upstream(never_greets)
        await self.proxy(url(behind))
        await (await behind.connection()).take(1)

    async def pausing(self) -> None:
        behind = await self.upstream(hangs_up)
        proxy = await self.proxy(url(behind))
        await behind.closed()
        await (await self.connect(proxy)).ask(get(target="/healthz"))

    async def ready(self) -> None:
        behind = await self.upstream(tls=self.tls)
        proxy = await self.proxy(url(behind))
        await behind.connection()
        await (await self.connect(proxy)).ask(get(target="/healthz"))

    async def replacing(self) -> None:
        behind = await self.upstream(tls=self.tls)
        proxy = await self.proxy(url(behind))
        await behind.connection()
        await change(behind, None, never_greets)
        assert (await (await self.connect(proxy)).ask(post())).status == 200
        await (await behind.connection(1)).take(1)


@pytest.mark.parametrize(
    "state", [Stage.dns_hangs, Stage.tcp_hangs, Stage.tls_hangs, Stage.pausing, Stage.ready, Stage.replacing]
)
async def test_stopping(
    upstream: OpenUpstream,
    connect: Connect,
    tls: ssl.SSLContext,
    names: Names,
    forbearing: None,
    state: Callable[[Stage], Awaitable[None]],
) -> None:
    """In whatever state it is, the proxy ends at once, and leaves nothing behind."""
    stage = Stage(upstream, connect, tls, names)
    async with stage.stack:
        await state(stage)
        async with asyncio.timeout(AT_ONCE):
            await stage.stack.aclose()
        names.answering.set()


@pytest.mark.parametrize("cancelled", ["waiting", "opening"])
async def test_closing_is_cancelled(upstream: OpenUpstream, tls: ssl.SSLContext, cancelled: str) -> None:
    """Even if the wait for its end is given up, what was opened is closed."""
    behind = await upstream(never_greets) if cancelled == "opening" else await upstream(tls=tls)
    transport = UpstreamTransport(Direct("localhost", behind.port), tls_context(), ready=1)
    await transport.__aenter__()
    connection = await behind.connection()
    if cancelled == "opening":
        await connection.take(1)
    closing = asyncio.create_task(transport.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await behind.closed()


@pytest.mark.integration
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_closing_at_any_step(tls: ssl.SSLContext, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """At whatever turn of the loop it is closed, nothing of what was being opened is left."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check_closing(tls))


async def check_closing(tls: ssl.SSLContext) -> None:
    async def until_its_end(connection: UpstreamConnection, tls: Tls) -> None:
        await connection.ended()

    ready = 0
    # TLS by hand: asyncio's own server forgets some of those that leave within the handshake (3.11).
    async with Upstream(over_tls(tls, until_its_end)) as behind:
        before = open_sockets()
        for turns in range(60):
            async with UpstreamTransport(Direct("localhost", behind.port), tls_context(), ready=1) as transport:
                for _ in range(turns):
                    await asyncio.sleep(0)
                ready += len(transport._pool._idle)
            await eventually(lambda: open_sockets() == before, lambda: "sockets to close")
    assert 0 < ready < 60
