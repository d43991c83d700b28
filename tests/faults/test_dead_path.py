"""The way to the upstream is gone, and nobody says so: no FIN, no reset, no answer (Wi-Fi, a VPN, a NAT)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from proxy.upstream import tcp_info, watch
from proxy.upstream.pool import Pool
from proxy.upstream.tcp_info import TcpInfo
from proxy.upstream.watch import Watch, is_gone, unheard_since
from tests.support.aftermath import OWN, sound
from tests.support.client import get, post, post_chunked
from tests.support.far_away import FarAway, FarUpstream, far_away, needs_another_machine
from tests.support.fixtures import Connect, Setup, StartProxy, Through
from tests.support.footprint import Footprint
from tests.support.http1 import Ending, chunk
from tests.support.tls import bundle, server_context
from tests.support.upstream import UpstreamConnection
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.only_route("direct", reason="what is watched is the way to an outbound proxy, if there is one")

CONNECT_TIMEOUT = 1.5  # seconds: must strike, and leaves a busy machine the time for a handshake


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is taken for gone after a second, in the place of twenty."""
    monkeypatch.setattr(watch, "_OFTEN", 0.1)
    monkeypatch.setattr(watch, "_EVERY", 0.1)
    monkeypatch.setattr(watch, "_GONE_AFTER", 1.0)
    monkeypatch.setattr(watch, "_REPEATED", 2)


@pytest.fixture
def far() -> Iterator[FarAway]:
    with far_away() as far:
        yield far


@pytest.fixture
async def behind(
    footprint: Footprint, far: FarAway, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FarUpstream]:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    async with FarUpstream(far, sound, tls=server_context(authority, far.address)) as upstream:
        yield upstream


@pytest.fixture
async def way(behind: FarUpstream, proxy_for: StartProxy, connect: Connect) -> Setup:
    proxy = await proxy_for(behind, connect_timeout=CONNECT_TIMEOUT)
    return Setup(await connect(proxy), behind, proxy)


async def leave_idle(way: Setup, connect: Connect, count: int) -> None:
    """So many connections to the upstream that carry nothing."""
    clients = [await connect(way.proxy) for _ in range(count)]
    for client in clients:
        client.write(post())
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
    assert len(way.upstream.open) == count


async def check_back(way: Setup, far: FarAway, *, connections: int) -> None:
    """Once the path is there again, the next request is served, by one further connection."""
    far.come_back()
    async with asyncio.timeout(PATIENCE):  # in which the neighbour is found again
        while (await way.client.ask(post())).status != 200:
            pass
    assert len(way.upstream.connections) == connections


@needs_another_machine
async def test_a_request_that_may_cost_money(way: Setup, far: FarAway, impatient: None, connect: Connect) -> None:
    """A POST on a connection whose path is gone is 502, not a wait for the response; the idle ones go with it."""
    await leave_idle(way, connect, 3)
    far.vanish()
    response = await way.client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    # Had another idle one been used, it would be this error again; a new connection cannot be made.
    response = await way.client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (504, [b"connect-timeout"])
    await check_back(way, far, connections=3 + 1)


@needs_another_machine
async def test_a_request_that_costs_nothing(
    way: Setup, far: FarAway, impatient: None, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GET is sent again, on a fresh connection: it is served, if the path is there again by then."""
    close_all_idle = Pool._close_all_idle

    def path_is_back(pool: Pool) -> None:
        close_all_idle(pool)
        far.come_back()

    monkeypatch.setattr(Pool, "_close_all_idle", path_is_back)
    await leave_idle(way, connect, 2)
    far.vanish()
    assert (await way.client.ask(get())).status in (200, 504)  # the neighbour may have to be found again
    await check_back(way, far, connections=2 + 1)
    assert [len(connection.requests) for connection in way.upstream.connections][:2] == [1, 1]


@needs_another_machine
async def test_an_upload(way: Setup, far: FarAway, impatient: None, connect: Connect) -> None:
    """An upload whose path goes is 502 before the idle timeout is over."""
    await way.client.send(post_chunked(body=chunk(b"x" * 1000)))
    await way.upstream.request()
    far.vanish()
    await way.client.send(chunk(b"x" * 1000))
    response = await way.client.answer(b"POST")
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    far.come_back()


@needs_another_machine
async def test_the_warm_one(
    behind: FarUpstream, proxy_for: StartProxy, connect: Connect, far: FarAway, impatient: None
) -> None:
    """The one that is kept ready goes as well, and is replaced once the path is back."""
    proxy = await proxy_for(behind, connect_timeout=CONNECT_TIMEOUT, warm_connections=2)
    for n in range(2):
        await behind.connection(n)
    client = await connect(proxy)
    assert (await client.ask(get(target="/healthz"))).status == 200
    far.vanish()
    assert (await client.ask(post())).status == 502
    assert (await client.ask(post())).values("x-proxy-error") == [b"connect-timeout"]
    far.come_back()
    await behind.connection(2)


@needs_another_machine
async def test_a_short_gap(way: Setup, far: FarAway, monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    """A path that is back in time costs nothing but the time."""
    monkeypatch.setattr(watch, "_OFTEN", 0.05)
    monkeypatch.setattr(watch, "_EVERY", 0.05)
    await leave_idle(way, connect, 1)
    far.vanish()
    await way.client.send(post())
    await asyncio.sleep(1.0)  # the gap
    far.come_back()
    assert (await way.client.answer(b"POST")).status == 200
    assert len(way.upstream.connections) == 1


async def test_an_upstream_that_does_not_read(through: Through, impatient: None) -> None:
    """One that acknowledges and takes nothing (a zero window) is not gone: the idle timeout is for it."""

    async def reads_late(connection: UpstreamConnection) -> None:
        await connection.head()
        connection.hold()
        await asyncio.sleep(3.0)  # three times what ends a path that is gone
        connection.resume()
        await connection.requests[0].read()
        await connection.send(OWN)

    client, upstream, _ = await through(reads_late)
    await client.send(post(body=b"x" * 20_000_000))
    response = await client.answer(b"POST")
    assert (response.status, response.ending) == (200, Ending.COMPLETE)
    assert len(upstream.connections) == 1


LOST = TcpInfo(closed=False, unacknowledged=1, repeated=4, taken=0)


def test_when_a_path_is_gone() -> None:
    """After twenty seconds of repeating in vain; an acknowledgement in between begins them anew."""
    assert unheard_since(None, LOST._replace(repeated=0), 100.0) is None
    assert unheard_since(None, LOST._replace(unacknowledged=0), 100.0) is None
    assert unheard_since(None, LOST, 100.0) == 100.0
    assert unheard_since(100.0, LOST, 110.0) == 100.0
    assert unheard_since(100.0, LOST._replace(repeated=0), 110.0) is None
    assert not is_gone(None, LOST, 200.0)
    assert not is_gone(100.0, LOST, 119.9)
    assert is_gone(100.0, LOST, 120.0)
    assert not is_gone(100.0, LOST._replace(repeated=2), 120.0)


async def test_where_the_kernel_does_not_tell(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TCP_INFO (macOS, Windows) nobody asks, and requests are served as ever."""
    monkeypatch.setattr(tcp_info, "IS_THERE", False)
    monkeypatch.delattr(socket, "TCP_INFO")
    monkeypatch.setattr(watch, "_OFTEN", 0.01)
    monkeypatch.setattr(watch, "_EVERY", 0.01)
    client, *_ = await through(sound)
    for _ in range(3):
        assert (await client.ask(post())).status == 200
        await asyncio.sleep(0.03)


async def test_one_clock(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs while a request is under way, and not longer."""
    monkeypatch.setattr(watch, "_OFTEN", 0.01)
    monkeypatch.setattr(watch, "_EVERY", 0.01)
    looks = 0
    look = Watch._look

    def counted(self: Watch) -> None:
        nonlocal looks
        looks += 1
        look(self)

    monkeypatch.setattr(Watch, "_look", counted)
    gate = asyncio.Event()

    async def waits(connection: UpstreamConnection) -> None:
        await connection.request()
        await gate.wait()
        await connection.send(OWN)
        await connection.ended()

    client, *_ = await through(waits)
    await client.send(post())
    await eventually(lambda: looks > 3, lambda: "looks")
    gate.set()
    assert (await client.answer(b"POST")).status == 200
    await asyncio.sleep(0.05)
    before = looks
    await asyncio.sleep(0.1)
    assert looks == before
