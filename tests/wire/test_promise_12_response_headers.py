"""Promise 12: the upstream's end-to-end headers cross in order; those about its connection and domain do not."""

import pytest

from tests.support.client import get
from tests.support.fixtures import Through
from tests.support.http1 import LAST_CHUNK, chunk, chunked, message
from tests.support.secrets import KEY
from tests.support.upstream import reply

DATE = b"Mon, 02 Nov 2026 10:00:00 GMT"

THEIRS = [
    (b"Date", DATE),
    (b"Server", b"cloudflare"),
    (b"X-Twice", b"1"),
    (b"Content-Type", b"application/json"),
    (b"x-twice", b"2"),
    (b"Vary", b"Origin"),
    (b"Vary", b"Accept-Encoding"),
    (b"X-Empty", b""),
    (b"X-Bytes", bytes(range(0x80, 0x100))),
    (b"X-Inner", b"a \t  b"),
    (b"X-Under_score", b"_"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"X-Generation-Id", b"gen-1"),
    (b"X-RateLimit-Remaining", b"0"),
    (b"Retry-After", b"7"),
    (b"CF-RAY", b"0-FRA"),
    (b"X-Twice", b"1"),
    (b"X-Long", b"x" * 8000),
    (b"X-OpenRouter-Cache-Status", b"HIT"),
    (b"HTTP-Referer", b"theirs"),
    (b"X-Forwarded-For", b"theirs"),
    (b"Content-Length", b"2"),
]


async def test_in_order_with_duplicates(through: Through) -> None:
    """Promise 12: order, duplicates, empty values and bytes that are not text arrive as U sent them, and no others."""
    client, *_ = await through(reply(message("HTTP/1.1 200 OK", *(b"%b: %b" % pair for pair in THEIRS), body=b"ok")))
    response = await client.ask(get())
    assert response.fields == [(name.lower(), value) for name, value in THEIRS]


@pytest.mark.parametrize(
    "lines",
    [
        ['Alt-Svc: h3=":443"; ma=86400'],
        ["Strict-Transport-Security: max-age=31536000"],
        ["Set-Cookie: __cf_bm=1; Domain=openrouter.ai; Secure"],
        ["set-cookie: a=1", "SET-COOKIE: b=2"],
        ["X-Proxy-Error: theirs"],
        ["X-Accel-Redirect: /etc/passwd", "X-Accel-Expires: 9", "X_Accel_Limit_Rate: 1", "x-accel-charset: a"],
        ["X-Sendfile: /etc/passwd", "X-LIGHTTPD-send-file: /etc/passwd"],
        ['Clear-Site-Data: "*"'],
        ["Service-Worker-Allowed: /"],
    ],
)
async def test_dropped(through: Through, lines: list[str]) -> None:
    """Promise 12: what is about U's connection or domain does not reach the client."""
    answer = message("HTTP/1.1 200 OK", b"Date: " + DATE, *lines, "X-After: 1", "Content-Length: 2", body=b"ok")
    client, *_ = await through(reply(answer))
    response = await client.ask(get())
    assert response.fields == [(b"date", DATE), (b"x-after", b"1"), (b"content-length", b"2")]


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["own keys", "configured key"])
@pytest.mark.parametrize(
    ("lines", "is_document"),
    [
        (["Sec-Fetch-Dest: document"], True),
        (["Sec-Fetch-Dest: IFRAME"], True),
        (["Sec-Fetch-Dest: object", "Accept: */*"], True),
        (["Accept: text/html,application/xhtml+xml,*/*;q=0.8"], True),
        (["Sec-Fetch-Dest: empty", "Accept: text/html"], False),
        (["Sec-Fetch-Dest: image"], False),
        (["Accept: application/json"], False),
        ([], False),
    ],
)
async def test_documents_are_sandboxed(
    through: Through, lines: list[str], settings: dict[str, str], *, is_document: bool
) -> None:
    """Promise 12: what a browser navigates to runs nothing in our origin; beside U's own policy, which stays."""
    theirs = ["Content-Type: text/html", "Content-Security-Policy: default-src 'self'", "X-Content-Type-Options: x"]
    client, *_ = await through(reply(message("HTTP/1.1 200 OK", *theirs, "Content-Length: 0")), **settings)
    response = await client.ask(get(*lines))
    policies = response.values("content-security-policy")
    assert policies == [b"default-src 'self'", *([b"sandbox"] if is_document else [])]
    if is_document:
        assert response.values("x-content-type-options") == [b"nosniff"]


@pytest.mark.parametrize("last", [b"0\r\nX-Trailer: 1\r\nServer-Timing: a\r\n\r\n", LAST_CHUNK])
async def test_trailers(through: Through, last: bytes) -> None:
    """Promise 12: trailers are dropped, wherever they could end up, and the body ends cleanly."""
    answer = message(
        "HTTP/1.1 200 OK",
        b"Date: " + DATE,
        "Trailer: X-Trailer",
        "Transfer-Encoding: chunked",
        body=chunk(b"ok") + last,
    )
    client, *_ = await through(reply(answer))
    for _ in range(2):
        response = await client.ask(get())
        assert (bytes(response.body), response.trailers, response.ending) == (b"ok", [], "complete")
        assert response.fields == [(b"date", DATE), (b"transfer-encoding", b"chunked")]


async def test_one_date_and_one_server(through: Through) -> None:
    """Promise 12: there is exactly one Date and one Server, and both are U's."""
    answer = message("HTTP/1.1 200 OK", b"Date: " + DATE, "Server: theirs", "Content-Length: 2", body=b"ok")
    client, *_ = await through(reply(answer))
    response = await client.ask(get())
    assert (response.values("date"), response.values("server")) == ([DATE], [b"theirs"])


@pytest.mark.parametrize(
    "answer",
    [
        message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"),
        message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(b"ok")),
    ],
)
async def test_an_upstream_without_a_clock(through: Through, answer: bytes) -> None:
    """Promise 12: an answer without Date gets one (RFC 9110, 6.6.1), and never a Server."""
    client, *_ = await through(reply(answer))
    response = await client.ask(get())
    assert len(response.values("date")) == 1
    assert not response.values("server")


@pytest.mark.parametrize("target", ["/healthz", "/nowhere", "/api/v1/../x"])
async def test_our_own_answers_have_one_date(through: Through, target: str) -> None:
    """Promise 12: our own answers have one Date and name no server."""
    client, *_ = await through()
    response = await client.ask(get(target=target))
    assert len(response.values("date")) == 1
    assert not response.values("server")
