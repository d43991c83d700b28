"""One side stops taking what the other sends: memory stays flat, the wait has an end, others are served meanwhile."""

import asyncio
from contextlib import suppress

import pytest

from tests.support.aftermath import Base, check_aftermath, sound
from tests.support.client import Client, get, post
from tests.support.connection import Connection, GoneError
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, Through
from tests.support.http1 import Ending, chunk, message
from tests.support.upstream import UpstreamConnection

MIB = 1 << 20
PIECE = b"x" * (MIB // 4)
WHOLE = 400 * MIB
IN_BUFFERS = 64 * MIB  # more than the kernel holds for two connections (tcp_rmem), and much less than WHOLE


async def until_still(*senders: Connection) -> None:
    """Returns when what is sent over these connections does not move any more."""
    before: list[int] = []
    while before != (now := [sender.sent for sender in senders]):
        before = now
        await asyncio.sleep(0.3)  # the passing of time is what tells


@pytest.mark.parametrize("framing", [f"Content-Length: {WHOLE}", "Transfer-Encoding: chunked", "X-Framing: none"])
async def test_a_reader_that_never_reads(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, framing: str
) -> None:
    """400 MB for a client that does not read: they stay with the upstream, and end when the client leaves."""
    piece = chunk(PIECE) if "chunked" in framing else PIECE

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", framing))
        while connection.sent < WHOLE:
            await connection.send(piece)

    behind = await upstream(script, sound)
    proxy = await proxy_process(behind)
    other = await connect(proxy)
    assert (await other.ask(get(target="/healthz"))).status == 200
    base, size = Base(proxy), proxy.rss()
    client = await connect(proxy)
    client.small_buffers()
    await client.send(get())
    await client.response()
    client.hold()
    await until_still(await behind.connection())
    assert behind.connections[0].sent < IN_BUFFERS
    assert proxy.rss(peak=True) - size < 6 * MIB
    assert (await other.ask(get(target="/healthz"))).status == 200
    client.reset()
    await behind.closed(0, within=1)
    line = await proxy.access_line(2)
    assert (line["status"], line["ended_by"]) == (499, "client")
    await base.check(connect, lines=4)


async def test_many_readers_that_never_read(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Twenty of them cost twenty times little, beside what the first request of a process costs."""
    readers = 20

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {WHOLE}"))
        while connection.sent < WHOLE:
            await connection.send(PIECE)

    behind = await upstream(*[script] * readers, sound)
    proxy = await proxy_process(behind)
    base, size = Base(proxy), 0
    clients: list[Client] = []
    for n in range(readers):
        client = await connect(proxy)
        client.small_buffers()
        await client.send(get())
        await client.response()
        client.hold()
        await behind.connection(n)
        clients.append(client)
        if n == 0:
            await until_still(*behind.connections)
            size = proxy.rss()
    await until_still(*behind.connections)
    assert proxy.rss(peak=True) - size < (readers - 1) * MIB
    for client in clients:
        client.reset()
    for n in range(readers):
        await behind.closed(n, within=1)
    await base.check(connect, lines=readers + 1)


async def test_a_reader_that_reads_late(through: Through, connect: Connect) -> None:
    """A client that stops for a while gets every byte in the end."""
    size = 24 * MIB

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        await connection.send(*[PIECE] * (size // len(PIECE)))
        await connection.ended()

    way = await through(script, sound)
    way.client.small_buffers()
    await way.client.send(get())
    response = await way.client.response()
    way.client.hold()
    sender = await way.upstream.connection()
    await until_still(sender)
    assert sender.sent < size
    way.client.resume()
    await response.read(keep=False)
    assert (response.length, response.ending) == (size, Ending.COMPLETE)
    await way.proxy.record()
    sender.close()
    await check_aftermath(way, connect)


@pytest.mark.parametrize("framing", [f"Content-Length: {WHOLE}", "Transfer-Encoding: chunked"])
async def test_an_upstream_that_never_reads(through: Through, connect: Connect, framing: str) -> None:
    """An upload that the upstream does not take: 504 after OPENROUTER_IDLE_TIMEOUT, and its connection is closed."""

    async def script(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        await connection.head()
        connection.hold()
        await over.wait()
        connection.resume()  # only so that its end can be seen
        while await connection.take():
            pass

    over = asyncio.Event()
    piece = chunk(PIECE) if "chunked" in framing else PIECE
    way = await through(script, sound, idle_timeout=0.3)
    await way.client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", framing))
    sending = asyncio.get_running_loop().create_task(way.client.send(*[piece] * (WHOLE // len(PIECE))))
    response = await way.client.answer(b"POST")
    assert (response.status, response.values("x-proxy-error")) == (504, [b"upload-timeout"])
    record = await way.proxy.record()
    assert (record.status, record.error, record.ended_by) == (504, "upload-timeout", "proxy")
    assert way.client.sent < IN_BUFFERS
    over.set()
    await way.upstream.closed(0, within=1)
    sending.cancel()
    with suppress(asyncio.CancelledError, GoneError):
        await sending
    way.client.reset()
    await check_aftermath(way, connect)


@pytest.mark.parametrize("framing", [f"Content-Length: {WHOLE}", "Transfer-Encoding: chunked"])
async def test_an_upload_that_nobody_takes(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, framing: str
) -> None:
    """400 MB for an upstream that does not read: they stay with the client, and end when it leaves."""

    async def script(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        await connection.head()
        connection.hold()
        await over.wait()
        connection.resume()  # only so that its end can be seen
        while await connection.take():
            pass

    over = asyncio.Event()
    piece = chunk(PIECE) if "chunked" in framing else PIECE
    behind = await upstream(script, sound)
    proxy = await proxy_process(behind, idle_timeout="60")
    other = await connect(proxy)
    assert (await other.ask(get(target="/healthz"))).status == 200
    base, size = Base(proxy), proxy.rss()
    client = await connect(proxy)
    await client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", framing))
    await behind.request()
    sending = asyncio.get_running_loop().create_task(client.send(*[piece] * (WHOLE // len(PIECE))))
    await until_still(client)
    assert client.sent < IN_BUFFERS
    assert proxy.rss(peak=True) - size < 6 * MIB
    assert (await other.ask(get(target="/healthz"))).status == 200
    client.reset()
    line = await proxy.access_line(2)
    assert (line["status"], line["ended_by"]) == (499, "client")
    over.set()
    await behind.closed(0)
    sending.cancel()
    with suppress(asyncio.CancelledError, GoneError):
        await sending
    await base.check(connect, lines=4)


async def test_an_upstream_that_answers_and_never_reads(through: Through, connect: Connect) -> None:
    """An upstream that has begun to answer and does not take the upload: the answer is cut after the same time."""

    async def script(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        await connection.head()
        connection.hold()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunk(b"begun")))
        await over.wait()
        connection.resume()
        while await connection.take():
            pass

    over = asyncio.Event()
    way = await through(script, sound, idle_timeout=0.3)
    await way.client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {WHOLE}"))
    sending = asyncio.get_running_loop().create_task(way.client.send(*[PIECE] * (WHOLE // len(PIECE))))
    response = await way.client.answer(b"POST")
    assert (response.status, bytes(response.body), response.ending) == (200, b"begun", Ending.CUT)
    over.set()
    await way.upstream.closed(0, within=1)
    sending.cancel()
    with suppress(asyncio.CancelledError, GoneError):
        await sending
    way.client.reset()
    await check_aftermath(way, connect)


@pytest.mark.only_route("direct", reason="TLS has no halves, and an outbound proxy may close both")
async def test_an_upstream_that_ends_its_half(through: Through, connect: Connect) -> None:
    """It ends its half of the connection and reads no more: 502 at once, however much of an upload is left."""

    async def ends_its_half(connection: UpstreamConnection) -> None:
        await connection.head()
        connection.hold()
        connection.half_close()
        await done.wait()
        connection.resume()  # only so that the end of the connection can be seen
        await connection.ended()

    done = asyncio.Event()
    way = await through(ends_its_half, sound, idle_timeout=30)
    async with asyncio.timeout(5):
        response = await way.client.ask(post(body=b"x" * 20 * MIB))
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    done.set()
    await check_aftermath(way, connect)


async def test_half_an_upload_and_nothing_more(through: Through, connect: Connect) -> None:
    """A client that goes silent in its upload: 408 after OPENROUTER_IDLE_TIMEOUT, and the log says so."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.head()
        await connection.ended()

    way = await through(script, sound, idle_timeout=0.3)
    await way.client.send(post(body=b"12345678")[:-4])
    response = await way.client.answer(b"POST")
    assert (response.status, response.values("x-proxy-error")) == (408, [b"request-timeout"])
    record = await way.proxy.record()
    assert (record.status, record.error, record.ended_by) == (408, "request-timeout", "proxy")
    await check_aftermath(way, connect)


@pytest.mark.parametrize("half", [b"", b"GET /api", get()[:-2]])
async def test_half_a_head_and_nothing_more(
    through: Through, connect: Connect, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    """A client that sends nothing, or goes silent in a head, is closed after a deadline: with 408 if it had begun."""
    monkeypatch.setattr("proxy.server.states.HEAD_WITHIN", 0.3)
    way = await through(sound)
    await way.client.send(half)
    if half:
        response = await way.client.answer()
        assert (response.status, response.values("x-proxy-error")) == (408, [b"request-timeout"])
        record = await way.proxy.record()
        assert (record.status, record.error) == (408, "request-timeout")
    assert await way.client.rest() == b""
    assert not way.upstream.connections
    assert (await (await connect(way.proxy)).ask(get())).status == 200
