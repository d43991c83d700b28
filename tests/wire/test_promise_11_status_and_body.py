"""Promise 11: status and body cross as they are; what is no status of an answer is our 502."""

import gzip
import zlib

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Through
from tests.support.http1 import chunked, message
from tests.support.upstream import UpstreamConnection, reply

STATUSES = [200, 201, 202, 203, 206, 299, 300, 399, 400, 401, 402, 403, 404, 408, 409, 413, 418, 429, 451, 499]
STATUSES += [500, 501, 502, 503, 504, *range(520, 530), 599]


@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_of_an_answer(through: Through, status: int) -> None:
    """Promise 11: each status from 200 to 599 crosses with its body, and is not taken for an error of ours."""
    body = b'{"error":{"code":%d,"message":"theirs"}}' % status
    client, *_ = await through(reply(message(f"HTTP/1.1 {status} Why", f"Content-Length: {len(body)}", body=body)))
    for _ in range(2):
        response = await client.ask(post())
        assert (response.status, bytes(response.body)) == (status, body)
        assert not response.values("x-proxy-error")


async def test_all_of_them(through: Through) -> None:
    """Promise 11: there is none from 200 to 599 that does not."""

    async def script(connection: UpstreamConnection) -> None:
        for status in range(200, 600):
            await connection.request()
            await connection.send(message(f"HTTP/1.1 {status} Why", "Content-Length: 0"))

    client, upstream, _ = await through(script)
    for status in range(200, 600):
        assert (await client.ask(get())).status == status
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("start", ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 \xe9 !", "HTTP/1.0 200 OK"])
async def test_whatever_the_reason_phrase(through: Through, start: str) -> None:
    """Promise 11: a missing or odd reason phrase, or an HTTP/1.0 upstream, changes nothing."""
    client, *_ = await through(reply(message(start, "Content-Length: 2", body=b"ok"), close=True))
    response = await client.ask(get())
    assert (response.status, bytes(response.body)) == (200, b"ok")


@pytest.mark.parametrize("status", ["600", "700", "999", "099", "000", "20", "2000", "-20", "abc", ""])
async def test_no_status_of_an_answer(through: Through, status: str) -> None:
    """Promise 11: a status outside of 200 to 599 is our 502, and that connection is not used again."""
    client, upstream, _ = await through(reply(message(f"HTTP/1.1 {status} Odd", "Content-Length: 2", body=b"no")))
    response = await client.ask(get())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    assert await upstream.closed(within=1)


PLAIN = b'{"choices":[]}' * 50
GZIP = gzip.compress(PLAIN, mtime=0)


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", GZIP), ("deflate", zlib.compress(PLAIN)), ("br", b"\x8b\x06\x80not brotli at all"), ("zstd, gzip", GZIP)],
    ids=["gzip", "deflate", "br", "two"],
)
@pytest.mark.parametrize("accept", [[], ["Accept-Encoding: gzip, deflate, br, zstd"], ["Accept-Encoding: identity"]])
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_compressed_bodies(
    through: Through, coding: str, body: bytes, accept: list[str], *, is_chunked: bool
) -> None:
    """Promise 11: a compressed body stays as it is, with the headers that say so."""
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    answer = message(
        "HTTP/1.1 200 OK",
        *(f"Content-Encoding: {coding}", "Vary: Accept-Encoding", 'ETag: "a"', framing),
        body=chunked(body[:7], body[7:]) if is_chunked else body,
    )
    client, upstream, _ = await through(reply(answer))
    response = await client.ask(get(*accept))
    assert bytes(response.body) == body
    assert response.values("content-encoding") == [coding.encode()]
    assert response.values("content-length") == ([] if is_chunked else [str(len(body)).encode()])
    assert response.values("etag") == [b'"a"']
    offered = [line.split(": ")[1].encode() for line in accept]
    assert upstream.requests[0].values("accept-encoding") == offered


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_every_byte(through: Through, *, is_chunked: bool) -> None:
    """Promise 11: a binary body of every byte value crosses unchanged."""
    body = bytes(range(256)) * 500
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    wire = chunked(body[:1], body[1:70000], body[70000:]) if is_chunked else body
    client, *_ = await through(reply(message("HTTP/1.1 200 OK", "Content-Type: audio/mpeg", framing, body=wire)))
    assert bytes((await client.ask(post())).body) == body
