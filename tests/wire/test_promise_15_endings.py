"""Promise 15: the client never takes half an answer for a whole one, nor somebody else's for its own."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.client import get, post
from tests.support.connection import Connection, End
from tests.support.fixtures import Connect, Through
from tests.support.http1 import Ending, chunk, chunked, message
from tests.support.upstream import OK, UpstreamConnection, reply

EVENTS = b"data: one\n\ndata: two\n\n"
WITH_LENGTH = message("HTTP/1.1 200 OK", "Content-Length: 100")
WITH_CHUNKS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
WITHOUT = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream")

CUTS = {
    "length: nothing": (WITH_LENGTH, b""),
    "length: a part": (WITH_LENGTH, EVENTS),
    "length: all but one byte": (WITH_LENGTH, b"x" * 99),
    "chunks: nothing": (WITH_CHUNKS, b""),
    "chunks: within a size": (WITH_CHUNKS, chunk(EVENTS) + b"1"),
    "chunks: behind a size": (WITH_CHUNKS, chunk(EVENTS) + b"10\r"),
    "chunks: within data": (WITH_CHUNKS, b"ff\r\n" + EVENTS),
    "chunks: behind data": (WITH_CHUNKS, chunk(EVENTS)[:-2]),
    "chunks: within a terminator": (WITH_CHUNKS, chunk(EVENTS)[:-1]),
    "chunks: between two": (WITH_CHUNKS, chunk(EVENTS)),
    "chunks: behind [DONE]": (WITH_CHUNKS, chunk(EVENTS + b"data: [DONE]\n\n")),
    "chunks: within the last": (WITH_CHUNKS, chunk(EVENTS) + b"0"),
    "chunks: behind the last size": (WITH_CHUNKS, chunk(EVENTS) + b"0\r\n"),
    "chunks: within a trailer": (WITH_CHUNKS, chunk(EVENTS) + b"0\r\nX-T: 1\r\n"),
    "chunks: before the last LF": (WITH_CHUNKS, chunk(EVENTS) + b"0\r\n\r"),
}
LEAVES = [Connection.close, Connection.reset]


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("cut", CUTS)
async def test_a_cut_body_is_a_cut_connection(
    through: Through, cut: str, version: str, leave: Callable[[Connection], None]
) -> None:
    """Promise 15: a body that U cut is cut at the client too, with what there was of it and nothing else."""
    head, part = CUTS[cut]

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(head, part)
        leave(connection)

    client, _, proxy = await through(script)
    await client.send(b"GET /api/v1/models HTTP/%b\r\nHost: localhost\r\n\r\n" % version.encode())
    response = await client.answer()
    assert (response.status, response.ending) == (200, Ending.CUT)
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (200, "response-cut", "upstream")
    whole = b"x" * 99 if cut.startswith("length: all") else EVENTS + b"data: [DONE]\n\n"
    assert whole.startswith(response.body)
    if leave is Connection.close and part:
        assert response.body.startswith(b"x" * 99 if part.startswith(b"x") else EVENTS)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_reset_is_no_end_of_a_body(through: Through, version: str) -> None:
    """Promise 15: where the end of U's connection is the end of the body, a reset is not."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(WITHOUT)
        await connection.send(EVENTS)
        await arrived.wait()
        connection.reset()

    arrived = asyncio.Event()
    client, *_ = await through(script)
    await client.send(b"GET /api/v1/models HTTP/%b\r\nHost: localhost\r\n\r\n" % version.encode())
    response = await client.response()
    await response.read(until=EVENTS)
    arrived.set()
    await response.read()
    assert (bytes(response.body), response.ending) == (EVENTS, Ending.CUT)


@pytest.mark.parametrize("half", [b"H", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", b""])
@pytest.mark.parametrize("leave", LEAVES)
async def test_a_cut_head_is_502(through: Through, half: bytes, leave: Callable[[Connection], None]) -> None:
    """Promise 15: when U ends within its head, the client gets our 502 and nothing of U's."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(half)
        leave(connection)

    client, upstream, _ = await through(script)
    response = await client.ask(post())
    assert (response.status, response.values("x-proxy-error"), response.ending) == (
        502,
        [b"upstream-broken"],
        "complete",
    )
    assert not response.values("x-a")
    assert len(upstream.requests) == 1


STRAY = message("HTTP/1.1 200 OK", "X-Stray: 1", "Content-Length: 5", body=b"stray")
ANSWERS = {
    "length": message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"),
    "empty": message("HTTP/1.1 200 OK", "Content-Length: 0"),
    "chunks": message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(b"ok")),
    "204": message("HTTP/1.1 204 No Content"),
    "304": message("HTTP/1.1 304 Not Modified", "Content-Length: 5"),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "extra", [STRAY, b"stray", b"\r\n", b"HTTP/1.1 200 OK\r\n"], ids=["answer", "garbage", "CRLF", "half"]
)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_bytes_behind_an_answer_reach_nobody(
    through: Through, connect: Connect, *, answer: str, extra: bytes, together: bool, method: str
) -> None:
    """Promise 15: bytes after the end of U's message are discarded with their connection; nobody is served them."""
    whole = ANSWERS[answer]
    if method == "HEAD":
        whole = whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        if together:
            await connection.send(whole + extra)
        else:
            await connection.send(whole)
            await answered.wait()
            await connection.send(extra)
        await connection.ended()

    answered = asyncio.Event()
    client, upstream, proxy = await through(script, reply(OK))
    await client.send(get(method=method))
    first = await client.answer(method.encode())
    assert first.ending == "complete"
    answered.set()
    assert await upstream.closed(within=1)
    for caller in (await connect(proxy), client):
        response = await caller.ask(get())
        assert (response.status, bytes(response.body)) == (200, b"ok")
        assert not response.values("x-stray")
    assert len(upstream.connections) == 2


UNTRUSTED = {
    "length and chunks": ["Content-Length: 2", "Transfer-Encoding: chunked"],
    "chunks and length": ["Transfer-Encoding: chunked", "Content-Length: 2"],
    "two lengths": ["Content-Length: 2", "Content-Length: 3"],
    "two lengths in one": ["Content-Length: 2, 3"],
    "a signed length": ["Content-Length: +2"],
    "a negative length": ["Content-Length: -2"],
    "a length in hex": ["Content-Length: 0x2"],
    "a length that is none": ["Content-Length: two"],
    "an empty length": ["Content-Length:"],
    "a huge length": ["Content-Length: 99999999999999999999999999"],
    "another coding": ["Transfer-Encoding: gzip"],
    "chunked twice": ["Transfer-Encoding: chunked, chunked"],
    "chunked twice in two": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "chunked and more": ["Transfer-Encoding: chunked, gzip"],
    "gzip and chunked": ["Transfer-Encoding: gzip, chunked"],
    "nearly chunked": ["Transfer-Encoding: xchunked"],
    "a bare LF": ["X-A: 1\nContent-Length: 2"],
    "a folded line": ["X-A: 1\r\n folded", "Content-Length: 2"],
    "a blank before the colon": ["Content-Length : 2"],
    "a NUL": ["X-A: \0", "Content-Length: 2"],
    "no colon": ["X-A", "Content-Length: 2"],
}


@pytest.mark.parametrize("lines", UNTRUSTED.values(), ids=UNTRUSTED)
async def test_framing_that_cannot_be_trusted(through: Through, connect: Connect, lines: list[str]) -> None:
    """Promise 15: a head whose framing is in doubt is our 502, and that connection is not used again."""
    answer = message("HTTP/1.1 200 OK", *lines, body=b"2\r\nok\r\n0\r\n\r\n")
    client, upstream, proxy = await through(reply(answer), reply(OK))
    response = await client.ask(get())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    assert await upstream.closed(within=1)
    assert bytes((await (await connect(proxy)).ask(get())).body) == b"ok"


BAD_CHUNKS = {
    "no size": b"\r\nok\r\n0\r\n\r\n",
    "not a number": b"xyz\r\nok\r\n0\r\n\r\n",
    "a sign": b"+2\r\nok\r\n0\r\n\r\n",
    "a prefix": b"0x2\r\nok\r\n0\r\n\r\n",
    "negative": b"-2\r\nok\r\n0\r\n\r\n",
    "a huge size": b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "too long for its size": b"2\r\nokay\r\n0\r\n\r\n",
    "a bare LF": b"2\nok\n0\n\n",
    "no CR behind the data": b"2\r\nok\n0\r\n\r\n",
    "a blank before the size": b" 2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_bad_chunks_are_a_cut(through: Through, connect: Connect, body: bytes) -> None:
    """Promise 15: a chunk that is none is a cut (or 502, if nothing had been said yet), never repaired."""
    client, upstream, proxy = await through(reply(WITH_CHUNKS, chunk(b"data: 1\n\n"), body), reply(OK))
    response = await client.ask(get())
    assert response.status == 502 or response.ending is Ending.CUT
    assert await upstream.closed(within=1)
    assert bytes((await (await connect(proxy)).ask(get())).body) == b"ok"


async def test_garbage_instead_of_an_answer(through: Through) -> None:
    """Promise 15: what is not HTTP/1.1 is our 502."""
    for garbage in (b"\x15\x03\x01\x00\x02\x02\x50", b"SSH-2.0-x\r\n", b"<html>\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n"):
        client, upstream, _ = await through(reply(garbage + b"\r\n" * 4))
        response = await client.ask(get())
        assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
        assert await upstream.closed(within=1) is End.FIN
