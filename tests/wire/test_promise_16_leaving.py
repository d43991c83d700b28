"""Promise 16: when the client leaves, in any phase, the upstream's connection is closed, and nothing is left."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.support.blackhole import black_hole
from tests.support.client import Client, get, post, post_chunked
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.proxies import Proxy
from tests.support.upstream import OK, Script, UpstreamConnection, reply, stall

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
LENGTH = message("HTTP/1.1 200 OK", "Content-Length: 1000000")
UNTIL_CLOSE = message("HTTP/1.1 200 OK")

leaves = pytest.mark.parametrize("leave", [Client.close, Client.half_close, Client.reset])
Leave = Callable[[Client], None]


def then_silence(*pieces: bytes) -> Script:
    """Answers with these, and then waits until the other side leaves."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(*pieces)
        await connection.ended()

    return script


async def check_one_line(proxy: Proxy, connect: Connect) -> None:
    """The log says 499, once; and the next caller is served."""
    record = await proxy.record()
    assert (record.status, record.ended_by) == (499, "client")
    assert (await (await connect(proxy)).ask(get())).status == 200
    await proxy.record(1)
    assert len(proxy.records) == 2


@leaves
@pytest.mark.parametrize(
    "request_", [get(), post(), post_chunked(body=chunk(b"{}") + LAST_CHUNK)], ids=["get", "post", "chunks"]
)
async def test_waiting_for_the_head(through: Through, connect: Connect, request_: bytes, leave: Leave) -> None:
    """Promise 16: a client that leaves before U has answered closes U's connection within a second."""
    client, upstream, proxy = await through(stall, reply(OK))
    await client.send(request_)
    request = await upstream.request()
    await request.read()
    leave(client)
    await upstream.closed(within=1)
    await check_one_line(proxy, connect)


@leaves
@pytest.mark.parametrize("head", [EVENTS, LENGTH, UNTIL_CLOSE], ids=["chunks", "length", "close"])
async def test_waiting_for_the_body(through: Through, connect: Connect, head: bytes, leave: Leave) -> None:
    """Promise 16: a client that leaves between the head and the first event closes U's connection within a second."""
    client, upstream, proxy = await through(then_silence(head), reply(OK))
    await client.send(post())
    await client.response()
    leave(client)
    await upstream.closed(within=1)
    await check_one_line(proxy, connect)


@leaves
@pytest.mark.parametrize(
    ("head", "piece"),
    [(EVENTS, chunk(b"data: 1\n\n")), (LENGTH, b"data: 1\n\n"), (UNTIL_CLOSE, b"data: 1\n\n")],
    ids=["chunks", "length", "close"],
)
async def test_between_events(through: Through, connect: Connect, head: bytes, piece: bytes, leave: Leave) -> None:
    """Promise 16: a client that leaves a silent stream closes U's connection within a second."""
    client, upstream, proxy = await through(then_silence(head, piece), reply(OK))
    await client.send(post())
    await (await client.response()).read(until=b"data: 1\n\n")
    leave(client)
    await upstream.closed(within=1)
    await check_one_line(proxy, connect)


@leaves
async def test_in_a_busy_stream(through: Through, connect: Connect, leave: Leave) -> None:
    """Promise 16: a client that leaves while events are flowing closes U's connection within a second."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS)
        while True:
            await connection.send(chunk(b"data: 1\n\n" * 100))

    client, upstream, proxy = await through(script, reply(OK))
    await client.send(post())
    await (await client.response()).read(until=b"data: 1\n\n")
    leave(client)
    await upstream.closed(within=1)
    await check_one_line(proxy, connect)


@leaves
async def test_not_reading(through: Through, connect: Connect, leave: Leave) -> None:
    """Promise 16: a client that has stopped reading, so that the proxy waits to write, is noticed when it leaves."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS)
        while True:
            await connection.send(chunk(b"data: 1\n\n" * 5000))

    client, upstream, proxy = await through(script, reply(OK))
    client.small_buffers()
    await client.send(post())
    await client.response()
    client.hold()
    sender = await upstream.connection()
    before = -1
    while before != sender.sent:  # until nothing moves any more
        before = sender.sent
        await asyncio.wait([sender.script], timeout=0.2)
    leave(client)
    await upstream.closed(within=1)
    await check_one_line(proxy, connect)


@leaves
@pytest.mark.parametrize(
    "half",
    [post(body=b"half of it")[:-3], post_chunked(body=b"A\r\nhalf"), post_chunked()],
    ids=["length", "chunk", "no chunk"],
)
async def test_uploading(through: Through, connect: Connect, half: bytes, leave: Leave) -> None:
    """Promise 16: a client that leaves in the middle of its upload closes U's connection within a second."""
    client, upstream, proxy = await through(stall, reply(OK))
    await client.send(half)
    request = await upstream.request()
    leave(client)
    await upstream.closed(within=1)
    await request.read()
    assert request.ending is Ending.CUT
    await check_one_line(proxy, connect)


async def test_uploading_to_an_upstream_that_does_not_read(through: Through, connect: Connect) -> None:
    """Promise 16: a reset is noticed even while back-pressure keeps the proxy from reading the client.

    (A FIN cannot be: it waits behind the bytes that are still to be read.)
    """

    async def script(connection: UpstreamConnection) -> None:
        connection.small_buffers()
        await connection.head()
        connection.hold()
        await left.wait()
        connection.resume()  # only so that its end can be seen
        while await connection.take():
            pass

    left = asyncio.Event()
    client, upstream, proxy = await through(script, reply(OK))
    size = 64 << 20
    await client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {size}"))
    sending = asyncio.get_running_loop().create_task(client.send(*[b"x" * 65536] * (size // 65536)))
    before = -1
    while before != client.sent:  # until nothing moves any more
        before = client.sent
        await asyncio.wait([sending], timeout=0.2)
    sending.cancel()
    await asyncio.wait([sending])
    client.reset()
    await check_one_line(proxy, connect)
    left.set()
    await upstream.closed(within=1)


@leaves
async def test_connecting_in_the_tls_handshake(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, leave: Leave
) -> None:
    """Promise 16: a client that leaves during U's TLS handshake closes U's connection within a second."""

    async def never_greets(connection: UpstreamConnection) -> None:
        await connection.ended()

    behind = await upstream(never_greets, raw=True)
    proxy = await proxy_for(f"https://127.0.0.1:{behind.port}")
    client = await connect(proxy)
    await client.send(post())
    await (await behind.connection()).take(1)
    leave(client)
    await behind.closed(within=1)
    record = await proxy.record()
    assert (record.status, record.ended_by) == (499, "client")


@leaves
async def test_connecting_to_a_black_hole(proxy_for: StartProxy, connect: Connect, leave: Leave) -> None:
    """Promise 16: a client that leaves while U does not even accept leaves nothing behind."""
    with black_hole() as url:
        proxy = await proxy_for(url)
        client = await connect(proxy)
        await client.send(post())
        assert (await (await connect(proxy)).ask(get(target="/healthz"))).status == 200
        leave(client)
        record = await proxy.record()
        assert (record.status, record.ended_by) == (499, "client")


@leaves
async def test_while_the_last_bytes_go_out(through: Through, connect: Connect, leave: Leave) -> None:
    """Promise 16: a client that leaves when U has sent everything leaves nothing behind, and one line."""
    body = b"x" * 8_000_000
    client, upstream, proxy = await through(reply(message("HTTP/1.1 200 OK", "Content-Length: 8000000", body=body)))
    client.small_buffers()
    await client.send(get())
    await client.response()
    client.hold()
    await upstream.request()
    leave(client)
    await client.aclose()
    assert (await proxy.record()).ended_by == "client"
    caller = await connect(proxy)
    assert (await caller.ask(get())).ending == "complete"
    await proxy.record(1)
    assert len(proxy.records) == 2


@leaves
async def test_after_the_answer(through: Through, leave: Leave) -> None:
    """Promise 16: a client that leaves with its whole answer has had a good ending."""
    client, upstream, proxy = await through(reply(OK))
    assert (await client.ask(get())).status == 200
    leave(client)
    record = await proxy.record()
    assert (record.status, record.ended_by) == (200, "upstream")
    assert len(upstream.open) == 1  # kept for the next caller


LAST_EVENTS = {
    "chat": [b"data: [DONE]\n\n"],
    "chat without blanks": [b"data:[DONE]\n\n"],
    "chat in two pieces": [b"data: [DO", b"NE]\n\n"],
    "messages": [b'event: message_stop\ndata: {"type":"message_stop"}\n\n'],
    "responses": [b'event: response.completed\ndata: {"type":"response.completed"}\n\n'],
    "responses, with all of the answer": [b"event: response.completed\ndata: " + b"x" * 9000, b"x" * 9000, b"x\n\n"],
}


@leaves
@pytest.mark.parametrize("last", LAST_EVENTS.values(), ids=LAST_EVENTS)
async def test_hanging_up_at_the_last_event(through: Through, last: list[bytes], leave: Leave) -> None:
    """Promise 16: hanging up at the last event, as most SDKs do, is a good ending: 200, no warning, nothing left."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"), *map(chunk, last))
        await left.wait()
        await connection.send(LAST_CHUNK)
        await connection.ended()

    left = asyncio.Event()
    client, _, proxy = await through(script)
    await client.send(post())
    await (await client.response()).read(until=b"".join(last))
    leave(client)
    left.set()
    record = await proxy.record()
    assert (record.status, record.error, record.attribution) == (200, None, "stamped")
    assert len(proxy.records) == 1


@leaves
async def test_an_upstream_that_does_not_end_after_its_last_event(through: Through, leave: Leave) -> None:
    """Promise 16: when U goes on after its last event, a hang-up closes its connection within a second all the same."""
    last = b"data: [DONE]\n\n"
    client, upstream, proxy = await through(then_silence(EVENTS, chunk(last)))
    await client.send(post())
    await (await client.response()).read(until=last)
    leave(client)
    await upstream.closed(within=1)
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (200, None, "client")


@leaves
async def test_a_compressed_stream_that_ends(through: Through, leave: Leave) -> None:
    """Promise 16: where nobody can see what the client got, and U ends right after it has left, it got all: 200."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(head, chunk(b"compressed"))
        await left.wait()
        await connection.send(chunk(b"its end"), LAST_CHUNK)
        await connection.ended()

    head = message(
        "HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Encoding: br", "Transfer-Encoding: chunked"
    )
    left = asyncio.Event()
    client, _, proxy = await through(script)
    await client.send(post())
    await (await client.response()).read(until=b"compressed")
    leave(client)
    left.set()
    record = await proxy.record()
    assert (record.status, record.error) == (200, None)


@leaves
async def test_a_compressed_stream_that_does_not_end(through: Through, connect: Connect, leave: Leave) -> None:
    """Promise 16: where nobody can see whether the client got all, U has a moment to end; then it is 499."""
    head = message(
        "HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Encoding: br", "Transfer-Encoding: chunked"
    )
    client, upstream, proxy = await through(then_silence(head, chunk(b"compressed")), reply(OK))
    await client.send(post())
    await (await client.response()).read(until=b"compressed")
    leave(client)
    await upstream.closed(within=1)
    assert (await proxy.record()).error is None
    await check_one_line(proxy, connect)


@leaves
async def test_in_the_middle_of_the_last_event(through: Through, leave: Leave) -> None:
    """Promise 16: who leaves before all of a long last event has come has left early, though it had begun."""
    pieces = [b'event: response.completed\ndata: {"output": "', b"x" * 9000, b"x" * 9000]
    client, upstream, proxy = await through(then_silence(EVENTS, *map(chunk, pieces)))
    await client.send(post())
    await (await client.response()).read(until=b"".join(pieces))
    leave(client)
    await upstream.closed(within=1)
    assert (await proxy.record()).status == 499


async def test_done_in_a_models_words_is_no_ending(through: Through) -> None:
    """Promise 16: a model that writes of `data: [DONE]` has not ended its stream."""
    words = b'data: {"choices":[{"delta":{"content":"it ends with\\n\\ndata: [DONE]\\n\\n"}}]}\n\n'
    client, upstream, proxy = await through(then_silence(EVENTS, chunk(words)))
    await client.send(post())
    await (await client.response()).read(until=words)
    client.close()
    await upstream.closed(within=1)
    assert (await proxy.record()).status == 499


async def test_a_wave_of_clients_that_leave(through: Through, connect: Connect) -> None:
    """Promise 16: a hundred clients that leave at once, in different phases, leave nothing behind."""
    client, upstream, proxy = await through(
        *[stall, then_silence(EVENTS), then_silence(EVENTS, chunk(b"data: 1\n\n"))] * 33, reply(OK)
    )
    clients = [await connect(proxy) for _ in range(99)]
    for each in clients:
        await each.send(post())
    await upstream.request(98)
    for n, each in enumerate(clients):
        each.reset() if n % 2 else each.close()
    for n in range(99):
        await upstream.closed(n, within=1)
    await proxy.record(98)
    assert {record.status for record in proxy.records} == {499}
    assert (await client.ask(get())).status == 200


async def test_leaving_while_our_own_answer_is_taken(through: Through) -> None:
    """Promise 16: a client that leaves while it does not take an answer of our own has left; nobody is stopping."""
    client, _, proxy = await through()
    client.small_buffers()
    client.hold()
    sending = asyncio.get_running_loop().create_task(client.send(get(target="/nowhere") * 20_000))
    before = -1
    while before != len(proxy.records):  # until nothing moves any more, which does not depend on when all is sent
        before = len(proxy.records)
        await asyncio.sleep(0.2)
    client.reset()
    # The kernel may take in some more in the meantime (a probe of the closed window, answered late), and then some more
    # answers have been given: those have had a good ending, and the one that waits is the last.
    n = 0
    while (record := await proxy.record(n)).status == 404:
        n += 1
    assert (record.status, record.ended_by, record.error) == (499, "client", "unknown-path")
    with suppress(GoneError):
        await sending
    assert len(proxy.records) == n + 1
