"""Promise 18: each wait for the upstream has a limit of its own; the whole has none."""

import asyncio
import sys

import pytest

from tests.support.blackhole import black_hole
from tests.support.client import get, post, post_chunked
from tests.support.connection import socket_of
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.upstream import OK, UpstreamConnection, stall

SHORT = 0.25  # seconds: the limit under test
LONG = 5.0  # seconds: limits that must not strike
LATE = 4.0  # seconds that a limit may strike late: two looks, on a machine that has much else to do

STREAM = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")


async def test_connecting(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 18: no connection to U in time is 504."""
    with black_hole() as url:
        client = await connect(await proxy_for(url, connect_timeout=SHORT, response_timeout=LONG))
        response = await client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (504, [b"connect-timeout"])


async def test_the_tls_handshake(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 18: a TLS handshake that takes too long is part of connecting: 504, and U's connection is closed."""

    async def never_greets(connection: UpstreamConnection) -> None:
        await connection.ended()

    behind = await upstream(never_greets, raw=True)
    proxy = await proxy_for(f"https://127.0.0.1:{behind.port}", connect_timeout=SHORT, response_timeout=LONG)
    response = await (await connect(proxy)).ask(post())
    assert (response.status, response.values("x-proxy-error")) == (504, [b"connect-timeout"])
    await behind.closed(within=1)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", b"HTTP/1.1 103 Early\r\n\r\n"], ids=["nothing", "half", "interim"]
)
async def test_the_head(through: Through, said: bytes) -> None:
    """Promise 18: no head from U in time is 504, and U's connection is closed."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(said)
        await connection.ended()

    client, upstream, proxy = await through(script, response_timeout=SHORT, idle_timeout=LONG)
    async with asyncio.timeout(SHORT + LATE):
        response = await client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (504, [b"response-timeout"])
    await upstream.closed(within=1)
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (504, "response-timeout", "proxy")


async def test_the_head_is_waited_for_once_the_upload_has_ended(through: Through) -> None:
    """Promise 18: the time that the client takes for its upload does not count."""
    client, *_ = await through(response_timeout=SHORT, idle_timeout=LONG)
    await client.send(post_chunked())
    for _ in range(4):
        await asyncio.sleep(SHORT / 2)  # the passing of time is what is tested
        await client.send(chunk(b"x"))
    await client.send(LAST_CHUNK)
    assert (await client.answer(b"POST")).status == 200


@pytest.mark.parametrize("head", [STREAM, message("HTTP/1.1 200 OK", "Content-Length: 9")], ids=["chunks", "length"])
@pytest.mark.parametrize("first", [True, False])
async def test_silence_in_a_body(through: Through, head: bytes, *, first: bool) -> None:
    """Promise 18: silence in U's body for too long is a cut at the client, and U's connection is closed."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(head)
        if first:
            await connection.send(chunk(b"a") if head is STREAM else b"a")
        await connection.ended()

    client, upstream, proxy = await through(script, idle_timeout=SHORT, response_timeout=LONG)
    async with asyncio.timeout(SHORT + LATE):
        response = await client.ask(post())
    assert (response.status, bytes(response.body), response.ending) == (200, b"a" * first, Ending.CUT)
    await upstream.closed(within=1)
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (200, "idle-timeout", "proxy")


async def test_never_a_total(through: Through) -> None:
    """Promise 18: an answer whose pieces keep coming may take longer than any of the limits."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(STREAM)
        for _ in range(6):
            await asyncio.sleep(SHORT / 2)  # the passing of time is what is tested
            await connection.send(chunk(b": \n\n"))
        await connection.send(LAST_CHUNK)

    client, *_ = await through(script, connect_timeout=SHORT, response_timeout=SHORT, idle_timeout=SHORT)
    response = await client.ask(post())
    assert (bytes(response.body), response.ending) == (b": \n\n" * 6, Ending.COMPLETE)


async def test_zero_is_none(through: Through) -> None:
    """Promise 18: a limit of 0 is no limit."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await asyncio.sleep(SHORT)  # the passing of time is what is tested
        await connection.send(STREAM)
        await asyncio.sleep(SHORT)
        await connection.send(chunk(b"a") + LAST_CHUNK)

    client, _, proxy = await through(script, connect_timeout=0, response_timeout=0, idle_timeout=0)
    assert (await client.ask(post())).ending is Ending.COMPLETE
    settings = proxy.settings
    assert (settings.connect_timeout, settings.response_timeout, settings.idle_timeout) == (None, None, None)


async def test_an_upload_that_flows_is_no_silence(through: Through) -> None:
    """Promise 18: bytes in either direction count: an early head, and then an upload for longer than the limit."""

    async def answers_early(connection: UpstreamConnection) -> None:
        request = await connection.head()
        await connection.send(STREAM)
        await request.read()
        await connection.send(chunk(b"all of it") + LAST_CHUNK)

    client, *_ = await through(answers_early, idle_timeout=SHORT)
    await client.send(post_chunked())
    response = await client.response(b"POST")
    for _ in range(6):
        await asyncio.sleep(SHORT / 2)  # the passing of time is what is tested
        await client.send(chunk(b"x"))
    await client.send(LAST_CHUNK)
    await response.read()
    assert (bytes(response.body), response.ending) == (b"all of it", Ending.COMPLETE)


async def test_an_upload_that_stops_is_silence(through: Through) -> None:
    """Promise 18: an early head, a part of an upload, and then nothing in either direction, is a cut."""

    async def answers_early(connection: UpstreamConnection) -> None:
        await connection.head()
        await connection.send(STREAM)
        await connection.ended()

    client, upstream, _ = await through(answers_early, idle_timeout=SHORT)
    await client.send(post_chunked(body=chunk(b"x")))
    response = await client.response(b"POST")
    await response.read()
    assert response.ending is Ending.CUT
    await upstream.closed(within=1)


async def test_an_upload_that_is_not_read_is_silence(through: Through) -> None:
    """Promise 18: an early head, and an upload that nobody takes: a cut, by the same limit, and the log says so."""

    async def answers_early(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        await connection.head()
        connection.hold()
        await connection.send(STREAM)
        await over.wait()
        connection.resume()  # only so that its end can be seen
        while await connection.take():
            pass

    over = asyncio.Event()
    client, _, proxy = await through(answers_early, idle_timeout=SHORT)
    await client.send(post_chunked())
    response = await client.response(b"POST")
    sending = asyncio.get_running_loop().create_task(client.send(*[chunk(b"x" * 65536)] * 256))
    await response.read()
    assert response.ending is Ending.CUT
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (200, "idle-timeout", "proxy")
    over.set()
    sending.cancel()


async def test_an_answer_beside_an_upload_that_is_not_read(through: Through) -> None:
    """Promise 18: bytes in either direction count: a stream for longer than the limit, and an upload that waits."""

    async def answers_first(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        request = await connection.head()
        connection.hold()
        await connection.send(STREAM)
        for _ in range(6):
            await asyncio.sleep(SHORT / 2)  # the passing of time is what is tested
            await connection.send(chunk(b": \n\n"))
        connection.resume()
        await request.read()
        await connection.send(LAST_CHUNK)

    client, *_ = await through(answers_first, idle_timeout=SHORT)
    await client.send(post_chunked())
    response = await client.response(b"POST")
    sending = asyncio.get_running_loop().create_task(client.send(*[chunk(b"x" * 65536)] * 256, LAST_CHUNK))
    await response.read()
    assert (bytes(response.body), response.ending) == (b": \n\n" * 6, Ending.COMPLETE)
    await sending


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
@pytest.mark.only_route("direct", reason="reads from the upstream's socket, behind the back of whatever decrypts it")
async def test_an_upload_that_is_taken_slowly_is_no_silence(through: Through) -> None:
    """Promise 18: what the upstream takes counts, also where it is too little for the kernel to ask for more."""

    async def reads_slowly(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        request = await connection.head()
        connection.hold()
        for _ in range(8):
            await asyncio.sleep(SHORT / 2)  # the passing of time is what is tested
            with socket_of(connection.transport) as sock:
                connection.buffer += sock.recv(65536)
        connection.resume()
        await request.read()
        await connection.send(OK)

    client, *_ = await through(reads_slowly, idle_timeout=SHORT)
    sending = asyncio.get_running_loop().create_task(
        client.send(post_chunked(), *[chunk(b"x" * 65536)] * 256, LAST_CHUNK)
    )
    assert (await client.answer(b"POST")).status == 200
    await sending


async def test_the_defaults(through: Through) -> None:
    """Promise 18: 10 s to connect, 600 s for the head, 300 s of silence."""
    _, _, proxy = await through(stall)
    settings = proxy.settings
    assert (settings.connect_timeout, settings.response_timeout, settings.idle_timeout) == (10, 600, 300)


async def test_a_client_that_reads_slowly_is_not_an_idle_upstream(through: Through) -> None:
    """Promise 18: while it is the client that does not read, U's silence does not count."""
    size = 16 << 20

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        await connection.send(*[b"x" * 65536] * (size // 65536))

    client, *_ = await through(script, idle_timeout=SHORT)
    client.small_buffers()
    await client.send(get())
    response = await client.response()
    client.hold()
    await asyncio.sleep(SHORT * 3)  # the passing of time is what is tested
    client.resume()
    await response.read(keep=False)
    assert (response.length, response.ending) == (size, Ending.COMPLETE)


@pytest.mark.parametrize("request_", [get(), post()], ids=["get", "post"])
async def test_connecting_is_no_part_of_the_response_timeout(
    proxy_for: StartProxy, connect: Connect, request_: bytes
) -> None:
    """Promise 18: the time for a response begins with the request's last byte: who cannot connect is told so."""
    with black_hole() as url:
        proxy = await proxy_for(url, response_timeout=0.3, connect_timeout=1.0)
        answer = await (await connect(proxy)).ask(request_)
        assert answer.values("x-proxy-error") == [b"connect-timeout"]
