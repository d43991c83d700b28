"""Promise 14: answers without a body, interim answers, upgrades and redirects."""

import pytest

from tests.support.client import get
from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.upstream import OK, UpstreamConnection, reply

DATE = (b"date", b"Mon, 02 Nov 2026 10:00:00 GMT")
AT = b"Date: " + DATE[1]


@pytest.mark.parametrize(
    ("method", "lines", "headers"),
    [
        ("HEAD", ["HTTP/1.1 200 OK", "Content-Length: 1234", "X-A: 1"], [(b"content-length", b"1234"), (b"x-a", b"1")]),
        ("HEAD", ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "X-A: 1"], [(b"x-a", b"1")]),
        ("HEAD", ["HTTP/1.1 200 OK", "X-A: 1"], [(b"x-a", b"1")]),
        ("HEAD", ["HTTP/1.1 404 Not Found", "Content-Length: 9"], [(b"content-length", b"9")]),
        ("GET", ["HTTP/1.1 204 No Content", "X-A: 1"], [(b"x-a", b"1")]),
        ("DELETE", ["HTTP/1.1 204 No Content", "ETag: W/1"], [(b"etag", b"W/1")]),
        ("OPTIONS", ["HTTP/1.1 204 No Content", "Access-Control-Max-Age: 9"], [(b"access-control-max-age", b"9")]),
        ("GET", ["HTTP/1.1 304 Not Modified", 'ETag: "x"'], [(b"etag", b'"x"')]),
        (
            "GET",
            ["HTTP/1.1 304 Not Modified", "Content-Length: 77", "Content-Encoding: gzip"],
            [(b"content-length", b"77"), (b"content-encoding", b"gzip")],
        ),
        ("HEAD", ["HTTP/1.1 304 Not Modified", "Content-Length: 77"], [(b"content-length", b"77")]),
        ("GET", ["HTTP/1.1 200 OK", "Content-Length: 0"], [(b"content-length", b"0")]),
    ],
)
async def test_headers_stay_and_the_connection_too(
    through: Through, method: str, lines: list[str], headers: list[tuple[bytes, bytes]]
) -> None:
    """Promise 14: HEAD, 204 and 304 have no body, keep their headers, and leave both connections usable."""
    client, upstream, _ = await through(reply(message(*lines[:1], AT, *lines[1:])))
    for _ in range(3):
        await client.send(get(method=method))
        response = await client.answer(method.encode())
        assert response.head.startswith(lines[0][:12].encode())
        assert response.fields == [DATE, *headers]
        assert not client.buffer
    assert len(upstream.requests) == 3


INTERIM = {
    "100": message("HTTP/1.1 100 Continue"),
    "102": message("HTTP/1.1 102 Processing", "X-A: 1"),
    "103": message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload", "Content-Length: 5"),
    "199": message("HTTP/1.1 199 Odd"),
}


@pytest.mark.parametrize("interim", [[name] for name in INTERIM] + [["100", "103", "103", "102"]])
@pytest.mark.parametrize("together", [True, False])
async def test_interim_responses_are_swallowed(through: Through, interim: list[str], *, together: bool) -> None:
    """Promise 14: 1xx responses do not reach the client, nor do their headers; the final response does."""
    pieces = [*(INTERIM[name] for name in interim), message("HTTP/1.1 200 OK", AT, "Content-Length: 2", body=b"ok")]
    client, *_ = await through(reply(*([b"".join(pieces)] if together else pieces)))
    for _ in range(2):
        response = await client.ask(get())
        assert (response.status, bytes(response.body), response.interim) == (200, b"ok", [])
        assert response.fields == [DATE, (b"content-length", b"2")]


@pytest.mark.parametrize(
    "lines",
    [
        ["HTTP/1.1 101 Switching Protocols"],
        ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: h2c"],
        ["HTTP/1.1 101 Switching Protocols", "Content-Length: 2"],
    ],
)
async def test_an_unasked_switch_of_protocols(through: Through, lines: list[str]) -> None:
    """Promise 14: a 101 is our 502, and U's connection is closed."""
    client, upstream, _ = await through(reply(message(*lines) + b"whatever this is\r\n\r\n"), reply(OK))
    response = await client.ask(get("Connection: Upgrade", "Upgrade: h2c"))
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    await upstream.closed(within=1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_pass_through(through: Through, status: int) -> None:
    """Promise 14: a redirect reaches the client with its Location, and is not followed."""
    answer = message(f"HTTP/1.1 {status} There", "Location: /api/v1/elsewhere", "Content-Length: 0")
    client, upstream, _ = await through(reply(answer))
    response = await client.ask(get())
    assert (response.status, response.values("location")) == (status, [b"/api/v1/elsewhere"])
    assert len(upstream.requests) == 1


async def test_a_body_where_there_can_be_none(through: Through) -> None:
    """Promise 14: bytes that U sends as the body of a 204 reach nobody."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 204 No Content", "Content-Length: 5", body=b"stray"))
        await connection.ended()

    client, upstream, _ = await through(script, reply(OK))
    response = await client.ask(get())
    assert response.status == 204
    assert not response.values("content-length")  # RFC 9110, 8.6: a 204 states none; a careless client would wait
    assert bytes((await client.ask(get())).body) == b"ok"
    await upstream.closed(within=1)
