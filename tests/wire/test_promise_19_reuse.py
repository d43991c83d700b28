"""Promise 19: connections to the upstream are kept and used again, and what costs money is never sent twice."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from proxy.upstream import pool as pools
from tests.support.client import get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, Through
from tests.support.http1 import message
from tests.support.upstream import OK, Script, UpstreamConnection, reply
from tests.support.waiting import PATIENCE


async def test_used_again(through: Through, connect: Connect) -> None:
    """Promise 19: one connection serves one request after another, from any client."""
    client, upstream, proxy = await through()
    for each in (client, client, await connect(proxy)):
        assert (await each.ask(post())).status == 200
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("size", [1000, 64 * 1024 + 1, 1_000_000])
async def test_used_again_behind_an_answer_of_any_size(through: Through, size: int) -> None:
    """Promise 19: also if an answer came all at once, and was more than is held for a slow reader."""
    body = b"x" * size
    client, upstream, _ = await through(reply(message("HTTP/1.1 200 OK", f"Content-Length: {size}", body=body)))
    for _ in range(3):
        assert (await client.ask(post())).body == body
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("lines", [["HTTP/1.1 200 OK", "Connection: close"], ["HTTP/1.0 200 OK"]])
async def test_not_used_again_when_the_upstream_says_so(through: Through, lines: list[str]) -> None:
    """Promise 19: a connection that U will close is not used again."""
    client, upstream, _ = await through(reply(message(*lines, "Content-Length: 2", body=b"ok")))
    for _ in range(2):
        assert (await client.ask(post())).status == 200
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
async def test_one_that_the_upstream_closed_is_noticed(
    request: pytest.FixtureRequest, through: Through, leave: Callable[[Connection], None]
) -> None:
    """Promise 19: a kept connection that U has closed meanwhile is noticed and not used, even for a POST."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(OK)
        await answered.wait()
        leave(connection)
        closed.set()

    answered, closed = asyncio.Event(), asyncio.Event()
    client, upstream, _ = await through(script, reply(OK))
    assert (await client.ask(post())).status == 200
    answered.set()
    await closed.wait()
    if request.config.getoption("route") == "tunnel":
        for _ in range(10):  # turns of the loop in which the news travels through what stands between
            await asyncio.sleep(0)
    assert (await client.ask(post())).status == 200
    assert [len(connection.requests) for connection in upstream.connections] == [1, 1]


def dies_at_the_second(*pieces: bytes, leave: Callable[[Connection], None]) -> Script:
    """Answers once, and ends the connection when the next request is there."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await connection.send(*pieces)
        leave(connection)

    return script


leaves = pytest.mark.parametrize("leave", [Connection.close, Connection.reset])


@leaves
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_what_costs_nothing_is_sent_once_more(
    through: Through, method: str, leave: Callable[[Connection], None]
) -> None:
    """Promise 19: when a kept connection dies as it is used, GET, HEAD and OPTIONS go to a fresh one."""
    client, upstream, _ = await through(dies_at_the_second(leave=leave), reply(message("HTTP/1.1 204 X")))
    await client.ask(get())
    await client.send(get(method=method))
    assert (await client.answer(method.encode())).status == 204
    assert [len(connection.requests) for connection in upstream.connections] == [2, 1]


@leaves
@pytest.mark.parametrize(
    "request_",
    [
        post(),
        post(body=b""),
        get(method="POST"),
        get(method="DELETE"),
        message("GET /api/v1/x HTTP/1.1", "Host: localhost", "Content-Length: 2", body=b"{}"),
    ],
)
async def test_what_may_cost_money_is_not(
    through: Through, request_: bytes, leave: Callable[[Connection], None]
) -> None:
    """Promise 19: a POST, or anything with a body, is never sent twice: 502."""
    client, upstream, _ = await through(dies_at_the_second(leave=leave), reply(OK))
    await client.ask(get())
    response = await client.ask(request_)
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    assert [len(connection.requests) for connection in upstream.connections] == [2]


@leaves
async def test_not_when_there_was_a_byte_of_an_answer(through: Through, leave: Callable[[Connection], None]) -> None:
    """Promise 19: when U has begun to answer, even a GET is not sent twice."""
    client, upstream, _ = await through(dies_at_the_second(b"H", leave=leave), reply(OK))
    await client.ask(get())
    assert (await client.ask(get())).status == 502
    assert len(upstream.connections) == 1


@leaves
async def test_once_more_and_not_again(through: Through, leave: Callable[[Connection], None]) -> None:
    """Promise 19: a fresh connection that dies as well ends it: 502."""

    async def dies(connection: UpstreamConnection) -> None:
        await connection.request()
        leave(connection)

    client, upstream, _ = await through(dies_at_the_second(leave=leave), dies)
    await client.ask(get())
    assert (await client.ask(get())).status == 502
    assert [len(connection.requests) for connection in upstream.connections] == [2, 1]


async def test_fresh_ones_are_not_tried_twice(through: Through) -> None:
    """Promise 19: a connection that dies on its first request is no reason to try again."""

    async def dies(connection: UpstreamConnection) -> None:
        await connection.request()

    client, upstream, _ = await through(dies)
    assert (await client.ask(get())).status == 502
    assert len(upstream.connections) == 1


@pytest.mark.only_route("direct", reason="an outbound proxy between takes in what the upstream does not")
async def test_not_used_again_with_a_request_half_sent(through: Through) -> None:
    """Promise 19: a connection on which an early answer left a part of the request unsent is not used again."""

    async def refuses(connection: UpstreamConnection) -> None:
        await connection.head()
        connection.hold()
        await connection.send(message("HTTP/1.1 413 Too Large", "Content-Length: 2", body=b"no"))
        await done.wait()
        connection.resume()  # only so that the end of the connection can be seen
        await connection.ended()

    done = asyncio.Event()
    client, upstream, _ = await through(refuses, reply(OK))
    listening = upstream._server.sockets[0]  # what it accepts takes little at a time
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 600)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        assert (await client.ask(post(body=b"x" * 150_000))).status == 413
        assert (await client.ask(get())).status == 200
        assert [len(connection.requests) for connection in upstream.connections] == [1, 1]
    finally:
        done.set()


async def test_not_used_for_as_long_as_the_upstream_keeps_it(through: Through) -> None:
    """Promise 19: a connection that U keeps for N seconds is parked for N - 1, and closed then."""
    answer = message("HTTP/1.1 200 OK", "Keep-Alive: timeout=2, max=100", "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    loop = asyncio.get_running_loop()
    for _ in range(2):
        assert (await client.ask(post())).status == 200
    parked_at = loop.time()
    await upstream.closed(0)
    assert 0.5 < loop.time() - parked_at < 1.9
    assert (await client.ask(post())).status == 200
    assert [len(connection.requests) for connection in upstream.connections] == [2, 1]


@pytest.mark.parametrize("said", ["timeout=1", "max=5, TIMEOUT = 1", 'timeout="1"', "timeout=0"])
async def test_not_parked_at_all(through: Through, said: str) -> None:
    """Promise 19: N of one second or none leaves no time in which it could be used."""
    answer = message("HTTP/1.1 200 OK", f"Keep-Alive: {said}", "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    for _ in range(2):
        assert (await client.ask(post())).status == 200
    assert [len(connection.requests) for connection in upstream.connections] == [1, 1]


@pytest.mark.parametrize("said", ["timeout=60", "timeout=", "timeout=-1", "max=1", "", "timeout=99999999999999999"])
async def test_what_says_nothing_of_now(through: Through, said: str) -> None:
    """Promise 19: any other Keep-Alive leaves the connection as good as without."""
    answer = message("HTTP/1.1 200 OK", f"Keep-Alive: {said}", "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    for _ in range(2):
        assert (await client.ask(post())).status == 200
    assert len(upstream.connections) == 1


async def test_not_for_ever(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 19: under steady traffic, too, a connection is used for an hour at most: its name may have moved."""
    monkeypatch.setattr(pools, "_OLDEST", 0.3)
    client, upstream, _ = await through()
    async with asyncio.timeout(PATIENCE):
        while len(upstream.connections) < 3:
            assert (await client.ask(post())).status == 200
            await asyncio.sleep(0.02)
    assert len(upstream.connections[0].requests) > 1
    assert len(upstream.open) == 1
