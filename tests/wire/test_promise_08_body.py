"""Promise 8: bodies stream, as they are framed, and never end cleanly unless they were whole."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.client import Client, get, post, post_chunked
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, Through
from tests.support.http1 import LAST_CHUNK, Ending, Framing, chunk, chunked, message
from tests.support.upstream import OK, UpstreamConnection, stall

EVERY_BYTE = bytes(range(256)) * 300


@pytest.mark.parametrize("body", [b"", b"{}", EVERY_BYTE])
async def test_a_length_stays_a_length(through: Through, body: bytes) -> None:
    """Promise 8: Content-Length stays Content-Length, and the body is the same bytes."""
    client, upstream, _ = await through()
    assert (await client.ask(post(body=body))).status == 200
    [request] = upstream.requests
    assert (request.framing, request.values("content-length")) == (Framing.LENGTH, [str(len(body)).encode()])
    assert not request.values("transfer-encoding")
    assert bytes(request.body) == body


@pytest.mark.parametrize("pieces", [[], [b"{}"], [b"a", b"bc", b"d" * 5000], [EVERY_BYTE]])
async def test_chunks_stay_chunks(through: Through, pieces: list[bytes]) -> None:
    """Promise 8: a chunked body stays chunked, and is the same bytes."""
    client, upstream, _ = await through()
    assert (await client.ask(post_chunked(body=chunked(*pieces)))).status == 200
    [request] = upstream.requests
    assert (request.framing, request.values("content-length")) == (Framing.CHUNKED, [])
    assert bytes(request.body) == b"".join(pieces)


@pytest.mark.parametrize("request_", [post(body=b"abc"), post_chunked(body=chunked(b"a", b"bc"))])
async def test_one_byte_at_a_time(through: Through, request_: bytes) -> None:
    """Promise 8: a request that arrives byte by byte is the same request."""
    client, upstream, _ = await through()
    await client.trickle(request_)
    assert (await client.answer(b"POST")).status == 200
    assert bytes(upstream.requests[0].body) == b"abc"


@pytest.mark.parametrize(
    ("head", "first", "second"),
    [
        (post(body=b"onetwo").removesuffix(b"onetwo"), b"one", b"two"),
        (post_chunked(), chunk(b"one"), chunk(b"two") + LAST_CHUNK),
    ],
    ids=["length", "chunks"],
)
async def test_an_upload_streams(through: Through, head: bytes, first: bytes, second: bytes) -> None:
    """Promise 8: U has the first piece of a body before the client has sent the second."""
    client, upstream, _ = await through()
    await client.send(head)
    request = await upstream.request()
    await client.send(first)
    assert await request.read(until=b"one") == b"one"
    await client.send(second)
    assert (await client.answer(b"POST")).status == 200
    assert (bytes(request.body), request.ending) == (b"onetwo", Ending.COMPLETE)


@pytest.mark.parametrize("leave", [Client.close, Client.half_close, Client.reset])
@pytest.mark.parametrize(
    "half",
    [
        post(body=b"half of it")[:-3],
        post_chunked(),
        post_chunked(body=chunk(b"half")),
        post_chunked(body=b"A\r\nhalf"),
        post_chunked(body=chunk(b"half") + b"0\r\n"),
        post_chunked(body=chunk(b"half") + b"0\r\nX-Trailer: 1\r\n"),
    ],
)
async def test_a_cut_upload_never_ends_cleanly(through: Through, half: bytes, leave: Callable[[Client], None]) -> None:
    """Promise 8: when an upload is cut, U's connection is closed before its body has ended."""
    client, upstream, _ = await through(stall)
    await client.send(half)
    request = await upstream.request()
    leave(client)
    await upstream.closed(within=1)
    await request.read()
    assert request.ending is Ending.CUT
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "request_",
    [
        post("Expect: 100-continue", body=b"the body"),
        post("expect: 100-Continue", body=b"the body"),
        post_chunked("Expect: 100-continue", body=chunked(b"the body")),
    ],
    ids=["length", "case", "chunks"],
)
async def test_expect_continue(through: Through, request_: bytes) -> None:
    """Promise 8: `Expect: 100-continue` is answered by us, once, and the body then crosses."""
    client, upstream, _ = await through()
    head, _, body = request_.partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert await client.take_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(body)
    response = await client.answer(b"POST")
    assert (response.status, response.interim) == (200, [])
    assert bytes(upstream.requests[0].body) == b"the body"
    assert not upstream.requests[0].values("expect")  # it is between the client and us


async def test_expect_continue_without_waiting(through: Through) -> None:
    """Promise 8: a client that does not wait for the 100 is served as well."""
    client, upstream, _ = await through()
    assert (await client.ask(post("Expect: 100-continue", body=b"the body"))).status == 200
    assert bytes(upstream.requests[0].body) == b"the body"


async def test_expect_continue_when_no_body_is_wanted(through: Through) -> None:
    """Promise 8: a request that we refuse gets its refusal, not a 100, and its connection is not used again."""
    client, *_ = await through()
    await client.send(post("Expect: 100-continue", body=b"the body", target="/nowhere").removesuffix(b"the body"))
    response = await client.answer(b"POST")
    assert (response.status, response.interim) == (404, [])
    assert response.values("connection") == [b"close"]
    assert await client.rest() == b""


MIB = 1 << 20
LARGE = 100 * MIB
PIECE = b"x" * 65536


async def test_a_large_upload_in_flat_memory(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 8: 100 MiB go up without being held in memory."""

    async def count(connection: UpstreamConnection) -> None:
        for _ in range(2):
            request = await connection.head()
            await request.read(keep=False)
            await connection.send(OK)

    behind = await upstream(count)
    proxy = await proxy_process(behind)
    client = await connect(proxy)
    await client.ask(post())
    before = proxy.rss()
    await client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {LARGE}"))
    await client.send(*[PIECE] * (LARGE // len(PIECE)))
    assert (await client.answer(b"POST")).status == 200
    assert behind.requests[1].length == LARGE
    assert proxy.rss(peak=True) - before < 16 * MIB


async def test_a_large_download_in_flat_memory(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 8: 100 MiB come down without being held in memory."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {LARGE}"))
        await connection.send(*[PIECE] * (LARGE // len(PIECE)))

    proxy = await proxy_process(await upstream(script))
    client = await connect(proxy)
    await client.ask(get())
    before = proxy.rss()
    await client.send(get())
    response = await client.response()
    await response.read(keep=False)
    assert (response.length, response.ending) == (LARGE, Ending.COMPLETE)
    assert proxy.rss(peak=True) - before < 16 * MIB


async def blocked(sending: asyncio.Task[None], sent: Callable[[], int]) -> int:
    """How much had been sent when the sender got no further for a while."""
    before = -1
    while before != sent():
        before = sent()
        await asyncio.wait([sending], timeout=0.2)
    assert not sending.done()
    return before


async def test_a_client_that_does_not_read_holds_the_upstream_back(through: Through) -> None:
    """Promise 8: when the client does not read, U's body stays at U, and comes when it reads again."""
    size = 128 * MIB  # the kernel alone may hold 32 MiB of each connection (tcp_rmem)
    started = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        started.set()
        await connection.send(*[PIECE] * (size // len(PIECE)))

    client, upstream, _ = await through(script)
    client.small_buffers()
    await client.send(get())
    response = await client.response()
    client.hold()
    await started.wait()
    sender = await upstream.connection()
    assert await blocked(sender.script, lambda: sender.sent) < size // 2
    client.resume()
    await response.read(keep=False)
    assert (response.length, response.ending) == (size, Ending.COMPLETE)


async def test_an_upstream_that_does_not_read_holds_the_client_back(through: Through) -> None:
    """Promise 8: when U does not read, the client's body stays at the client, and goes on when it reads again."""
    size = 128 * MIB  # the kernel alone may hold 32 MiB of each connection (tcp_rmem)
    released = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        request = await connection.head()
        connection.hold()
        await released.wait()
        connection.resume()
        await request.read(keep=False)
        await connection.send(OK)

    client, upstream, _ = await through(script)
    await client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {size}"))
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send(*[PIECE] * (size // len(PIECE))))
        await upstream.request()
        assert await blocked(sending, lambda: client.sent) < size // 2
        released.set()
    assert (await client.answer(b"POST")).status == 200
    assert upstream.requests[0].length == size
