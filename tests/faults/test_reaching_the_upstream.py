"""The upstream cannot be reached: an error of ours that says why, and the first request after works."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.aftermath import OWN, sound
from tests.support.blackhole import black_hole
from tests.support.client import get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, OpenUpstream, Setup, StartProxy
from tests.support.http1 import message
from tests.support.names import Names
from tests.support.tls import bundle, server_context
from tests.support.upstream import Upstream, UpstreamConnection

SHORT = 0.5  # seconds: a limit that must strike, and leaves a busy machine the time for a handshake


async def check_fails(way: Setup, status: int, slug: str) -> None:
    """Both a request that may be repeated and one that may not get the error; each has its line."""
    for request in (get(), post()):
        before = len(way.proxy.records)
        response = await way.client.ask(request)
        assert (response.status, response.values("x-proxy-error")) == (status, [slug.encode()])
        record = await way.proxy.record(before)
        assert (record.status, record.error, record.ended_by) == (status, slug, "proxy")
        assert len(way.proxy.records) == before + 1


async def check_healed(way: Setup) -> None:
    """The same client, on the same connection, is served by the first request after the fault."""
    for request in (post(), get()):
        response = await way.client.ask(request)
        assert (response.status, bytes(response.body)) == (200, b"own")
    assert len(way.upstream.open) == 1


@pytest.mark.only_route("direct", reason="through an outbound proxy, it is that proxy which fails to connect")
async def test_refused(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Nobody listens: 502, and then the upstream is up."""
    behind = await upstream(sound)
    await behind.stop()
    proxy = await proxy_for(behind)
    way = Setup(await connect(proxy), behind, proxy)
    await check_fails(way, 502, "upstream-unreachable")
    await behind.start()
    await check_healed(way)


async def test_black_holed(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Connecting neither succeeds nor fails: 504 after OPENROUTER_CONNECT_TIMEOUT, and then the way is free."""
    behind = await upstream(sound)
    await behind.stop()
    with black_hole(behind.port):
        proxy = await proxy_for(behind, connect_timeout=SHORT)
        way = Setup(await connect(proxy), behind, proxy)
        await check_fails(way, 504, "connect-timeout")
    await behind.start()
    await check_healed(way)


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
async def test_hung_up_at_once(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, leave: Callable[[Connection], None]
) -> None:
    """It accepts and hangs up: 502, and then it stays."""

    async def hangs_up(connection: UpstreamConnection) -> None:
        leave(connection)

    behind = await upstream(hangs_up, hangs_up, sound)
    proxy = await proxy_for(behind)
    way = Setup(await connect(proxy), behind, proxy)
    await check_fails(way, 502, "upstream-broken")
    await check_healed(way)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
async def named(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Setup:
    """An upstream that is called by a name."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    behind = await upstream(sound, tls=server_context(authority, "upstream.test"))
    proxy = await proxy_for(f"https://upstream.test:{behind.port}", connect_timeout=SHORT)
    return Setup(await connect(proxy), behind, proxy)


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
    ],
    ids=lambda error: error.strerror,
)
async def test_dns_fails(names: Names, named: Setup, error: OSError) -> None:
    """The name does not resolve: 502, and then it does."""
    names.error = error
    await check_fails(named, 502, "upstream-unknown")
    names.error = None
    await check_healed(named)


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
async def test_dns_hangs(names: Names, named: Setup, connect: Connect) -> None:
    """The resolver does not answer: 504 after OPENROUTER_CONNECT_TIMEOUT, others are served, and then it answers."""
    names.answering.clear()
    await check_fails(named, 504, "connect-timeout")
    assert (await (await connect(named.proxy)).ask(get(target="/healthz"))).status == 200
    names.answering.set()
    await check_healed(named)


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
async def test_dns_hangs_for_many(names: Names, named: Setup, connect: Connect) -> None:
    """Many who ask while the resolver does not answer wait for one lookup, and not for a thread each."""
    names.answering.clear()
    clients = [await connect(named.proxy) for _ in range(50)]
    for client in clients:
        await client.send(post())
    for client in clients:
        assert (await client.answer(b"POST")).status == 504
    assert names.lookups == 1
    names.answering.set()
    await check_healed(named)


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
async def test_leaving_while_dns_hangs(names: Names, named: Setup, connect: Connect) -> None:
    """A client that leaves meanwhile has its line at once, and nothing waits for the resolver."""
    names.answering.clear()
    leaver = await connect(named.proxy)
    await leaver.send(post())
    assert (await (await connect(named.proxy)).ask(get(target="/healthz"))).status == 200
    leaver.close()
    record = await named.proxy.record()
    assert (record.status, record.ended_by) == (499, "client")
    names.answering.set()
    await check_healed(named)


def self_signed() -> ssl.SSLContext:
    return server_context(trustme.CA())


def expired(authority: trustme.CA) -> ssl.SSLContext:
    now = dt.datetime.now(dt.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=now - dt.timedelta(days=1)).configure_cert(context)
    return context


async def speaks_http(connection: UpstreamConnection) -> None:
    await connection.take(1)
    await connection.send(message("HTTP/1.1 400 Bad Request", "Content-Length: 0"))


async def hangs_up_at_hello(connection: UpstreamConnection) -> None:
    await connection.take(1)


async def resets_at_hello(connection: UpstreamConnection) -> None:
    await connection.take(1)
    connection.reset()


TLS_FAULTS: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext] | Callable[..., Any], str]] = {
    "another name": (lambda authority: server_context(authority, "other.example"), "upstream-untrusted"),
    "expired": (expired, "upstream-untrusted"),
    "unknown authority": (lambda authority: self_signed(), "upstream-untrusted"),
}
NO_TLS = {
    "plain HTTP": (speaks_http, "upstream-untrusted"),
    "a cut handshake": (hangs_up_at_hello, "upstream-unreachable"),
    "a reset handshake": (resets_at_hello, "upstream-unreachable"),
}


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
async def test_a_trailing_dot(
    names: Names,
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The dot that ends an absolute name is for the look-up: it is neither in SNI nor in a certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    behind = await upstream(sound, tls=server_context(authority, "upstream.test"))
    proxy = await proxy_for(f"https://upstream.test.:{behind.port}")
    assert (await (await connect(proxy)).ask(post())).status == 200
    assert behind.server_names == ["upstream.test"]
    assert names.lookups == 1


@pytest.mark.only_route("direct", reason="it is called in clear, and by its name")
async def test_a_local_name_that_is_not(
    names: Names, upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect
) -> None:
    """A name below localhost, to which requests go in clear, must be this machine: else 502, and nothing is sent."""
    behind = await upstream(sound)
    names.address = "192.0.2.1"
    proxy = await proxy_for(f"http://gateway.localhost:{behind.port}", connect_timeout=SHORT)
    way = Setup(await connect(proxy), behind, proxy)
    await check_fails(way, 502, "upstream-unreachable")
    assert proxy.records[0].reason == "gateway.localhost is the name of another machine here"
    names.address = "127.0.0.1"
    await check_healed(way)


async def check_tls_fails(
    behind: Upstream, proxy_for: StartProxy, connect: Connect, good: ssl.SSLContext, slug: str
) -> None:
    proxy = await proxy_for(f"https://localhost:{behind.port}")
    way = Setup(await connect(proxy), behind, proxy)
    await check_fails(way, 502, slug)
    assert not behind.requests, "a request was sent over a connection that cannot be trusted"
    await behind.stop()
    behind.tls, behind.scripts = good, (sound,)
    await behind.start()
    await check_healed(way)


@pytest.mark.parametrize("fault", TLS_FAULTS)
async def test_tls_certificates(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """Its certificate is for another name, too old, or nobody's: 502 and nothing sent, and then it is in order."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    make, slug = TLS_FAULTS[fault]
    behind = await upstream(sound, tls=make(authority))
    await check_tls_fails(behind, proxy_for, connect, server_context(authority), slug)


@pytest.mark.parametrize("fault", NO_TLS)
async def test_tls_handshakes(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """It does not speak TLS, or hangs up while it should: 502 and nothing sent, and then it does."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    script, slug = NO_TLS[fault]
    behind = await upstream(script, raw=True)
    await check_tls_fails(behind, proxy_for, connect, server_context(authority), slug)


async def test_restarted(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """It restarts while streams are open: they are cut, those who waited get 502, and the next request is served."""
    opened = 0

    async def streams(connection: UpstreamConnection) -> None:
        nonlocal opened
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n"))
        opened += 1
        await connection.ended()

    async def waits(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.ended()

    behind = await upstream(*[streams, waits] * 5, sound)
    proxy = await proxy_for(behind)
    clients = [await connect(proxy) for _ in range(10)]
    for n, client in enumerate(clients):
        await client.send(post())
        await behind.request(n)
    for client in clients[::2]:
        await client.take_until(b"x\r\n")
    await behind.stop()
    for streaming, waiting in zip(clients[::2], clients[1::2], strict=True):
        assert await streaming.rest() == b""  # and so without a last chunk
        assert (await waiting.answer(b"POST")).status == 502
    behind.scripts = (sound,)
    await behind.start()
    assert opened == 5
    for client in clients[1::2]:
        response = await client.ask(post())
        assert (response.status, bytes(response.body)) == (200, b"own")
    await proxy.record(14)
    assert (
        sorted(record.error or "-" for record in proxy.records)
        == ["-"] * 5 + ["response-cut"] * 5 + ["upstream-broken"] * 5
    )


async def test_idle_connections_over_a_restart(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """It restarts while its kept connections are idle: not even a POST notices."""
    gate = asyncio.Event()

    async def together(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            await gate.wait()
            await connection.send(OWN)

    behind = await upstream(together)
    proxy = await proxy_for(behind)
    clients = [await connect(proxy) for _ in range(5)]
    for n, client in enumerate(clients):
        await client.send(post())
        await behind.request(n)
    gate.set()
    for client in clients:
        assert (await client.answer(b"POST")).status == 200
    assert len(behind.open) == 5
    await behind.stop()
    await behind.start()
    for client in clients:
        response = await client.ask(post())
        assert (response.status, bytes(response.body)) == (200, b"own")
