"""Promise 9: a malformed request is refused, never repaired, never passed on, never a hang."""

import asyncio

import pytest

from tests.support.client import Client, get, post, post_chunked
from tests.support.fixtures import Connect, Through
from tests.support.http1 import message, read_response
from tests.support.marks import reaches_no_upstream
from tests.support.upstream import OK, reply

GET = b"GET /api/v1/models HTTP/1.1\r\n"
POST = b"POST /api/v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

MALFORMED = {
    "length with chunks": POST + HOST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunks with length": POST + HOST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "differing lengths": POST + HOST + b"Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + SMUGGLED,
    "differing lengths in one": POST + HOST + b"Content-Length: 2, 60\r\n\r\n{}" + SMUGGLED,
    "a signed length": POST + HOST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + HOST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hex": POST + HOST + b"Content-Length: 0x2\r\n\r\n{}",
    "an empty length": POST + HOST + b"Content-Length:\r\n\r\n{}" + SMUGGLED,
    "a huge length": POST + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "another coding": POST + HOST + b"Transfer-Encoding: gzip\r\n\r\n{}" + SMUGGLED,
    "two codings": POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + HOST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, then more": POST + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "nearly chunked": POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "quoted chunked": POST + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SMUGGLED,
    "a coding in HTTP/1.0": POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "a bad chunk size": POST + HOST + CHUNKED + b"\r\nxyz\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
    "a signed chunk size": POST + HOST + CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
    "a huge chunk size": POST + HOST + CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk too long": POST + HOST + CHUNKED + b"\r\n2\r\n{}xx\r\n0\r\n\r\n" + SMUGGLED,
    "a bare LF between chunks": POST + HOST + CHUNKED + b"\r\n2\n{}\n0\n\n" + SMUGGLED,
    "a bare LF in the head": GET + b"Host: localhost\nX-A: 1\r\n\r\n",
    "a bare LF at the end": GET + b"Host: localhost\n\n",
    "a bare CR": GET + HOST + b"X-A: 1\rX-B: 2\r\n\r\n",
    "obs-fold": GET + HOST + b"X-A: 1\r\n folded\r\n\r\n",
    "a leading fold": GET + b" X-A: 1\r\n" + HOST + b"\r\n",
    "a space before the colon": GET + HOST + b"X-A : 1\r\n\r\n",
    "a tab before the colon": GET + HOST + b"X-A\t: 1\r\n\r\n",
    "no name": GET + HOST + b": 1\r\n\r\n",
    "no colon": GET + HOST + b"X-A\r\n\r\n",
    "a NUL in a value": GET + HOST + b"X-A: \0\r\n\r\n",
    "a control byte in a value": GET + HOST + b"X-A: a\x01b\r\n\r\n",
    "DEL in a value": GET + HOST + b"X-A: a\x7fb\r\n\r\n",
    "a NUL in a name": GET + HOST + b"X-\0A: 1\r\n\r\n",
    "a blank in a name": GET + HOST + b"X A: 1\r\n\r\n",
    "no host": GET + b"X-A: 1\r\n\r\n",
    "two hosts": GET + HOST + HOST + b"\r\n",
    "two hosts that differ": GET + HOST + b"Host: evil.example\r\n\r\n",
    "an invalid host": GET + b"Host: local host\r\n\r\n",
    "a host with a path": GET + b"Host: localhost/x\r\n\r\n",
    "a host with a user": GET + b"Host: user@localhost\r\n\r\n",
    "an empty host": GET + b"Host:\r\n\r\n",
    "HTTP/0.9": b"GET /api/v1/models\r\n\r\n",
    "HTTP/2.0": b"GET /api/v1/models HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /api/v1/models HTTP/1.2\r\n" + HOST + b"\r\n",
    "another protocol": b"GET /api/v1/models ICE/1.0\r\n" + HOST + b"\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "a blank too many": b"GET  /api/v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank in the target": b"GET /api/v1/mo dels HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control byte in the target": b"GET /api/v1/\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a byte beyond ASCII in the target": b"GET /api/v1/\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": b"GET api/v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /api/v1/models#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"FETCH /api/v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in lower case": b"get /api/v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
}
TOO_LARGE = {
    "headers over 64 KiB": GET + HOST + b"X-A: " + b"x" * 66_000 + b"\r\n\r\n",
    "many headers over 64 KiB": GET + HOST + b"".join(b"X-%d: %b\r\n" % (n, b"x" * 700) for n in range(100)) + b"\r\n",
    "more than 128 fields": GET + HOST + b"".join(b"X-%d: 1\r\n" % n for n in range(128)) + b"\r\n",
    "a target over 16 KiB": b"GET /api/v1/" + b"x" * 16_400 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
}


async def refusal(client: Client, request: bytes) -> int | None:
    """The status with which a request is refused; None if its connection is just closed."""
    client.write(request)
    client.half_close()  # nothing more will come: there is no excuse to wait
    answer = await client.rest()
    if not answer:
        return None
    client.buffer += answer
    response = await read_response(client, request.split(b" ", 1)[0])
    await response.read()
    assert response.ending == "complete"
    assert not client.buffer, "one refusal, and nothing behind it"
    return response.status


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
@reaches_no_upstream
async def test_refused(through: Through, request_: bytes) -> None:
    """Promise 9: U never sees a malformed request, nor what was smuggled behind it as a request of its own."""
    client, upstream, _ = await through(reply(OK))
    assert await refusal(client, request_) in (400, 405, 431, 501, 505, None)
    for request in upstream.requests:  # its head may have been forwarded before its body turned out to be bad
        assert request.ending == "cut"
        assert request.method == b"POST"


@pytest.mark.parametrize("request_", [*MALFORMED.values(), *TOO_LARGE.values()], ids=[*MALFORMED, *TOO_LARGE])
@reaches_no_upstream
async def test_refused_at_once(through: Through, request_: bytes) -> None:
    """Promise 9: nothing more has to come for that: a client that waits for its answer gets it, and is closed."""
    client, *_ = await through(reply(OK))
    client.write(request_)
    response = await client.answer(request_.split(b" ", 1)[0])
    assert response.status in (400, 414, 431, 501)
    assert response.values("connection") == [b"close"]
    assert await client.rest() == b""


@pytest.mark.parametrize("request_", TOO_LARGE.values(), ids=TOO_LARGE)
@reaches_no_upstream
async def test_too_large(through: Through, request_: bytes) -> None:
    """Promise 9: a head or a target beyond the limits is refused."""
    client, upstream, _ = await through()
    assert await refusal(client, request_) in (400, 414, 431, None)
    assert not upstream.requests


@pytest.mark.parametrize(
    "request_", [MALFORMED["two codings"], MALFORMED["obs-fold"], TOO_LARGE["more than 128 fields"]]
)
@reaches_no_upstream
async def test_the_refusal_has_our_shape(through: Through, request_: bytes) -> None:
    """Promise 9: a refusal is an error of ours like any other, and closes the connection."""
    client, *_ = await through()
    client.write(request_)
    response = await client.answer()
    assert response.values("x-proxy-error")
    assert response.values("content-type") == [b"application/json"]
    assert b'"error"' in response.body
    assert response.values("connection") == [b"close"]
    assert await client.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        GET + HOST + b"".join(b"X-%d: 1\r\n" % n for n in range(120)) + b"\r\n",
        GET + HOST + b"X-A: " + b"x" * 60_000 + b"\r\n\r\n",
        b"GET /api/v1/" + b"x" * 16_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\r\n\r\n" + get(),  # RFC 9112, 2.2
        post(body=b"x" * 300_000),
        message(
            "POST /api/v1/x HTTP/1.1",
            "Host: [::1]:6767",
            "Transfer-Encoding: Chunked",
            body=b"2;ext=1\r\n{}\r\n0\r\n\r\n",
        ),
    ],
    ids=["fields", "headers", "target", "empty lines", "body", "chunk extension"],
)
async def test_large_or_odd_but_sound(through: Through, request_: bytes) -> None:
    """Promise 9: what is sound, however large or odd within the limits, is served."""
    client, *_ = await through()
    client.write(request_)
    assert (await client.answer(b"POST" if b"POST" in request_ else b"GET")).status == 200


async def test_others_are_served_meanwhile(through: Through, connect: Connect) -> None:
    """Promise 9: a refusal concerns one connection only."""
    client, _, proxy = await through()
    assert await refusal(await connect(proxy), MALFORMED["TLS"]) in (400, None)
    assert (await client.ask(get())).status == 200


async def test_refused_in_one_piece_is_logged(through: Through) -> None:
    """Promise 9: a request whose body is malformed from the start is logged as any other refusal."""
    client, _, proxy = await through()
    answer = await client.ask(post_chunked(body=b"xyz\r\n{}\r\n0\r\n\r\n"))
    assert answer.status == 400
    record = await proxy.record()
    assert (record.status, record.error) == (400, "malformed-request")


@pytest.mark.parametrize("end", [b" /healthz HTTP/1.1\r\n" + HOST + b"\r\n", b""])
async def test_a_method_has_a_limit_of_its_own(through: Through, end: bytes) -> None:
    """Promise 9: who sends 17,000 letters before a short path has no target that is too long (RFC 9112, 3)."""
    client, upstream, proxy = await through()
    client.write(b"M" * 17_000 + end)
    response = await client.answer()
    assert (response.status, response.values("x-proxy-error")) == (501, [b"unknown-method"])
    assert not upstream.requests
    assert (await proxy.record()).error == "unknown-method"


HELLO = MALFORMED["TLS"] + b"\r\n more of it"
OTHER_PROTOCOLS = {
    "TLS": (HELLO, "tls-to-http", b"use http:// in the base URL"),
    "HTTP/2": (MALFORMED["the HTTP/2 preface"], "http-2", b"The proxy does not speak HTTP/2"),
}


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
@pytest.mark.parametrize("in_one", [True, False])
async def test_other_protocols_are_named(
    through: Through, caplog: pytest.LogCaptureFixture, *, name: str, in_one: bool
) -> None:
    """Promise 9: who speaks TLS or HTTP/2 to the proxy is told so, and so is the log, however its bytes come."""
    data, slug, help_ = OTHER_PROTOCOLS[name]
    client, _, proxy = await through()
    for piece in [data] if in_one else [data[n : n + 1] for n in range(16)]:
        client.write(piece)
        await asyncio.sleep(0 if in_one else 0.002)  # so that the pieces arrive as pieces
        if client.buffer:
            break
    response = await client.answer()
    assert (response.status, response.values("x-proxy-error")) == (400, [slug.encode()])
    assert help_ in response.body
    assert (await proxy.record()).error == slug
    said = [record.getMessage() for record in caplog.records if record.name == "proxy"]
    assert said == (["TLS to a plain HTTP port: use http:// in the tool's base URL"] if name == "TLS" else [])
