"""RFC 9112, 9.8: over TLS, the proxy says that it closes, unless that would make half a request look whole."""

import asyncio
import signal
import ssl
from pathlib import Path

import pytest
import trustme

from proxy.upstream import pool as pools
from tests.support.aftermath import OWN
from tests.support.client import Client, get, post_chunked
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, StartProxy
from tests.support.http1 import chunk, message
from tests.support.tls import bundle, server_context
from tests.support.tls_by_hand import Tls, over_tls
from tests.support.upstream import Script, UpstreamConnection

pytestmark = pytest.mark.only_route("direct", reason="its upstreams speak TLS by themselves")


class Ends:
    """Upstreams that answer, and note how the proxy ends each connection: whether with close_notify."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.notified: asyncio.Queue[bool] = asyncio.Queue()

    def script(self, *answer: bytes) -> Script:
        async def answers(connection: UpstreamConnection, tls: Tls) -> None:
            await tls.request()
            for piece in answer:
                await connection.send(tls.sealed(piece))
            await self.notified.put(await tls.closed_with_notice())

        return over_tls(self.context, answers)


@pytest.fixture
def ends(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ends:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    return Ends(server_context(authority))


async def test_an_idle_one(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has been idle for long is closed with close_notify."""
    monkeypatch.setattr(pools, "_IDLE_EXPIRY", 0.1)
    behind = await upstream(ends.script(OWN), raw=True)
    client = await connect(await proxy_for(f"https://localhost:{behind.port}"))
    assert (await client.ask(get())).status == 200
    assert await ends.notified.get()


async def test_one_that_the_upstream_wants_closed(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, ends: Ends
) -> None:
    """So is one whose last answer said so."""
    last = message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 2", body=b"ok")
    behind = await upstream(ends.script(last), raw=True)
    client = await connect(await proxy_for(f"https://localhost:{behind.port}"))
    assert (await client.ask(get())).status == 200
    assert await ends.notified.get()


@pytest.mark.parametrize("used", [True, False], ids=["kept", "warm"])
async def test_at_the_end_of_the_process(
    upstream: OpenUpstream, proxy_process: StartProcess, ends: Ends, *, used: bool
) -> None:
    """At SIGTERM, what is idle is closed with close_notify (here on uvloop)."""

    async def waits(connection: UpstreamConnection, tls: Tls) -> None:
        ready.set()
        await ends.notified.put(await tls.closed_with_notice())

    ready = asyncio.Event()
    behind = await upstream(ends.script(OWN) if used else over_tls(ends.context, waits), raw=True)
    proxy = await proxy_process(
        behind, upstream_url=f"https://localhost:{behind.port}", warm_connections="0" if used else "1"
    )
    if used:
        client = await Client.open(proxy)
        assert (await client.ask(get())).status == 200
        await client.aclose()
        await proxy.access_line(0)
    else:
        await ready.wait()
    proxy.signal(signal.SIGTERM)
    assert await ends.notified.get()
    assert await proxy.exit_code() == 0
    assert proxy.stderr == ""


async def test_half_a_request(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, ends: Ends) -> None:
    """A request that the client has left half sent is cut without a word."""
    behind = await upstream(ends.script(), raw=True)
    client = await connect(await proxy_for(f"https://localhost:{behind.port}"))
    await client.send(post_chunked(body=chunk(b"half")))
    await behind.connection()
    await asyncio.sleep(0.1)  # in which the head is on its way
    client.reset()
    assert not await ends.notified.get()


async def test_an_answer_that_nobody_wants(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, ends: Ends
) -> None:
    """Where the request was whole, the client that leaves does not keep the proxy from saying that it closes."""
    behind = await upstream(
        ends.script(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), chunk(b"data: 1\n\n")), raw=True
    )
    client = await connect(await proxy_for(f"https://localhost:{behind.port}"))
    await client.send(get())
    await client.take_until(b"data: 1")
    client.reset()
    assert await ends.notified.get()
