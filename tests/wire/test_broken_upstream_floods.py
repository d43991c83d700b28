"""Promises 14 and 15 against an upstream that never comes to the point: each flood ends, and costs no memory."""

import asyncio
from collections.abc import Iterator
from itertools import repeat

import pytest

from tests.support.aftermath import OWN, check_aftermath, is_visible_failure, sound
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, Through
from tests.support.http1 import chunk, message
from tests.support.upstream import Script, UpstreamConnection

STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
MANY = 1000
ENOUGH = 64 << 20  # bytes after which a flood has gone on for too long

FLOODS: dict[str, tuple[bytes, bytes]] = {
    "interim answers": (b"", message("HTTP/1.1 103 Early Hints") * MANY),
    "interim answers with headers": (b"", message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload") * MANY),
    "100 Continue": (b"", message("HTTP/1.1 100 Continue") * MANY),
    "a status line": (b"HTTP/1.1 200 ", b"O" * 32768),
    "digits of a status": (b"HTTP/1.1 ", b"2" * 32768),
    "line breaks": (b"", b"\r\n" * MANY),
    "headers": (STATUS, b"X-A: 1\r\n" * MANY),
    "headers of nothing but a name": (STATUS, b"X-A:\r\n" * MANY),
    "a header's value": (STATUS + b"X-A: ", b"a" * 32768),
    "a header's name": (STATUS + b"X-", b"A" * 32768),
    "blanks before a value": (STATUS + b"X-A:", b" " * 32768),
    "lengths": (STATUS + b"Content-Length: ", b"0" * 32768),
    "zeros of a chunk's size": (CHUNKED, b"0" * 32768),
    "a chunk's extension": (CHUNKED + b"2;a=", b"b" * 32768),
    "trailers": (CHUNKED + chunk(b"ok") + b"0\r\n", b"X-T: 1\r\n" * MANY),
    "a trailer's value": (CHUNKED + chunk(b"ok") + b"0\r\nX-T: ", b"t" * 32768),
    "a trailer's name": (CHUNKED + chunk(b"ok") + b"0\r\nX-", b"T" * 32768),
}


def floods(first: bytes, pieces: Iterator[bytes]) -> Script:
    """Sends for as long as the other side takes it."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(first)
        for piece in pieces:
            await connection.send(piece)
            assert connection.sent < ENOUGH, "the flood is still taken"

    return script


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends(through: Through, connect: Connect, flood: str) -> None:
    """Promise 15: what goes on without a body is our 502, or a cut, long before a timeout."""
    first, piece = FLOODS[flood]
    way = await through(floods(first, repeat(piece)), sound)
    response = await way.client.ask(post())
    assert is_visible_failure(response)
    assert bytes(response.body) in (b"", b"ok") or response.status == 502
    await check_aftermath(way, connect)


ROUNDS = 6  # the allocator has settled by the last two


async def test_in_flat_memory(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 15: the floods, one after the other, leave the proxy no larger."""
    scripts = [floods(first, repeat(piece)) for first, piece in FLOODS.values()]
    proxy = await proxy_process(await upstream(*(scripts * ROUNDS), sound))
    sizes = []
    for _ in range(ROUNDS):
        for _ in FLOODS:
            client = await connect(proxy)
            assert is_visible_failure(await client.ask(post()))
            await client.aclose()
        sizes.append(proxy.rss(peak=True))
    assert sizes[-1] - sizes[-2] < 2 << 20  # what one round of unfinished lines weighs is twice that
    assert bytes((await (await connect(proxy)).ask(get())).body) == b"own"
    await proxy.access_line(ROUNDS * len(FLOODS))
    assert len(proxy.access_log) == ROUNDS * len(FLOODS) + 1
    assert "Traceback" not in proxy.stdout + proxy.stderr


@pytest.mark.parametrize(
    "answer",
    [
        message("HTTP/1.1 103 Early Hints", "Link: </a>") * 100 + OWN,
        message("HTTP/1.1 200 OK", *["X-A: 1"] * 4000, "X-Own: 1", "Content-Length: 3", body=b"own"),
        message("HTTP/1.1 200 OK", "X-A: " + "a" * 100_000, "X-Own: 1", "Content-Length: 3", body=b"own"),
    ],
    ids=["interim answers", "headers", "a long header"],
)
async def test_much_is_no_flood(through: Through, connect: Connect, answer: bytes) -> None:
    """Promise 12: heads of up to 128 KiB cross."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        for at in range(0, len(answer), 5000):
            await connection.send(answer[at : at + 5000])
        await connection.ended()

    client, *_ = await through(script)
    response = await client.ask(get())
    assert (response.status, bytes(response.body), response.values("x-own")) == (200, b"own", [b"1"])


async def test_a_body_of_single_bytes_is_no_flood(through: Through) -> None:
    """Promise 15: chunks of one byte, whose framing weighs many times the body, go on for as long as they come."""
    count = 100_000

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for _ in range(count // MANY):
            await connection.send(chunk(b"x") * MANY)
            await asyncio.sleep(0)
        await connection.send(b"0\r\n\r\n")

    client, *_ = await through(script)
    response = await client.ask(get())
    assert (response.length, response.ending) == (count, "complete")
