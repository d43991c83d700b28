"""Promise 20: the proxy comes back with its upstream, and carries many streams at once."""

import asyncio
import resource
from collections.abc import Iterator

import pytest

from tests.conftest import Connect, Through
from tests.support.client import get, post
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.upstream import UpstreamConnection

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
SAMPLE, FULL = 300, 2000  # streams; the full number with `pytest --full-size tests/wire/test_promise_20_load.py`


@pytest.fixture
def streams(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many streams to carry; the files that may be open suffice for their four ends each, all in this process."""
    count = FULL if request.config.getoption("--full-size") else SAMPLE
    needed = count * 4 + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} open files (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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


async def test_many_streams_at_once(streams: int, through: Through, connect: Connect) -> None:
    """Promise 20: so many streams are open together, none waits for another, and each ends whole."""

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.request()
        await connection.send(EVENTS, chunk(b"data: %b\n\n" % request.target))
        await all_open.wait()
        await connection.send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)
        await connection.ended()

    all_open = asyncio.Event()
    first, upstream, proxy = await through(script)
    clients = [first, *[await connect(proxy) for _ in range(streams - 1)]]
    for n, client in enumerate(clients):
        await client.send(get(target=f"/api/v1/{n}"))
    responses = []
    for n, client in enumerate(clients):
        response = await client.response()
        await response.read(until=b"data: /api/v1/%d\n\n" % n)
        responses.append(response)
    assert len(upstream.open) == streams
    all_open.set()
    for response in responses:
        assert (await response.read()).endswith(b"[DONE]\n\n")
        assert response.ending is Ending.COMPLETE
