"""Promises 15 and 17 against an upstream that speaks out of turn: before it is asked, again, or before all is said."""

import asyncio
import socket
from collections.abc import Callable

import httpx2 as httpx
import pytest

from proxy.upstream.connection import Connection as UpstreamSide
from tests.support.aftermath import OWN, check_aftermath, is_visible_failure, sound
from tests.support.client import get, post, post_chunked
from tests.support.connection import Connection
from tests.support.fixtures import Connect, Through
from tests.support.http1 import Ending, chunk, chunked, message
from tests.support.upstream import UpstreamConnection

FIRST = {
    "length": message("HTTP/1.1 200 OK", "Content-Length: 5", body=b"first"),
    "chunks": message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(b"first")),
    "204": message("HTTP/1.1 204 No Content"),
    "304": message("HTTP/1.1 304 Not Modified"),
}
STRAY = message("HTTP/1.1 200 OK", "X-Stray: 1", "Content-Length: 5", body=b"stray")
EXTRAS = {
    "an answer": STRAY,
    "two answers": STRAY * 2,
    "a chunked answer": message("HTTP/1.1 200 OK", "X-Stray: 1", "Transfer-Encoding: chunked", body=chunked(b"stray")),
    "an error": message("HTTP/1.1 408 Request Timeout", "X-Stray: 1", "Connection: close", "Content-Length: 0"),
    "an interim answer": message("HTTP/1.1 100 Continue"),
    "half a head": b"HTTP/1.1 200 OK\r\nX-Stray: 1\r\nX-",
    "one byte": b"H",
    "a line break": b"\r\n",
    "LF": b"\n",
    "a last chunk": b"0\r\n\r\n",
    "NUL": b"\0",
    "an alert of TLS": b"\x15\x03\x03\x00\x02\x02\x28",
    "a megabyte": b"x" * (1 << 20),
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
async def test_in_the_same_segment(through: Through, connect: Connect, first: bytes, extra: bytes) -> None:
    """Promise 15: what stands right behind an answer is nobody's answer."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(first + extra)
        await connection.ended()

    way = await through(script, sound)
    response = await way.client.ask(post())
    assert response.ending is Ending.COMPLETE
    assert bytes(response.body) in (b"first", b"")
    assert not response.values("x-stray")
    await check_aftermath(way, connect)


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
async def test_while_idle(through: Through, connect: Connect, first: bytes, extra: bytes) -> None:
    """Promise 15: what comes on a connection that nobody uses ends that connection."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(first)
        await answered.wait()
        await connection.send(extra)
        await connection.ended()

    answered = asyncio.Event()
    way = await through(script, sound)
    assert (await way.client.ask(post())).ending is Ending.COMPLETE
    await way.proxy.record()
    answered.set()
    await check_aftermath(way, connect)


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
async def test_as_the_next_request_comes(through: Through, connect: Connect, extra: bytes) -> None:
    """Promise 15: what is already in the kernel when the connection is to be used again is seen, and not waited for."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(FIRST["length"])
        await connection.ended()

    way = await through(script, sound)
    await way.client.ask(post())
    await way.proxy.record()
    idle = await way.upstream.connection()
    # Both are written before the loop runs again: the proxy finds them in the same round.
    idle.write(extra[:4096])
    way.client.write(get())
    response = await way.client.answer()
    assert (response.status, bytes(response.body)) == (200, b"own")
    assert len(idle.requests) == 1
    await check_aftermath(way, connect)


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
async def test_before_the_request(extra: bytes) -> None:
    """Promise 15: what an upstream says before it is asked is no answer: that connection is not used at all.

    (Once a request is on its way, nothing tells an answer from words that crossed it: HTTP/1.1 has no numbers.)
    """
    closed = asyncio.Event()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(extra[:4096])
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: UpstreamSide(lambda _: closed.set()), sock=ours)
        await closed.wait()
        with pytest.raises(httpx.WriteError):
            connection.start("GET")


HALVES = {
    "length": post(body=b"half of the body")[:-8],
    "chunks": post_chunked(body=chunk(b"half")),
    "nothing yet": post(body=b"body")[:-4],
}
BREACHES = {
    "garbage": b"\0\1\2garbage\r\n\r\n",
    "an unknown coding": message("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
    "half a head": b"HTTP/1.1 401 Unauthorized\r\nX-A",
    "half a body": message("HTTP/1.1 401 Unauthorized", "Content-Length: 9", body=b"half"),
    "half a chunk": message("HTTP/1.1 401 Unauthorized", "Transfer-Encoding: chunked", body=b"9\r\nhalf"),
    "nothing": b"",
}


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
async def test_broken_before_the_request_is_complete(
    through: Through, connect: Connect, half: bytes, breach: bytes, leave: Callable[[Connection], None]
) -> None:
    """Promise 17: a broken answer to half a request is 502 or a cut, at once, and the upload does not go on."""

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.head()
        if not half.endswith(b"\r\n\r\n"):
            await request.read(until=b"half")
        await connection.send(breach)
        leave(connection)

    way = await through(script, sound)
    await way.client.send(half)
    response = await way.client.answer(b"POST")
    assert is_visible_failure(response)
    await way.upstream.closed(0, within=1)
    way.client.close()
    await check_aftermath(way, connect)


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
@pytest.mark.parametrize("answer", [OWN, message("HTTP/1.1 204 No Content"), FIRST["chunks"]])
async def test_sound_before_the_request_is_complete(
    through: Through, connect: Connect, half: bytes, answer: bytes
) -> None:
    """Promise 17: an early answer is the answer; its connection, with half a request on it, serves nobody else."""

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.head()
        if not half.endswith(b"\r\n\r\n"):
            await request.read(until=b"half")
        await connection.send(answer)
        await connection.ended()

    way = await through(script, sound)
    await way.client.send(half)
    response = await way.client.answer(b"POST")
    assert response.ending is Ending.COMPLETE
    assert response.status in (200, 204)
    await way.upstream.closed(0, within=1)
    way.client.close()
    await check_aftermath(way, connect)
