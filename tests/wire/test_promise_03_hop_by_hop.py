"""Promise 3: what concerns one hop stays on it, in either direction."""

import pytest

from tests.support.client import get, post, post_chunked
from tests.support.fixtures import Through
from tests.support.http1 import Framing, chunked, message
from tests.support.proxies import STAMP
from tests.support.upstream import reply

OURS = [(name.lower(), value) for name, value in STAMP]

AT = b"Mon, 02 Nov 2026 10:00:00 GMT"
DATE = b"Date: " + AT

HOP_BY_HOP = [
    ["Connection: keep-alive"],
    ["Proxy-Connection: keep-alive"],
    ["Keep-Alive: timeout=5, max=100"],
    ["Proxy-Authenticate: Basic"],
    ["Proxy-Authorization: Basic YTpi"],
    ["TE: trailers"],
    ["te: trailers", "Connection: TE"],
    ["Trailer: X-Sum"],
    ["Upgrade: h2c"],
    ["HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
    ["Connection: X-One", "X-One: 1"],
    ["Connection: close", "Close: 1"],
    ["Connection: Keep-Alive", "Keep-Alive: timeout=5"],
    ["X-One: 1", "Connection: keep-alive,\tx-one , X-Two,", "X-Two: 2", "x-two: 3"],
    ["Connection: X-One", "X-One: 1", "Connection: X-Two", "X-Two: 2", "connection:x-three", "X-Three: 3"],
    ["Connection: ,"],
    ["Connection:"],
]


@pytest.mark.parametrize("lines", HOP_BY_HOP)
async def test_to_the_upstream(through: Through, lines: list[str]) -> None:
    """Promise 3: no hop-by-hop header of the client reaches U."""
    client, upstream, _ = await through()
    assert (await client.ask(get("X-Before: 1", *lines, "X-After: 2"))).status == 200
    assert upstream.requests[0].fields == [
        (b"host", upstream.authority),
        (b"x-before", b"1"),
        (b"x-after", b"2"),
        *OURS,
    ]


@pytest.mark.parametrize("lines", [*HOP_BY_HOP, ["Connection: close"], ["Connection: Content-Type"]])
async def test_to_the_client(through: Through, lines: list[str]) -> None:
    """Promise 3: no hop-by-hop header of U reaches the client, nor does what U's `Connection` names."""
    answer = message("HTTP/1.1 200 OK", DATE, *lines, "X-After: 2", "Content-Length: 2", body=b"ok")
    client, *_ = await through(reply(answer, close=True))
    response = await client.ask(get())
    assert response.fields == [(b"date", AT), (b"x-after", b"2"), (b"content-length", b"2")]


async def test_the_connections_of_both_sides_are_independent(through: Through) -> None:
    """Promise 3: U closing its connection does not close the client's, and the other way round."""
    answer = message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer, close=True))
    for _ in range(3):
        assert (await client.ask(get())).status == 200
    assert len(upstream.connections) == 3
    response = await client.ask(get("Connection: close"))
    assert response.values("connection") == [b"close"]
    assert await client.rest() == b""


@pytest.mark.parametrize("named", ["Content-Length", "Transfer-Encoding", "Host", "Content-Length, Host"])
async def test_the_framing_is_our_own(through: Through, named: str) -> None:
    """Promise 3: a client that names the framing in `Connection` cannot change where its body ends."""
    client, upstream, _ = await through()
    assert (await client.ask(post(f"Connection: {named}", body=b"12345"))).status == 200
    assert (await client.ask(post_chunked(f"Connection: {named}", body=chunked(b"123", b"45")))).status == 200
    first, second = upstream.requests
    assert (first.framing, first.values("content-length"), bytes(first.body)) == (Framing.LENGTH, [b"5"], b"12345")
    assert (second.framing, bytes(second.body)) == (Framing.CHUNKED, b"12345")
    assert [request.values("host") for request in upstream.requests] == [[upstream.authority]] * 2


async def test_a_chunked_response_is_framed_anew(through: Through) -> None:
    """Promise 3: chunk boundaries of U are of that hop; the body is the same."""
    answer = message("HTTP/1.1 200 OK", DATE, "Transfer-Encoding: chunked", body=chunked(b"a", b"bc", b"d" * 1000))
    client, *_ = await through(reply(answer))
    response = await client.ask(get())
    assert response.fields == [(b"date", AT), (b"transfer-encoding", b"chunked")]
    assert bytes(response.body) == b"abc" + b"d" * 1000
