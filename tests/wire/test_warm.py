"""A few TLS connections are ready before they are needed, for as long as the proxy is in use."""

import asyncio
import signal
import ssl
import time
from collections.abc import Callable
from typing import Any, Protocol

import pytest
import uvloop

from proxy.upstream import demand
from proxy.upstream import pool as pools
from proxy.upstream.direct import Direct
from proxy.upstream.pool import Pool
from proxy.upstream.trust import tls_context
from tests.support.client import Client, get, post
from tests.support.connection import socket_of
from tests.support.fixtures import Connect, OpenUpstream, Setup, StartProcess, StartProxy, Through
from tests.support.tls_by_hand import Tls
from tests.support.upstream import OK, Script, Upstream, UpstreamConnection, reply
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.only_route("direct", reason="its upstreams speak TLS, or break it, by themselves")


class Warm(Protocol):
    async def __call__(self, *scripts: Script, **settings: Any) -> Setup: ...


@pytest.fixture
async def warm(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, tls: ssl.SSLContext) -> Warm:
    """The usual set-up, over TLS, and with a warm connection that is ready."""

    async def start(*scripts: Script, **settings: Any) -> Setup:
        behind = await upstream(*scripts, tls=tls)
        proxy = await proxy_for(behind, **{"warm_connections": 1, **settings})
        for n in range(int(proxy.settings.warm_connections)):
            await behind.connection(n)
        return Setup(await connect(proxy), behind, proxy)

    return start


async def settled(way: Setup) -> None:
    """Some turns of the loop that the proxy and the upstream share, in which whatever is due now would happen."""
    for _ in range(3):
        assert (await way.client.ask(get(target="/healthz"))).status == 200


def served(upstream: Upstream) -> list[int]:
    """How many requests each connection has carried."""
    return [len(connection.requests) for connection in upstream.connections]


def gated(gate: asyncio.Event) -> Script:
    """Answers each request once the gate is open."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            await gate.wait()
            await connection.send(OK)

    return script


async def test_ready_before_the_first_request(warm: Warm) -> None:
    """One connection is there before anybody asks; the first request travels on it, and is followed by another."""
    gate = asyncio.Event()
    way = await warm(gated(gate))
    await settled(way)
    assert served(way.upstream) == [0]
    await way.client.send(post())
    await way.upstream.connection(1)
    assert served(way.upstream) == [1, 0]
    gate.set()
    assert (await way.client.answer(b"POST")).status == 200


async def test_idle_ones_count_whoever_opened_them(warm: Warm, connect: Connect) -> None:
    """One that a request leaves behind is as ready as any: a proxy that has idle ones opens no more."""
    way = await warm()
    await way.client.ask(post())
    await way.upstream.connection(1)
    for _ in range(10):
        assert (await (await connect(way.proxy)).ask(post())).status == 200
    await settled(way)
    assert len(way.upstream.connections) == 2
    assert len(way.upstream.open) == 2


async def test_several(warm: Warm, connect: Connect) -> None:
    """As many as are set are ready, and each that is taken is replaced: never more than those and the ones in use."""
    gate = asyncio.Event()
    way = await warm(gated(gate), warm_connections=3)
    await settled(way)
    assert served(way.upstream) == [0, 0, 0]
    clients = [await connect(way.proxy) for _ in range(3)]
    for n, client in enumerate(clients):
        await client.send(post())
        await way.upstream.request(n)
    await way.upstream.connection(5)
    gate.set()
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
    await settled(way)
    assert sorted(served(way.upstream)) == [0, 0, 0, 1, 1, 1]


async def test_a_burst(warm: Warm, connect: Connect) -> None:
    """Fifty requests at once have a connection each, and one more is ready; not one for each of them."""
    gate = asyncio.Event()
    way = await warm(gated(gate))
    clients = [await connect(way.proxy) for _ in range(50)]
    for client in clients:
        client.write(post())
    await way.upstream.connection(50)
    await way.upstream.request(49)
    gate.set()
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
    await settled(way)
    assert sorted(served(way.upstream)) == [0] + [1] * 50


async def test_as_many_as_were_used_at_once(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With auto, a burst finds as many ready as the last one used, though those have expired meanwhile."""
    gate = asyncio.Event()
    behind = await upstream(gated(gate), tls=tls)
    proxy = await proxy_for(behind, warm_connections="auto")
    await behind.connection(0)

    async def burst(size: int) -> None:
        gate.clear()
        before = len(behind.requests)
        clients = [await connect(proxy) for _ in range(size)]
        for client in clients:
            client.write(post())
        await behind.request(before + size - 1)
        gate.set()
        for client in clients:
            assert (await client.answer(b"POST")).status == 200

    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.4)
    await burst(6)
    first = len(behind.connections)
    for connection in behind.connections[:6]:
        await connection.ended()  # expired, and its successor is there
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 60.0)
    await eventually(lambda: len(behind.open) >= 6, lambda: "as many ready")
    opened = len(behind.connections)
    assert opened > first
    await burst(6)
    assert sum(len(connection.requests) for connection in behind.connections[opened:]) <= 1


async def test_let_go_again(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With auto, once the burst is minutes ago, one is enough."""
    gate = asyncio.Event()
    behind = await upstream(gated(gate), tls=tls)
    proxy = await proxy_for(behind, warm_connections="auto")
    monkeypatch.setattr(demand, "_SLOT", 0.25)
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.3)
    clients = [await connect(proxy) for _ in range(5)]
    for client in clients:
        client.write(post())
    await behind.request(4)
    gate.set()
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
    await eventually(lambda: len(behind.open) <= 2, lambda: f"{len(behind.open)} to become one and its successor")


async def test_none(warm: Warm) -> None:
    """With 0, connections are opened by requests only."""
    way = await warm(warm_connections=0)
    await settled(way)
    assert not way.upstream.connections
    assert (await way.client.ask(post())).status == 200
    await settled(way)
    assert served(way.upstream) == [1]


async def test_none_to_this_machine(through: Through) -> None:
    """Over plain HTTP, which leads to loopback only, there is nothing to save."""
    way = await through(warm_connections=8)
    await settled(way)
    assert not way.upstream.connections
    assert (await way.client.ask(post())).status == 200
    await settled(way)
    assert served(way.upstream) == [1]


async def test_the_successor_comes_before_the_end(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has been idle for long is replaced, and closed only when the next one is there."""
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.3)
    way = await warm(reply(OK))
    await way.upstream.closed(0)
    begun = len(way.upstream.server_names)
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 60.0)
    assert begun > 1


async def test_lets_go_when_nobody_uses_it(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unused for minutes, the proxy lets its connections expire and opens no more; the next request starts it again."""
    gate = asyncio.Event()

    async def until_its_end(connection: UpstreamConnection) -> None:
        monkeypatch.setattr(pools, "_IN_USE_FOR", 0.0)
        await connection.ended()

    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.5)
    way = await warm(until_its_end, until_its_end, gated(gate), warm_connections=2)
    for n in range(2):
        await way.upstream.closed(n)
    await settled(way)
    assert len(way.upstream.connections) == 2
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 60.0)
    monkeypatch.setattr(pools, "_IN_USE_FOR", 300.0)
    await way.client.send(post())
    await way.upstream.connection(4)  # two that are ready, beside the one of the request
    gate.set()
    assert (await way.client.answer(b"POST")).status == 200
    await settled(way)
    assert sorted(served(way.upstream)) == [0, 0, 0, 0, 1]


async def test_one_that_is_closed_is_not_replaced_when_nobody_uses_it(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unused for minutes, and closed by the upstream: that is all."""
    way = await warm()
    monkeypatch.setattr(pools, "_IN_USE_FOR", 0.0)
    way.upstream.connections[0].close()
    await way.upstream.closed(0)
    await settled(way)
    assert len(way.upstream.connections) == 1


async def test_a_request_in_flight_is_use(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an answer lasts, the next request finds a connection that is ready."""
    gate = asyncio.Event()
    way = await warm(gated(gate))
    monkeypatch.setattr(pools, "_IN_USE_FOR", 0.0)
    await way.client.send(post())
    await way.upstream.connection(1)
    gate.set()
    assert (await way.client.answer(b"POST")).status == 200


async def test_overslept(warm: Warm, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was idle while the machine slept, for an hour by the wall clock, is not used: U has forgotten it."""
    way = await warm()
    await settled(way)
    now = time.time()
    monkeypatch.setattr(pools, "wall_clock", lambda: now + 3600)
    assert (await way.client.ask(post())).status == 200
    await way.upstream.closed(0)
    assert served(way.upstream)[0] == 0
    await way.upstream.connection(2)
    before = len(way.upstream.connections)
    assert (await way.client.ask(post())).status == 200
    await settled(way)
    assert len(way.upstream.connections) == before


@pytest.mark.integration
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_tickets_are_not_the_end(tls: ssl.SSLContext, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """TLS 1.3's session tickets, which come behind the handshake, are neither an end nor unasked bytes."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check_tickets(tls))


async def check_tickets(tls: ssl.SSLContext) -> None:
    tickets = b""

    async def holds_tickets_back(connection: UpstreamConnection) -> None:
        nonlocal tickets
        by_hand = Tls(connection, tls)
        await connection.send(await by_hand.flight())
        tickets = await by_hand.flight()
        connection.upstream.news.tell()
        assert await by_hand.request()
        await connection.send(by_hand.sealed(OK))
        await connection.ended()

    async with Upstream(holds_tickets_back) as behind:
        pool = Pool(Direct("localhost", behind.port), tls_context(), ready=1)
        await pool.prepare(PATIENCE)
        (connection,) = pool._connections
        await behind.news.until(lambda: tickets, "the tickets")
        with socket_of(behind.connections[0].transport) as sock:
            assert sock.send(tickets) == len(tickets) > 100
        # In the same turn of the loop: they have arrived, and nobody has read them.
        assert connection.stale()
        assert pool.idle() is None
        await eventually(lambda: not connection.stale(), lambda: "the tickets to be read")
        assert pool.idle() is connection
        connection.start("GET")
        connection.write(get())
        assert (await connection.head())[0] == 200
        pool.close()
        await behind.closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_one_shot_tools(
    upstream: OpenUpstream, proxy_process: StartProcess, tls: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """One-shot tools, one after another, find a connection that is ready (here on uvloop); and no line tells of it."""
    tls.minimum_version = tls.maximum_version = version
    behind = await upstream(tls=tls)
    settings = {"warm_connections": "1", "log_level": "info", "http_referer": "https://app.test/"}
    proxy = await proxy_process(behind, **settings)
    await behind.connection()
    for n in range(5):
        tool = await Client.open(proxy)
        try:
            assert (await tool.ask(post())).status == 200
        finally:
            await tool.aclose()
        await proxy.access_line(n)
        await behind.connection(1)
    assert len(behind.connections) == 2
    assert served(behind)[0] >= 1
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_code() == 0
    assert proxy.stderr == ""
    assert proxy.stdout.count("\n") == 1 + 5  # that of the start, and the access lines
