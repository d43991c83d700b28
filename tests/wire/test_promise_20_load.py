"""Promise 20: the proxy comes back with its upstream, and carries many streams at once."""

import asyncio
import resource
from collections.abc import Iterator

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, Through
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.secrets import KEY
from tests.support.upstream import UpstreamConnection
from tests.support.waiting import eventually

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


FILES = 160  # that the proxy may have open, from which follows:
SERVED = 60  # clients at once
BEYOND = 50  # more, of whom some are told, and the others just closed


async def test_beyond_the_open_file_limit(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 20: one too many gets a 503 with Retry-After, and the log one line; the others go on; then it is over."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            await connection.send(EVENTS, chunk(b"data: 1\n\n"))
            await over.wait()
            await connection.send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)

    over = asyncio.Event()
    behind = await upstream(script)
    limited = ["sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh"]
    proxy = await proxy_process(behind, prefix=limited, api_key=KEY)
    unused = proxy.descriptors()
    served = [await connect(proxy) for _ in range(SERVED)]
    responses = []
    for client in served:
        await client.send(post())
        responses.append(await client.response())
        await responses[-1].read(until=b"data: 1\n\n")

    beyond = [await connect(proxy) for _ in range(BEYOND)]
    first = await beyond[0].answer()
    assert (first.status, first.values("x-proxy-error")) == (503, [b"overloaded"])
    assert first.values("retry-after")
    assert first.values("connection") == [b"close"]
    assert first.values("cross-origin-resource-policy") == [b"same-origin"]  # as promise 25 has it
    for client in beyond[1:]:
        answer = await client.rest()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 503 ")
    assert proxy.descriptors() < FILES
    assert (proxy.stdout + proxy.stderr).count("overloaded: ") == 1
    for client in beyond:
        await client.aclose()

    over.set()
    for response in responses:
        assert (await response.read()).endswith(b"[DONE]\n\n")
        assert response.ending is Ending.COMPLETE
    for client in served:
        await client.aclose()
    await eventually(
        lambda: proxy.descriptors() <= unused + SERVED, lambda: f"{proxy.descriptors()} descriptors to be closed"
    )
    assert (await (await connect(proxy)).ask(post())).status == 200
    assert "Traceback" not in proxy.stdout + proxy.stderr
