"""Promise 29: the process ends in order: no new connections, open streams run on for a while, exit code as promised."""

import asyncio
import json
import signal

import pytest

from tests.support.client import Client, get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.http1 import LAST_CHUNK, Ending, Response, chunk, message
from tests.support.ports import once_nobody_listens
from tests.support.upstream import UpstreamConnection, stall

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")

ONE_WISH = 0.6  # seconds: a signal that follows within half a second of the first is the same wish

either_signal = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


class Stream:
    """A stream whose first event is at the client; it ends when `finish` is set."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()

    async def script(self, connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await self.finish.wait()
        await connection.send(chunk(b"data: 2\n\n") + LAST_CHUNK)
        await connection.ended()

    async def begin(self, client: Client) -> Response:
        await client.send(post())
        response = await client.response()
        await response.read(until=b"data: 1\n\n")
        return response


@either_signal
async def test_idle(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, number: signal.Signals
) -> None:
    """Promise 29: with nothing under way, kept-alive connections are closed and the exit code is 0, at once."""
    behind = await upstream()
    proxy = await proxy_process(behind, shutdown_grace="30")
    client = await connect(proxy)
    assert (await client.ask(get())).status == 200
    proxy.signal(number)
    assert await proxy.exit_code(within=5) == 0
    assert await client.rest() == b""
    assert await behind.closed(within=1)
    assert "Traceback" not in proxy.stdout + proxy.stderr


@either_signal
async def test_an_open_stream_runs_on(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, number: signal.Signals
) -> None:
    """Promise 29: new connections are refused, while an open stream runs on to its end; then the exit code is 0."""
    stream = Stream()
    proxy = await proxy_process(await upstream(stream.script), shutdown_grace="30")
    client = await connect(proxy)
    response = await stream.begin(client)
    proxy.signal(number)
    await once_nobody_listens(proxy)
    assert not client.end
    stream.finish.set()
    assert await response.read() == b"data: 1\n\ndata: 2\n\n"
    assert response.ending is Ending.COMPLETE
    assert await client.rest() == b""
    assert await proxy.exit_code(within=5) == 0
    assert [(line["status"], line["ended_by"]) for line in proxy.access_log] == [(200, "upstream")]


async def test_not_ready_any_more(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 29: while it stops, `/readyz` is 503 on connections that are still open, and so is everything else."""
    stream = Stream()
    behind = await upstream(stream.script)
    proxy = await proxy_process(behind, shutdown_grace="30")
    client, readiness, api, liveness = [await connect(proxy) for _ in range(4)]
    assert (await readiness.ask(get(target="/readyz"))).status == 200
    assert (await liveness.ask(get(target="/healthz"))).status == 200
    response = await stream.begin(client)
    proxy.signal(signal.SIGTERM)
    await once_nobody_listens(proxy)
    for each, request in ((readiness, get(target="/readyz")), (api, post())):
        refusal = await each.ask(request)
        assert (refusal.status, refusal.values("x-proxy-error")) == (503, [b"stopping"])
        assert refusal.values("retry-after")
        assert json.loads(refusal.body)["error"]["code"] == 503
        assert await each.rest() == b""
    assert (await liveness.ask(get(target="/healthz"))).status == 200
    assert len(behind.requests) == 1
    stream.finish.set()
    await response.read()
    assert await proxy.exit_code(within=5) == 0


async def test_after_the_grace_it_is_cut(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 29: a stream that does not end within the grace is cut at both ends, and never ended cleanly."""
    stream = Stream()
    behind = await upstream(stream.script)
    proxy = await proxy_process(behind, shutdown_grace="0.3")
    client = await connect(proxy)
    response = await stream.begin(client)
    proxy.signal(signal.SIGTERM)
    await response.read()
    assert (bytes(response.body), response.ending) == (b"data: 1\n\n", Ending.CUT)
    assert await behind.closed(within=1)
    assert await proxy.exit_code(within=5) == 0
    assert "Traceback" not in proxy.stdout + proxy.stderr
    [line] = proxy.access_log
    assert line["ended_by"] == "proxy"


async def test_a_request_that_waits_is_cut_after_the_grace_too(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 29: a client still waiting for U's head when the grace is over gets a 503."""
    behind = await upstream(stall)
    proxy = await proxy_process(behind, shutdown_grace="0.3")
    client = await connect(proxy)
    await client.send(post())
    await behind.request()
    proxy.signal(signal.SIGTERM)
    answer = await client.answer(b"POST")
    assert (answer.status, answer.values("x-proxy-error")) == (503, [b"stopping"])
    assert await behind.closed(within=1)
    assert await proxy.exit_code(within=5) == 0


@either_signal
async def test_a_second_signal_ends_at_once(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, number: signal.Signals
) -> None:
    """Promise 29: a second signal does not wait for the grace; the exit code is the signal's."""
    stream = Stream()
    behind = await upstream(stream.script)
    proxy = await proxy_process(behind, shutdown_grace="30")
    client = await connect(proxy)
    response = await stream.begin(client)
    proxy.signal(number)
    await once_nobody_listens(proxy)
    await asyncio.sleep(ONE_WISH)
    proxy.signal(number)
    await response.read()
    assert response.ending is Ending.CUT
    assert await proxy.exit_code(within=5) == 128 + number
    assert await behind.closed(within=1)
    assert "Traceback" not in proxy.stdout + proxy.stderr


async def test_two_signals_at_once_are_one_wish(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 29: one Ctrl+C often comes twice, from the terminal and from what has started us: the grace runs."""
    stream = Stream()
    proxy = await proxy_process(await upstream(stream.script), shutdown_grace="30")
    response = await stream.begin(await connect(proxy))
    proxy.signal(signal.SIGINT)
    proxy.signal(signal.SIGTERM)
    await once_nobody_listens(proxy)
    stream.finish.set()
    assert await response.read() == b"data: 1\n\ndata: 2\n\n"
    assert response.ending is Ending.COMPLETE
    assert await proxy.exit_code(within=5) == 0


@pytest.mark.parametrize(("streams", "counted"), [(1, "1 request"), (2, "2 requests")])
async def test_it_says_what_it_waits_for(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, streams: int, counted: str
) -> None:
    """Promise 29: one line tells what it waits for, for how long, and how to end at once."""
    stream = Stream()
    behind = await upstream(*[stream.script] * streams)
    proxy = await proxy_process(behind, shutdown_grace="20", log_format="text")
    responses = [await stream.begin(await connect(proxy)) for _ in range(streams)]
    proxy.signal(signal.SIGINT)
    line = f"stopping: waiting for {counted}, for 20 s at most; a second Ctrl+C cuts at once"
    await proxy.until(lambda: line in proxy.stdout, "the line")
    stream.finish.set()
    for response in responses:
        await response.read()
    assert await proxy.exit_code(within=5) == 0
    assert proxy.stdout.count("stopping") == 1


async def test_it_says_what_it_cuts(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 29: where the grace is over, one line tells how many requests paid for it."""
    stream = Stream()
    proxy = await proxy_process(await upstream(stream.script), shutdown_grace="0.2", log_format="text")
    response = await stream.begin(await connect(proxy))
    proxy.signal(signal.SIGTERM)
    await response.read()
    assert await proxy.exit_code(within=5) == 0
    assert "stopping: 1 request cut\n" in proxy.stdout


async def test_no_grace_at_all(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 29: with a grace of 0, open streams are cut at the first signal."""
    stream = Stream()
    proxy = await proxy_process(await upstream(stream.script), shutdown_grace="0")
    response = await stream.begin(await connect(proxy))
    proxy.signal(signal.SIGTERM)
    await response.read()
    assert response.ending is Ending.CUT
    assert await proxy.exit_code(within=5) == 0
