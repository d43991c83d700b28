"""Promises 11, 14 and 15 against an upstream whose heads are broken: the client gets our 502, and the next its own."""

import pytest

from tests.support.aftermath import check_aftermath, sound
from tests.support.client import get, post
from tests.support.fixtures import Connect, Through
from tests.support.http1 import Ending, message
from tests.support.upstream import Script, UpstreamConnection, reply

CHUNKS = b"2\r\nno\r\n0\r\n\r\n"


async def check_502(through: Through, connect: Connect, answer: bytes, *, method: str = "POST") -> None:
    way = await through(reply(answer), sound)
    await way.client.send(get(method=method))
    response = await way.client.answer(method.encode())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    assert response.ending is Ending.COMPLETE
    assert not response.values("x-theirs")
    await check_aftermath(way, connect)


STATUS_LINES: list[bytes] = [
    b"",
    b"HTTP/1.1",
    b"HTTP/1.1 ",
    b"HTTP/1.1 2",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200\tOK",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1 200,OK",
    b"HTTP/1.1 200 O\rK",
    b"HTTP/1.1 200 O\nK",
    b"HTTP/1.1 200 OK\r",
    b"HTTP/1.1 200\r",
    b"HTTP/1.1 101 Switching Protocols",
    b" HTTP/1.1 200 OK",
    b"\tHTTP/1.1 200 OK",
    b"\r\nHTTP/1.1 200 OK",
    b"\nHTTP/1.1 200 OK",
    b"\rHTTP/1.1 200 OK",
    b"\0HTTP/1.1 200 OK",
    b"\xef\xbb\xbfHTTP/1.1 200 OK",
    b"xHTTP/1.1 200 OK",
    b"http/1.1 200 OK",
    b"HTTP/1 200 OK",
    b"HTTP/1. 200 OK",
    b"HTTP/.1 200 OK",
    b"HTTP/1.2 200 OK",
    b"HTTP/1.10 200 OK",
    b"HTTP/1.01 200 OK",
    b"HTTP/11.1 200 OK",
    b"HTTP/0.9 200 OK",
    b"HTTP/2.0 200 OK",
    b"HTTP/3.0 200 OK",
    b"HTTP/-1.1 200 OK",
    b"HTTP /1.1 200 OK",
    b"HTTP/ 1.1 200 OK",
    b"HTTP/1.1/ 200 OK",
    b"HTTPS/1.1 200 OK",
    b"RTSP/1.0 200 OK",
    b"RTSP/1.1 200 OK",
    b"ICY 200 OK",
    b"ICE/1.1 200 OK",
    b"GET / HTTP/1.1",
    b"200 OK",
    b"PRI * HTTP/2.0",
]


@pytest.mark.parametrize("line", STATUS_LINES)
async def test_status_lines(through: Through, connect: Connect, line: bytes) -> None:
    """Promise 11: what does not begin with an HTTP/1.x status line is our 502."""
    await check_502(through, connect, message(line, "X-Theirs: 1", "Content-Length: 2", body=b"no"))


@pytest.mark.parametrize("reason", [b"O\0K", b"O\x01K", b"O\x7fK", b"\x1b[31mred", b"\xff" * 1000, b" ", b"OK\t"])
async def test_reason_phrases_are_not_relayed(through: Through, reason: bytes) -> None:
    """Promise 11: whatever stands behind the status goes no further: the client gets the standard phrase."""
    client, *_ = await through(reply(message(b"HTTP/1.1 200 " + reason, "Content-Length: 2", body=b"ok")))
    response = await client.ask(get())
    assert (response.status, response.reason, bytes(response.body)) == (200, b"OK", b"ok")


CONTROLS = [byte for byte in range(0x20) if byte != 0x09] + [0x7F]
BAD_LINES: dict[str, bytes] = {
    **{f"{byte:#04x} in a value": b"X-A: a%cb" % byte for byte in CONTROLS},
    **{f"{byte:#04x} in a name": b"X%cA: 1" % byte for byte in [*range(0x21), 0x7F, 0x80, 0xFF]},
    **{f"{char} in a name": f"X{char}A: 1".encode() for char in '"(),/;<=>?@[\\]{}'},
    "a blank before the colon": b"X-A : 1",
    "a tab before the colon": b"X-A\t: 1",
    "a folded line": b"X-A: 1\r\n more",
    "a line folded with a tab": b"X-A: 1\r\n\tmore",
    "a value that is folded from the start": b"X-A:\r\n 1",
    "a blank before the name": b" X-A: 1",
    "a tab before the name": b"\tX-A: 1",
    "no name": b": 1",
    "only a colon": b":",
    "no colon": b"X-A",
    "no colon, but a blank": b"X-A 1",
    "a control byte at the end of a value": b"X-A: 1\0",
    "a CR at the end of a value": b"X-A: 1\r",
    "an LF at the end of a value": b"X-A: 1\n",
    "a status line": b"HTTP/1.1 200 OK",
}


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_header_lines(through: Through, connect: Connect, line: bytes, place: str) -> None:
    """Promise 15: a header line that is none, or with a control byte in it, is our 502: it is never repaired."""
    lines = [line, b"X-Theirs: 1", b"Content-Length: 2"]
    answer = message("HTTP/1.1 200 OK", *(lines if place == "first" else reversed(lines)), body=b"no")
    await check_502(through, connect, answer)


ENDS: list[bytes] = [b"\n\n", b"\r\n\n", b"\n\r\n", b"\r\r", b"\r\n\r", b"\r\n\r\r\n", b"\r\n \r\n\r\n"]


@pytest.mark.parametrize("end", ENDS)
async def test_ends_of_a_head(through: Through, connect: Connect, end: bytes) -> None:
    """Promise 15: a head ends with CRLF CRLF; with anything else it is our 502."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nX-Theirs: 1\r\nContent-Length: 2" + end + b"no")

    way = await through(script, sound)
    response = await way.client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    await check_aftermath(way, connect)


CODINGS: list[bytes] = [
    b"",
    b" ",
    b"identity",
    b"gzip",
    b"x-gzip",
    b"compress",
    b"deflate",
    b"cow",
    b"0",
    b"chunk",
    b"xchunked",
    b"chunkedx",
    b"chun ked",
    b"chunked chunked",
    b"chunked;q=1",
    b"chunked; a",
    b"'chunked'",
    b'"chunked"',
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked, chunked",
    b"chunked,identity",
    b"identity, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked\t",
    b"chunked\x0b",
    b"\x0bchunked",
    b"\x0cchunked",
    b"chunked\0",
    b"\0chunked",
    b"chunked\r",
    b"\n chunked",
    b"\r\n chunked",
    b"chunked\r\n ",
    b"chunked\r\nTransfer-Encoding: identity",
    b"identity\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding: chunked",
    b"chun\xe2\x84\xaaed",  # the Kelvin sign, which some lower-casing turns into a k
    b"chu\xc3\xb1ked",
    b"\xa0chunked",
    b"chunked\x85",
]
SECOND_LINES = [[], ["Content-Length: 12"], ["Content-Length: 2"], ["Content-Length: 0"]]


@pytest.mark.parametrize("second", SECOND_LINES, ids=["alone", *(f"and {line[0]}" for line in SECOND_LINES[1:])])
@pytest.mark.parametrize("coding", CODINGS)
async def test_transfer_codings(through: Through, connect: Connect, coding: bytes, second: list[str]) -> None:
    """Promise 15: a transfer coding other than exactly `chunked` is our 502, whatever stands beside it."""
    line = b"Transfer-Encoding: " + coding
    await check_502(through, connect, message("HTTP/1.1 200 OK", "X-Theirs: 1", line, *second, body=CHUNKS))


@pytest.mark.parametrize("length", ["12", "2", "0"])
@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", " chunked "])
@pytest.mark.parametrize("length_first", [True, False])
async def test_length_and_chunks(
    through: Through, connect: Connect, length: str, coding: str, *, length_first: bool
) -> None:
    """Promise 15: a length beside chunks is our 502, in either order: one of them would be a lie."""
    lines = [f"Content-Length: {length}", f"Transfer-Encoding: {coding}"]
    answer = message("HTTP/1.1 200 OK", "X-Theirs: 1", *(lines if length_first else reversed(lines)), body=CHUNKS)
    await check_502(through, connect, answer)


@pytest.mark.parametrize(
    "name", ["Transfer-Encoding\0", "Transfer\x0b-Encoding", "Transfer-Encoding ", "Transfer-Encoding\t"]
)
async def test_names_that_are_nearly_the_codings(through: Through, connect: Connect, name: str) -> None:
    """Promise 15: a name that a lenient reader would take for Transfer-Encoding is our 502."""
    await check_502(through, connect, message("HTTP/1.1 200 OK", "X-Theirs: 1", f"{name}: chunked", body=CHUNKS))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", " chunked", "chunked "])
async def test_chunked_in_any_case(through: Through, coding: str) -> None:
    """Promise 15: the coding's name is case-insensitive, and its chunks are read."""
    client, *_ = await through(reply(message("HTTP/1.1 200 OK", f"Transfer-Encoding: {coding}", body=CHUNKS)))
    for _ in range(2):
        response = await client.ask(get())
        assert (response.status, bytes(response.body), response.ending) == (200, b"no", Ending.COMPLETE)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.0 keep-alive"])
async def test_chunks_of_http_1_0(through: Through, connect: Connect, version: str) -> None:
    """Promise 15: HTTP/1.0 has no chunks; a message that says both has faulty framing (RFC 9112, 6.1): 502."""
    lines = ["Connection: keep-alive"] if "keep" in version else []
    answer = message("HTTP/1.0 200 OK", "X-Theirs: 1", *lines, "Transfer-Encoding: chunked", body=CHUNKS)
    await check_502(through, connect, answer)


LENGTHS: list[bytes] = [
    b"2, 2",
    b"2,2",
    b"2,",
    b",2",
    b"2\r\nContent-Length: 2",
    b"2\r\nContent-Length: 3",
    b"2\r\ncontent-length: 3",
    b"2\r\n 2",
    b"2;",
    b"2 2",
    b"2.0",
    b"2e0",
    b"+2",
    b"-2",
    b"-0",
    b"0x2",
    b"1_0",
    b'"2"',
    b"two",
    b"2a",
    b"\x0b2",
    b"2\x0b",
    b"2\0",
    b"\xb2",  # a superscript two in Latin-1
    b"\xd9\xa2",  # an Arabic-Indic two in UTF-8
    b"",
    b" ",
    b"9223372036854775808",  # 2^63: negative to those who count in signed numbers
    b"18446744073709551615",
    b"18446744073709551616",
    b"18446744073709551618",  # 2, to those who lose the carry
    b"1" + b"0" * 100,
]


@pytest.mark.parametrize("start", ["200 OK", "204 No Content", "304 Not Modified", "HEAD"])
@pytest.mark.parametrize("length", LENGTHS)
async def test_lengths(through: Through, connect: Connect, length: bytes, start: str) -> None:
    """Promise 15: a Content-Length that is not one plain number is our 502, also where there is no body to count."""
    answer = message(f"HTTP/1.1 {start.replace('HEAD', '200 OK')}", "X-Theirs: 1", b"Content-Length: " + length)
    await check_502(through, connect, answer, method="HEAD" if start == "HEAD" else "POST")


@pytest.mark.parametrize("script", [sound])
async def test_what_is_sound_passes(through: Through, connect: Connect, script: Script) -> None:
    """Promise 15: the same checks pass an answer that is in order."""
    way = await through(script)
    assert (await way.client.ask(post())).status == 200
    await check_aftermath(way, connect, faulty=())


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
@pytest.mark.parametrize("line", [b"RTSP/1.0 200 OK", b"ICE/1.0 200 OK", b"RTSP/1.1 200 OK"])
async def test_another_protocol_behind_an_interim_answer(
    through: Through, connect: Connect, interim: bytes, line: bytes
) -> None:
    """Promise 15: each message's first bytes are looked at, not those of the first message alone."""
    answer = line + b"\r\nContent-Length: 2\r\n\r\nok"
    await check_502(through, connect, interim + answer)
    await check_502(through, connect, interim + interim + answer)
