"""What does not cross, or not as it was sent: docs/wire.md lists it, and here it is seen. What HTTP means stays.

Where another test shows it already, the document names that one.
"""

import pytest

from tests.support.client import Client, get, post_chunked
from tests.support.fixtures import Through
from tests.support.http1 import chunk, chunked, message
from tests.support.proxies import STAMP
from tests.support.upstream import OK, UpstreamConnection, reply


async def test_the_case_of_request_header_names(through: Through) -> None:
    """A client's header names leave in lower case, as ASGI has them; those that we add, as they are documented."""
    client, upstream, _ = await through()
    await client.ask(get("X-Mixed-CASE: 1", "ACCEPT: */*"))
    assert upstream.requests[0].headers == [
        (b"Host", upstream.authority),
        (b"x-mixed-case", b"1"),
        (b"accept", b"*/*"),
        *STAMP,
    ]


async def test_the_case_of_response_header_names_stays(through: Through) -> None:
    """The names of U's headers arrive as they were sent."""
    answer = message("HTTP/1.1 200 OK", "dAtE: x", "X-Mixed-CASE: 1", "content-LENGTH: 2", body=b"ok")
    client, *_ = await through(reply(answer))
    response = await client.ask(get())
    assert response.headers == [(b"dAtE", b"x"), (b"X-Mixed-CASE", b"1"), (b"content-LENGTH", b"2")]


async def test_blanks_around_values(through: Through) -> None:
    """Blanks around a value are no part of it (RFC 9110, 5.5): a client's go, and U's before it; inside, all stay."""
    answer = message("HTTP/1.1 200 OK", "X-A:\t a  b \t", "Content-Length:  2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    response = await client.ask(get("X-A: \t a  b\t "))
    assert b"\r\nx-a: a  b\r\n" in upstream.requests[0].head
    assert b"\r\nX-A: a  b \t\r\n" in response.head


async def test_the_places_of_host_and_framing(through: Through) -> None:
    """`Host` leaves first and a chunked body's framing behind the client's headers, wherever they stood."""
    client, upstream, _ = await through()
    request = message(
        "POST /api/v1/x HTTP/1.1", "X-A: 1", "Transfer-Encoding: chunked", "X-B: 2", "Host: localhost", body=chunked()
    )
    await client.ask(request)
    names = [name for name, _ in upstream.requests[0].fields]
    assert names[:4] == [b"host", b"x-a", b"x-b", b"transfer-encoding"]


async def test_an_empty_query(through: Through) -> None:
    """A `?` with nothing behind it is lost: ASGI's scope does not tell an empty query from none."""
    client, upstream, _ = await through()
    await client.ask(get(target="/api/v1/models?"))
    await client.ask(get(target="/api/v1/models??"))
    assert [request.target for request in upstream.requests] == [b"/api/v1/models", b"/api/v1/models??"]


async def test_the_edges_and_extensions_of_chunks(through: Through) -> None:
    """Chunks are of one hop (RFC 9112, 7.1): their bytes cross; extensions do not, nor need the edges."""
    answer = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2;a=b\r\nok\r\n0;c\r\n\r\n")
    client, upstream, _ = await through(reply(answer))
    await client.send(post_chunked(body=b"2;a=b\r\n{}\r\n0;c\r\n\r\n"))
    sent = await client.take_until(b"0\r\n\r\n")
    assert sent.endswith(b"\r\n\r\n" + chunk(b"ok") + b"0\r\n\r\n")
    assert b";" not in sent
    [request] = upstream.requests
    assert (bytes(request.body), request.ending) == (b"{}", "complete")  # the kit's reader refuses extensions


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_versions(through: Through, version: str) -> None:
    """Each side gets HTTP/1.1, whatever the other speaks (RFC 9110, 2.5: a version is of one hop)."""
    answer = message(f"HTTP/{version} 200 OK", "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer, close=True))
    response = await client.ask(message(f"GET /api/v1/models HTTP/{version}", "Host: localhost"))
    assert (response.version, bytes(response.body)) == (b"1.1", b"ok")
    assert upstream.requests[0].version == b"1.1"


PHRASES = [(200, b"OK"), (404, b"Not Found"), (520, b""), (299, b"")]
# Pythons before 3.13 have the names of RFC 7231 and 4918 for these.
PHRASES += [(413, b"Content Too Large"), (414, b"URI Too Long")]
PHRASES += [(416, b"Range Not Satisfiable"), (422, b"Unprocessable Content")]


@pytest.mark.parametrize(("status", "phrase"), PHRASES)
async def test_reason_phrases(through: Through, status: int, phrase: bytes) -> None:
    """The client gets RFC 9110's phrase for a status on each Python, or none: U's says nothing (RFC 9112, 4)."""
    client, *_ = await through(reply(message(f"HTTP/1.1 {status} U's own words", "Content-Length: 0")))
    assert (await client.ask(get())).reason == phrase


async def test_a_client_that_ends_its_half(through: Through) -> None:
    """A client that ends its half of the connection before it has its answer counts as gone (promise 16)."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.ended()

    client, upstream, proxy = await through(script)
    await client.send(get())
    await upstream.request()
    client.half_close()
    assert await client.rest() == b""
    assert (await proxy.record()).status == 499


@pytest.mark.parametrize("lines", [["Authorization: Negotiate YII="], ["Authorization: NTLM TlRMTVNTUAAB"]])
async def test_authentication_of_connections(through: Through, lines: list[str]) -> None:
    """A connection to U is anybody's: schemes that authenticate it, and not each request, cannot work."""
    client, upstream, proxy = await through(reply(OK))
    await client.ask(get(*lines))
    other = await Client.open(proxy)
    await other.ask(get())
    await other.aclose()
    assert len(upstream.connections) == 1
    assert not upstream.requests[1].values("authorization")
