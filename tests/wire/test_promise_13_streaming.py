"""Promise 13: whatever the upstream has sent is on its way to the client at once, and never touched."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, Through
from tests.support.http1 import LAST_CHUNK, chunk, message
from tests.support.upstream import UpstreamConnection, reply

EVENTS = [
    b": OPENROUTER PROCESSING\n\n",
    b": \n\n",
    b'data: {"choices":[{"delta":{"content":"H"}}]}\n\n',
    b"d",
    b'ata: {"choices":[{"delta":{"content":"\xc3',  # cut within a character
    b'\xa9"}}]}\n',
    b"\n",
    b'data: {"usage":{"cost":0}}\n\n',
    b"data: [DONE]\n\n",
]
FRAMINGS: dict[str, tuple[str, Callable[[bytes], bytes], bytes]] = {
    "chunked": ("Transfer-Encoding: chunked", chunk, LAST_CHUNK),
    "length": (f"Content-Length: {sum(map(len, EVENTS))}", bytes, b""),
    "close": ("X-Framing: none", bytes, b""),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "audio/mpeg"])
async def test_each_piece_is_there_before_the_next_is_sent(through: Through, framing: str, kind: str) -> None:
    """Promise 13: the head is at the client before U sends a body, and each event before U sends the next."""
    line, framed, last = FRAMINGS[framing]
    arrived = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", f"Content-Type: {kind}", line))
        for event in EVENTS:
            await arrived.wait()
            arrived.clear()
            await connection.send(framed(event))
        await connection.send(last)

    client, *_ = await through(script)
    await client.send(post())
    response = await client.response()
    assert response.values("content-type") == [kind.encode()]
    expected = b""
    for event in EVENTS:
        arrived.set()
        expected += event
        assert await response.read(until=expected) == expected
    assert await response.read() == expected
    assert response.ending == "complete"


async def test_no_status_before_the_upstream_has_answered(through: Through, connect: Connect) -> None:
    """Promise 13: the client hears nothing before U's head is there, and then U's status."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        asked.set()
        await answer.wait()
        await connection.send(message("HTTP/1.1 429 Slow", "Content-Length: 0"))

    client, _, proxy = await through(script)
    await client.send(post())
    await asked.wait()
    assert (await (await connect(proxy)).ask(get(target="/healthz"))).status == 200  # so the proxy has had the time
    assert not client.buffer
    answer.set()
    assert (await client.answer(b"POST")).status == 429


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["Content-Type: text/event-stream"], [b"no"]),
        (["Content-Type: text/event-stream; charset=utf-8"], [b"no"]),
        (["content-type: Text/Event-Stream"], [b"no"]),
        (["Content-Type: text/event-stream", "X-Accel-Buffering: yes"], [b"yes"]),
        (["X-Accel-Buffering: no", "Content-Type: text/event-stream"], [b"no"]),
        (["Content-Type: text/event-stream", "Connection: x-accel-buffering"], [b"no"]),
        (["Content-Type: application/json"], []),
        (["Content-Type: text/event-streams"], []),
        ([], []),
    ],
)
async def test_proxies_in_front_are_asked_not_to_buffer(through: Through, theirs: list[str], ours: list[bytes]) -> None:
    """Promise 13: `X-Accel-Buffering: no` is added to an event stream that does not have the header, and only there."""
    answer = message("HTTP/1.1 200 OK", *theirs, "Content-Length: 2", body=b"\n\n")
    client, *_ = await through(reply(answer))
    assert (await client.ask(get())).values("x-accel-buffering") == ours


@pytest.mark.parametrize(
    "body",
    [
        b"data: {not json\n\ndata: [DONE]\n\ndata: after\n\n",
        b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rid\nretry: x\n",
        b"\xff\xfe\x00\x80" * 100,
        b"data: " + b"x" * 300_000 + b"\n\n",
        b"data: [DONE]",
        b" " * 1000,
    ],
)
async def test_events_are_not_read(through: Through, body: bytes) -> None:
    """Promise 13: no event is parsed, changed or invented, however odd the stream is."""
    answer = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    client, *_ = await through(reply(answer, chunk(body), LAST_CHUNK))
    assert bytes((await client.ask(post())).body) == body


async def test_a_response_that_arrives_byte_by_byte(through: Through) -> None:
    """Promise 13: a response cut into single bytes is the same response."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.trickle(message("HTTP/1.1 201 Created", "X-A: 1", "Transfer-Encoding: chunked"))
        await connection.trickle(chunk(b"one") + chunk(b"two") + LAST_CHUNK)

    client, *_ = await through(script)
    response = await client.ask(post())
    assert (response.status, response.values("x-a"), bytes(response.body)) == (201, [b"1"], b"onetwo")
