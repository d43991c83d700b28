"""Promise 15 against an upstream whose bodies are broken: a cut at the client, at every place where one can be."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.support.aftermath import OWN, check_aftermath, is_visible_failure, sound
from tests.support.client import get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, Through
from tests.support.http1 import Ending, chunk, chunked, message
from tests.support.upstream import Script, UpstreamConnection, reply

CHUNKED = message("HTTP/1.1 200 OK", "X-Theirs: 1", "Transfer-Encoding: chunked")
LEAVES = [Connection.close, Connection.reset]
Leave = Callable[[Connection], None]

SOUND_CHUNKS = {
    "an extension": b"2;a=b\r\nok\r\n0\r\n\r\n",
    "a quoted extension": b'2;a="b;c"\r\nok\r\n0\r\n\r\n',
    "an extension without a value": b"2;a\r\nok\r\n0;b\r\n\r\n",
    "leading zeros": b"0002\r\nok\r\n000\r\n\r\n",
    "upper and lower case": b"a\r\nokokokokok\r\nA\r\nokokokokok\r\n0\r\n\r\n",
    "a trailer": b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    "a trailer that would frame": b"2\r\nok\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
}


@pytest.mark.parametrize("body", SOUND_CHUNKS.values(), ids=SOUND_CHUNKS)
async def test_sound_chunks(through: Through, body: bytes) -> None:
    """Promise 15: chunks that are odd but in order are read, and what belongs to their framing stays behind."""
    client, *_ = await through(reply(CHUNKED + body))
    for _ in range(2):
        response = await client.ask(get())
        assert (set(bytes(response.body)), response.ending) == (set(b"ok"), Ending.COMPLETE)
        assert not response.trailers


BAD_CHUNKS = {
    "no size": b"\r\nok\r\n0\r\n\r\n",
    "only an extension": b";a\r\nok\r\n0\r\n\r\n",
    "a blank behind the size": b"2 \r\nok\r\n0\r\n\r\n",
    "a tab behind the size": b"2\t\r\nok\r\n0\r\n\r\n",
    "a blank before the extension": b"2 ;a\r\nok\r\n0\r\n\r\n",
    "a comma": b"2,\r\nok\r\n0\r\n\r\n",
    "a fraction": b"2.0\r\nok\r\n0\r\n\r\n",
    "a low line": b"0_2\r\nok\r\n0\r\n\r\n",
    "a vertical tab": b"2\x0b\r\nok\r\n0\r\n\r\n",
    "a superscript": b"\xb2\r\nok\r\n0\r\n\r\n",
    "NUL in an extension": b"2;a\0\r\nok\r\n0\r\n\r\n",
    "LF in an extension": b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "CR in an extension": b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "CR CR LF": b"2\r\r\nok\r\n0\r\n\r\n",
    "a size that wraps": b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "a size without an end": b"f" * 100 + b"\r\nok\r\n0\r\n\r\n",
    "no terminator": b"2\r\nok0\r\n\r\n",
    "LF as a terminator": b"2\r\nok\n0\r\n\r\n",
    "two LF as a terminator": b"2\r\nok\n\n0\r\n\r\n",
    "CR CR LF as a terminator": b"2\r\nok\r\r\n0\r\n\r\n",
    "two terminators": b"2\r\nok\r\n\r\n0\r\n\r\n",
    "shorter than its size": b"3\r\nok\r\n0\r\n\r\n",
    "longer than its size": b"1\r\nok\r\n0\r\n\r\n",
    "a negative zero": b"2\r\nok\r\n-0\r\n\r\n",
    "a zero in hex": b"2\r\nok\r\n0x0\r\n\r\n",
    "LF behind the last chunk": b"2\r\nok\r\n0\n\n",
    "LF for a blank line": b"2\r\nok\r\n0\r\n\n",
    "two last chunks": b"2\r\nok\r\n0\r\n0\r\n\r\n",
    "LF in a trailer": b"2\r\nok\r\n0\r\nX: 1\nY: 2\r\n\r\n",
    "NUL in a trailer": b"2\r\nok\r\n0\r\nX: \0\r\n\r\n",
    "a trailer without a colon": b"2\r\nok\r\n0\r\nX\r\n\r\n",
    "a folded trailer": b"2\r\nok\r\n0\r\n X: 1\r\n\r\n",
    "a trailer with a length": b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
    "an answer instead of a chunk": OWN,
}


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_bad_chunks(through: Through, connect: Connect, body: bytes, *, begun: bool) -> None:
    """Promise 15: a chunk that is none, also as the first thing of a body, is a cut, and what was sound is there."""
    way = await through(reply(CHUNKED + chunk(b"data: 1\n\n") * begun, body), sound)
    response = await way.client.ask(post())
    assert is_visible_failure(response)
    assert (b"data: 1\n\n" * begun + b"okok").startswith(response.body.rstrip(b"0\r\n"))
    await check_aftermath(way, connect)


def answer_of(body: bytes, *lines: str, method: str = "POST", framed: bytes | None = None) -> tuple[str, bytes, bytes]:
    """Method, answer, and the body that the client should get of it."""
    return method, message("HTTP/1.1 200 OK", "X-Theirs: 1", *lines, body=body if framed is None else framed), body


TEXT = b"data: one\n\ndata: [DONE]\n\n"
ANSWERS: dict[str, tuple[str, bytes, bytes]] = {
    "length": answer_of(TEXT, f"Content-Length: {len(TEXT)}"),
    "no length": answer_of(b"", "Content-Length: 0"),
    "chunks": answer_of(TEXT, "Transfer-Encoding: chunked", framed=chunked(TEXT[:11], TEXT[11:])),
    "chunks and a trailer": answer_of(TEXT, "Transfer-Encoding: chunked", framed=chunk(TEXT) + b"0\r\nX-T: 1\r\n\r\n"),
    "until close": answer_of(TEXT, "Content-Type: text/event-stream"),
    "HEAD": answer_of(b"", "Content-Length: 25", method="HEAD"),
    "204": ("DELETE", message("HTTP/1.1 204 No Content", "X-Theirs: 1"), b""),
    "304": ("POST", message("HTTP/1.1 304 Not Modified", "X-Theirs: 1", "Content-Length: 25"), b""),
    "behind an interim answer": (
        "POST",
        message("HTTP/1.1 103 Early Hints", "Link: </a>") + message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"),
        b"ok",
    ),
}
AT_ONCE = 16


def in_turn(scripts: Iterator[Script]) -> Script:
    """Each connection follows the next script; when there is none left, all are sound."""

    async def script(connection: UpstreamConnection) -> None:
        await next(scripts, sound)(connection)

    return script


def ends_after(part: bytes, leave: Leave) -> Script:
    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(part)
        leave(connection)

    return script


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("name", ANSWERS)
async def test_ended_at_each_byte(through: Through, connect: Connect, name: str, leave: Leave) -> None:
    """Promise 15: wherever U closes or resets, the client gets a whole answer, 502 or a cut; never half of one."""
    method, answer, body = ANSWERS[name]
    head = answer.index(b"\r\n\r\n", answer.rindex(b"HTTP/1.1")) + 4
    scripts = (ends_after(answer[:n], leave) for n in range(len(answer) + 1))
    way = await through(in_turn(scripts))
    for n in range(len(answer) + 1):
        client = await connect(way.proxy)
        await client.send(get(method=method))
        response = await client.answer(method.encode())
        if n < head:
            assert (response.status, response.ending) == (502, Ending.COMPLETE), n
            assert not response.values("x-theirs")
        elif name == "until close":
            whole = leave is Connection.close  # that is how this framing says so: it cannot tell more
            assert response.ending is (Ending.COMPLETE if whole else Ending.CUT), n
            assert body.startswith(response.body)
            assert not whole or bytes(response.body) == answer[head:n]
        elif n == len(answer) or not body:
            assert (bytes(response.body), response.ending) == (body, Ending.COMPLETE), n
        else:
            assert response.ending is Ending.CUT, n
            assert body.startswith(response.body)
        client.close()
    await check_aftermath(way, connect, faulty=range(len(answer) + 1))


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "until close"])
async def test_split_at_each_byte(through: Through, name: str) -> None:
    """Promise 15: wherever an answer is split into two, it is the same answer, and its connection serves the next."""
    method, answer, body = ANSWERS[name]
    places = iter(range(1, len(answer)))

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            place = next(places, len(answer))
            await connection.send(answer[:place])
            await connection.send(answer[place:])

    way = await through(script)
    for _ in range(1, len(answer)):
        await way.client.send(get(method=method))
        response = await way.client.answer(method.encode())
        assert (bytes(response.body), response.ending) == (body, Ending.COMPLETE)
    assert len(way.upstream.requests) == len(answer) - 1


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "until close"])
async def test_one_byte_at_a_time(through: Through, name: str) -> None:
    """Promise 15: a slow upstream, a byte at a time, is whole too, and the next answers are each caller's own."""
    method, answer, body = ANSWERS[name]

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.request()
            await connection.trickle(answer)

    client, *_ = await through(script)
    for _ in range(3):
        await client.send(get(method=method))
        response = await client.answer(method.encode())
        assert (bytes(response.body), response.ending) == (body, Ending.COMPLETE)


@pytest.mark.parametrize("leave", LEAVES)
async def test_many_cut_at_once(through: Through, connect: Connect, leave: Leave) -> None:
    """Promise 15: answers cut at different places at the same time are each cut for the one whose answer it was."""
    _, answer, body = ANSWERS["chunks"]
    every = range(len(answer) - AT_ONCE * 4, len(answer), 4)
    go = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.request()
        place = int(request.target.rpartition(b"/")[2])
        await go.wait()
        await connection.send(answer[:place])
        leave(connection)

    way = await through(*[script] * len(every), sound)
    clients = [await connect(way.proxy) for _ in every]
    for client, place in zip(clients, every, strict=True):
        await client.send(get(target=f"/api/v1/{place}"))
    await way.upstream.request(len(every) - 1)
    go.set()
    for client in clients:
        response = await client.answer()
        assert is_visible_failure(response)
        if response.status == 200:
            assert body.startswith(response.body)
    await check_aftermath(way, connect, faulty=range(len(every)))
