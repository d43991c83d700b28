"""The relay of the fault tests, tested against itself: a client straight through it to a scripted upstream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.support.client import Client, get
from tests.support.connection import End, GoneError
from tests.support.fixtures import OpenUpstream
from tests.support.http1 import Ending, chunked, message
from tests.support.relay import GOOD, Line, Relay
from tests.support.upstream import OK, UpstreamConnection, reply, stall

pytestmark = pytest.mark.integration

Through = Callable[..., Awaitable[tuple[Client, Relay]]]
BODY = bytes(range(256)) * 40
LONG = message("HTTP/1.1 200 OK", f"Content-Length: {len(BODY)}", body=BODY)


@pytest.fixture
async def relayed(upstream: OpenUpstream) -> AsyncIterator[Through]:
    """A client whose connection to an upstream is such a line."""
    async with AsyncExitStack() as stack:

        async def start(line: Line, *answer: bytes) -> tuple[Client, Relay]:
            behind = await upstream(reply(*answer) if answer else stall)
            relay = await stack.enter_async_context(Relay(behind.port, lambda n: line))
            client = await Client.open(relay)
            stack.push_async_callback(client.aclose)
            return client, relay

        yield start


async def test_a_good_line(relayed: Through) -> None:
    client, relay = await relayed(GOOD, LONG)
    for _ in range(3):
        response = await client.ask(get())
        assert (bytes(response.body), response.ending) == (BODY, Ending.COMPLETE)
    assert relay.connections == 1


async def test_latency(relayed: Through) -> None:
    """A question and its answer take two ways."""
    client, _ = await relayed(Line(latency=0.1), OK)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert (await client.ask(get())).status == 200
    assert loop.time() - before >= 0.2


async def test_handshake(relayed: Through) -> None:
    """A new connection takes that much longer, once."""
    client, relay = await relayed(Line(handshake=0.5), OK)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert (await client.ask(get())).status == 200
    assert loop.time() - before >= 0.5
    assert (await client.ask(get())).status == 200
    assert relay.connections == 1


async def test_latency_is_not_bandwidth(relayed: Through) -> None:
    """Many pieces at once take the time of one."""
    client, _ = await relayed(Line(latency=0.1, piece=1024), *[LONG[n : n + 100] for n in range(0, len(LONG), 100)])
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert bytes((await client.ask(get())).body) == BODY
    assert loop.time() - before < 5  # and not 0.1 for each


async def test_bandwidth(relayed: Through) -> None:
    client, _ = await relayed(Line(bandwidth=len(LONG) * 5, piece=1000), LONG)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert bytes((await client.ask(get())).body) == BODY
    assert loop.time() - before >= 0.2 - 1000 / (len(LONG) * 5)  # nobody waits behind the last piece


async def test_single_bytes(upstream: OpenUpstream) -> None:
    """Each byte arrives by itself."""
    pieces: list[bytes] = []

    class Listener(UpstreamConnection):
        def data_received(self, data: bytes) -> None:
            pieces.append(data)
            super().data_received(data)

    behind = await upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Listener(behind), "127.0.0.1", 0)
    async with server, Relay(server.sockets[0].getsockname()[1], lambda n: Line(single_bytes=1000)) as relay:
        client = await Client.open(relay)
        assert (await client.ask(get())).status == 200
        await client.aclose()
        await behind.closed()
    assert max(map(len, pieces)) <= 2  # the kernel may put two together
    assert b"".join(pieces) == get()


@pytest.mark.parametrize("count", [0, 1, 19, 100, len(LONG) - 1])
@pytest.mark.parametrize("end", [End.FIN, End.RESET])
async def test_cut(relayed: Through, count: int, end: End) -> None:
    """So many bytes come back, and then a FIN or a RST, also to the upstream."""
    line = Line(reset_after=count) if end is End.RESET else Line(close_after=count)
    client, _ = await relayed(line, LONG)
    if count:
        await client.send(get())
    assert await client.ended() is end
    assert bytes(client.buffer) == LONG[:count]


async def test_the_client_leaves(upstream: OpenUpstream) -> None:
    """Each end of a client is passed on as it is."""
    behind = await upstream(stall)
    async with Relay(behind.port) as relay:
        for n, (leave, end) in enumerate([(Client.close, End.FIN), (Client.half_close, End.FIN), (Client.reset, None)]):
            client = await Client.open(relay)
            await client.send(get())
            await behind.request(n)
            leave(client)
            assert await behind.closed(n, within=1) in (end or End.RESET, End.RESET)
            await client.aclose()


async def test_nobody_behind_it(footprint: object) -> None:
    """When nobody listens there, the connection is reset."""
    async with Relay(9) as relay:
        client = await Client.open(relay)
        with pytest.raises(GoneError):
            await client.ask(get())
        await client.aclose()


async def test_back_pressure(upstream: OpenUpstream) -> None:
    """What the client does not read stays with the upstream."""
    size = 64 << 20
    piece = b"x" * 65536

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        await connection.send(*[piece] * (size // len(piece)))

    behind = await upstream(script)
    async with Relay(behind.port) as relay:
        client = await Client.open(relay)
        client.small_buffers()
        await client.send(get())
        client.hold()
        sender = await behind.connection()
        before = -1
        while before != sender.sent:
            before = sender.sent
            await asyncio.sleep(0.2)
        assert sender.sent < size / 2
        client.reset()
        await behind.closed(within=1)


async def test_chunks_through_a_bad_line(relayed: Through) -> None:
    body = chunked(*[BODY[n : n + 7] for n in range(0, 700, 7)])
    answer = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=body)
    client, _ = await relayed(Line(latency=0.01, piece=3), answer)
    assert bytes((await client.ask(get())).body) == BODY[:700]
