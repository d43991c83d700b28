"""Promise 20: the proxy comes back with its upstream, and carries many streams at once."""

import asyncio

from tests.conftest import Connect, Through
from tests.support.client import get, post
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.upstream import UpstreamConnection

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
STREAMS = 300  # two descriptors at each end for each; the usual limit of 1,024 must hold them


async def test_down_then_up(through: Through) -> None:
    """Promise 20: the first request after U has come back works, on the same client connection."""
    client, upstream, _ = await through()
    for _ in range(2):
        assert (await client.ask(post())).status == 200
        await upstream.stop()
        for _ in range(3):
            assert (await client.ask(post())).status == 502
        await upstream.start()
        assert (await client.ask(post())).status == 200


async def test_many_streams_at_once(through: Through, connect: Connect) -> None:
    """Promise 20: hundreds of streams are open together, none waits for another, and each ends whole."""

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.request()
        await connection.send(EVENTS, chunk(b"data: %b\n\n" % request.target))
        await all_open.wait()
        await connection.send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)
        await connection.ended()

    all_open = asyncio.Event()
    first, upstream, proxy = await through(script)
    clients = [first, *[await connect(proxy) for _ in range(STREAMS - 1)]]
    for n, client in enumerate(clients):
        await client.send(get(target=f"/api/v1/{n}"))
    responses = []
    for n, client in enumerate(clients):
        response = await client.response()
        await response.read(until=b"data: /api/v1/%d\n\n" % n)
        responses.append(response)
    assert len(upstream.open) == STREAMS
    all_open.set()
    for response in responses:
        assert (await response.read()).endswith(b"[DONE]\n\n")
        assert response.ending is Ending.COMPLETE
