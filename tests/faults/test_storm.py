"""Promise 16 for many at once: clients that connect and leave in waves, in every phase, leave nothing behind.

By default a wave is small; with ``pytest --full-size -s tests/faults/test_storm.py`` 1,000 clients leave in each phase.
"""

import asyncio
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from proxy.settings.model import Settings
from proxy.upstream.direct import Direct
from proxy.upstream.opening import open_transport
from proxy.upstream.transport import UpstreamTransport
from tests.support.aftermath import OWN
from tests.support.blackhole import black_hole
from tests.support.client import Address, Client, get, post, post_chunked
from tests.support.fixtures import OpenUpstream, StartProcess, StartProxy
from tests.support.footprint import open_sockets
from tests.support.http1 import chunk, message
from tests.support.names import Names
from tests.support.proxies import IDENTITY, Proxy, ProxyProcess
from tests.support.tls import bundle, server_context
from tests.support.upstream import Upstream, UpstreamConnection
from tests.support.waiting import eventually

WAVES = 4
SAMPLE, FULL = 15, 250  # clients in a wave
AT_ONCE = 2.0  # seconds in which the next request is served, on a machine that has other things to do
FORGOTTEN = 10.0  # seconds in which a wave's last trace is gone: at full size, both ends are closed by one busy loop

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
LAST = message("HTTP/1.1 200 OK", "Content-Length: 300000", body=b"x" * 300_000)


class Phase(NamedTuple):
    """What a client has sent when it leaves; the upstream behaves as the target's last segment says."""

    request: bytes
    asked: bool = True
    """Whether the upstream gets to see it."""
    served: str = "/api/v1/served"
    """What can be asked for meanwhile."""


PHASES = {
    "half a head": Phase(get(target="/api/v1/x")[:-2], asked=False),
    "uploading": Phase(post_chunked(target="/api/v1/silence", body=b"A\r\nhalf")),
    "waiting for the head": Phase(post(target="/api/v1/silence")),
    "between events": Phase(post(target="/api/v1/events")),
    "the last bytes": Phase(get(target="/api/v1/last")),
}
CONNECTING = Phase(post(target="/api/v1/served"), asked=False, served="/healthz")


async def behaves(connection: UpstreamConnection) -> None:
    """Serves; or is silent, before its answer or after an event; or sends more than fits between the two ends."""
    while True:
        await connection.news.until(lambda: connection.buffer or connection.end, "a request", within=600)
        request = await connection.request()
        match request.target.rpartition(b"/")[2]:
            case b"silence":
                await connection.ended(within=600)
            case b"events":
                await connection.send(EVENTS + chunk(b"data: 1\n\n"))
                await connection.ended(within=600)
            case b"last":
                await connection.send(LAST)
            case _:
                await connection.send(OWN)


async def never_greets(connection: UpstreamConnection) -> None:
    await connection.ended(within=600)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a wave."""
    full = request.config.getoption("--full-size")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FULL * 4 + 500
    if full and hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} open files (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if full else soft, hard))
    yield FULL if full else SAMPLE
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def wave(proxy: Address, upstream: Upstream, phase: Phase, size: int) -> None:
    """So many clients get as far as the phase says, all of them; and then all leave, each in another way."""
    clients = [await Client.open(proxy) for _ in range(size)]
    requests, connections = len(upstream.requests), len(upstream.connections)
    for client in clients:
        if b"/last " in phase.request:
            client.small_buffers()
        await client.send(phase.request)
    if phase.asked:
        await upstream.request(requests + size - 1)
    if never_greets in upstream.scripts:
        await upstream.connection(connections + size - 1)
    await get_going(clients, phase)
    await served(proxy, "/healthz")  # so the proxy has had its turns
    for n, client in enumerate(clients):
        (Client.close, Client.reset, Client.half_close)[n % 3](client)
    for client in clients:
        await client.aclose()


async def get_going(clients: list[Client], phase: Phase) -> None:
    """Clients whose answer has to have begun wait for that."""
    for client in clients:
        if b"/events " in phase.request:
            await client.take_until(b"data: 1\n\n")
        elif b"/last " in phase.request:
            await client.take(1)
            client.hold()


async def served(proxy: Address, target: str = "/api/v1/served") -> float:
    """How many seconds a new client waits for its answer."""
    start = time.monotonic()
    client = await Client.open(proxy)
    response = await client.ask(get(target=target))
    assert response.status == 200
    await client.aclose()
    seconds = time.monotonic() - start
    assert seconds < AT_ONCE
    return seconds


class Traces:
    """What a proxy in this process and its harness hold beyond what they did before, and beyond kept connections."""

    def __init__(self, transport: UpstreamTransport) -> None:
        self.pool = transport._pool
        self.sockets = open_sockets()
        self.tasks = asyncio.all_tasks()

    def left(self) -> tuple[int, int, int]:
        """Sockets, tasks, and connections of the pool that are in use."""
        kept = len(self.pool._idle)  # each has two sockets here, and the task of its script
        sockets = len(open_sockets() - self.sockets) - 2 * kept
        tasks = len(asyncio.all_tasks() - self.tasks) - kept
        return sockets, tasks, len(self.pool._connections) - kept

    async def gone(self) -> float:
        """How many seconds it takes until nothing is left."""
        start = time.monotonic()
        await eventually(
            lambda: self.left() == (0, 0, 0),
            lambda: f"sockets, tasks, connections in use to go: {self.left()}",
            within=FORGOTTEN,
        )
        return time.monotonic() - start


def tell(text: str, size: int) -> None:
    """Of the full size there are figures to report."""
    if size == FULL:
        print(f"{WAVES} waves of {size}: {text}", flush=True)  # noqa: T201


async def storm(proxy: Proxy, transport: UpstreamTransport, upstream: Upstream, phase: Phase, size: int) -> None:
    """Waves in one phase, with a look at what is left after each."""
    traces = Traces(transport)
    await served(proxy, phase.served)
    slowest = longest = 0.0
    for _ in range(WAVES):
        await wave(proxy, upstream, phase, size)
        longest = max(longest, await traces.gone())
        slowest = max(slowest, await served(proxy, phase.served))
    tell(f"forgotten within {longest * 1000:.0f} ms, the next served within {slowest * 1000:.0f} ms", size)


async def one_line_each(proxy: Proxy, count: int) -> None:
    """All who left have their line, and it says so."""

    def left() -> list[int | None]:
        return [record.status for record in proxy.records if record.ended_by == "client"]

    await proxy.news.until(lambda: len(left()) >= count, f"{count} lines", state=lambda: len(left()))
    assert left() == [499] * count


def transport_to(url: str) -> UpstreamTransport:
    settings: dict[str, Any] = {**IDENTITY, "upstream_url": url, "warm_connections": 0}
    transport = open_transport(Settings(**settings))
    assert isinstance(transport, UpstreamTransport)
    return transport


@pytest.mark.parametrize("name", PHASES)
async def test_in_each_phase(upstream: OpenUpstream, proxy_for: StartProxy, size: int, name: str) -> None:
    """Promise 16: waves of clients that leave in this phase leave no socket, task or connection; the next is served."""
    behind = await upstream(behaves)
    transport = transport_to(behind.url)
    proxy = await proxy_for(behind, transport)
    await storm(proxy, transport, behind, PHASES[name], size)
    if name not in ("half a head", "the last bytes"):  # no request; and an answer that was all on its way
        await one_line_each(proxy, WAVES * size)


async def test_connecting(upstream: OpenUpstream, proxy_for: StartProxy, size: int) -> None:
    """Promise 16: so it is while U does not accept; and once it does, the next is served."""
    behind = await upstream(behaves)
    await behind.stop()
    transport = transport_to(behind.url)
    proxy = await proxy_for(behind, transport)
    with black_hole(behind.port):
        await storm(proxy, transport, behind, CONNECTING, size)
        await one_line_each(proxy, WAVES * size)
    await behind.start()
    await served(proxy)


async def test_in_the_tls_handshake(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    size: int,
    *,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Promise 16: so it is while U's handshake stalls; and once it does not, the next is served."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    behind = await upstream(never_greets, raw=True)
    transport = transport_to(f"https://localhost:{behind.port}")
    proxy = await proxy_for(behind, transport)
    await storm(proxy, transport, behind, CONNECTING, size)
    await one_line_each(proxy, WAVES * size)
    await behind.stop()
    behind.tls, behind.scripts = server_context(authority), (behaves,)
    await behind.start()
    await served(proxy)


async def test_while_dns_hangs(
    upstream: OpenUpstream, proxy_for: StartProxy, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 16: so it is while the resolver is silent; and once it speaks, the next is served."""
    names = Names(monkeypatch)
    names.answering.clear()
    behind = await upstream(behaves, raw=True)
    transport = UpstreamTransport(Direct("upstream.test", behind.port), None)
    proxy = await proxy_for(behind, transport)
    await storm(proxy, transport, behind, CONNECTING, size)
    await one_line_each(proxy, WAVES * size)
    names.answering.set()
    await served(proxy)


# Bytes: what the allocator keeps of a wave for the next one may differ by this.
GROWTH = 16 << 20


async def storm_on(proxy: ProxyProcess, upstream: Upstream, phases: dict[str, Phase], size: int) -> None:
    """Waves in these phases against a process: its descriptors are those of before, and its memory nearly so."""
    unused = proxy.descriptors()
    for name, phase in phases.items():
        # Who left with the last bytes under way had its whole answer: those connections are kept for the next ones.
        most = unused + (size if name == "the last bytes" else 1)
        await wave(proxy, upstream, phase, size)  # to be warm
        memory, slowest, longest = proxy.rss(), 0.0, 0.0
        for _ in range(WAVES):
            await wave(proxy, upstream, phase, size)
            slowest = max(slowest, await served(proxy, phase.served))
            longest = max(longest, await few_descriptors(proxy, most))
        growth = proxy.rss() - memory
        assert growth < GROWTH
        held = f"forgotten within {longest * 1000:.0f} ms, memory {growth / 1e6:+.1f} MB"
        tell(f"{name}: {held}; the next served within {slowest * 1000:.0f} ms", size)
    assert "Traceback" not in proxy.stdout + proxy.stderr


async def few_descriptors(proxy: ProxyProcess, most: int) -> float:
    """How many seconds it takes until no more are open."""
    start = time.monotonic()
    await eventually(
        lambda: proxy.descriptors() <= most,
        lambda: f"{proxy.descriptors()} descriptors to become {most}",
        within=FORGOTTEN,
    )
    return time.monotonic() - start


async def test_a_process(upstream: OpenUpstream, proxy_process: StartProcess, size: int) -> None:
    """Promise 16: the same phases against the proxy as a process: its descriptors and its memory do not grow."""
    behind = await upstream(behaves)
    await storm_on(await proxy_process(behind), behind, PHASES, size)


async def test_a_process_that_connects(upstream: OpenUpstream, proxy_process: StartProcess, size: int) -> None:
    """Promise 16: so it is with a process whose upstream does not accept, or does not shake hands."""
    behind = await upstream(never_greets, raw=True)
    url = f"https://localhost:{behind.port}"
    await storm_on(await proxy_process(behind, upstream_url=url), behind, {"TLS handshake": CONNECTING}, size)
    await behind.stop()
    behind.scripts = (behaves,)
    with black_hole() as url:
        await storm_on(await proxy_process(behind, upstream_url=url), behind, {"connecting": CONNECTING}, size)
