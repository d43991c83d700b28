"""Promise 10: an HTTP/1.0 client gets what it can understand."""

import pytest

from tests.support.fixtures import Through
from tests.support.http1 import chunked, message
from tests.support.upstream import reply

BODY = b"data: 1\n\n" * 3
ANSWERS = {
    "chunks": message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(BODY[:5], BODY[5:])),
    "close": message("HTTP/1.1 200 OK", body=BODY),
    "length": message("HTTP/1.1 200 OK", f"Content-Length: {len(BODY)}", body=BODY),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("headers", [[], ["Host: localhost"], ["Host: localhost", "Connection: keep-alive"]])
async def test_never_chunks(through: Through, answer: bytes, headers: list[str]) -> None:
    """Promise 10: the body is never chunked, and ends with the connection."""
    client, upstream, _ = await through(reply(answer, close=True))
    response = await client.ask(message("GET /api/v1/models HTTP/1.0", *headers))
    assert (bytes(response.body), response.ending) == (BODY, "complete")
    assert not response.values("transfer-encoding")
    assert not response.values("keep-alive")
    assert await client.rest() == b""
    assert upstream.requests[0].values("host") == [upstream.authority]


async def test_an_upload(through: Through) -> None:
    """Promise 10: an HTTP/1.0 upload reaches U."""
    client, upstream, _ = await through()
    await client.ask(message("POST /api/v1/x HTTP/1.0", "Content-Length: 2", body=b"{}"))
    assert bytes(upstream.requests[0].body) == b"{}"
