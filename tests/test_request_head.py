"""What a request's head may say: limits to the byte, `Host`, the target, the framing, the expectation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import HeadTooLarge, Malformed, ProxyError, TargetTooLong, UnknownCoding, UnknownExpectation
from proxy.headers import HeaderList
from proxy.server.request_body import Chunked, Sized
from proxy.server.request_head import MAX_FIELDS_SIZE, MAX_TARGET, Head, head_length, read_head

HOST = (b"host", b"localhost")
LINE = b"GET /api/v1/models HTTP/1.1\r\n"


def read(*headers: tuple[bytes, bytes], method: bytes = b"POST", target: bytes = b"/", version: str = "1.1") -> Head:
    return read_head(method, target, version, list(headers))


def test_a_head_ends_with_its_empty_line() -> None:
    head = LINE + b"Host: localhost\r\n\r\n"
    assert head_length(head) == len(head)
    assert head_length(head + b"body\r\n\r\n") == len(head)
    assert head_length(LINE + b"\r\n") == len(LINE) + 2
    for end in range(len(head)):
        assert head_length(head[:end]) == 0


def test_the_longest_target() -> None:
    target = b"/" + b"x" * (MAX_TARGET - 1)
    assert head_length(b"GET %b HTTP/1.1\r\n\r\n" % target)
    with pytest.raises(TargetTooLong):
        head_length(b"GET %bx HTTP/1.1\r\n\r\n" % target)
    with pytest.raises(TargetTooLong):
        head_length(b"GET /" + b"x" * 20_000)


def test_the_largest_headers() -> None:
    """64 KiB of header lines, counted with their line ends, as they stand on the wire."""
    lines = b"X-A: %b\r\n" % (b"x" * (MAX_FIELDS_SIZE - 7))
    assert len(lines) == 65536
    assert head_length(LINE + lines + b"\r\n")
    with pytest.raises(HeadTooLarge):
        head_length(LINE + b"x" + lines + b"\r\n")
    with pytest.raises(HeadTooLarge):
        head_length(LINE + b"x" * 70_000)
    assert head_length(LINE + b"x" * 65_000) == 0


def measured(pieces: list[bytes]) -> int | type[ProxyError]:
    """What `head_length` says about bytes that come in pieces, once it says something."""
    data = b""
    for piece in pieces:
        seen = len(data)
        data += piece
        try:
            if length := head_length(data, seen):
                return length
        except ProxyError as error:
            return type(error)
    return 0


near_heads = st.lists(
    st.sampled_from(
        [LINE, b"Host: a\r\n", b"\r\n", b"\r", b"\n", b"GET ", b" HTTP/1.1", b"x" * 16_380, b"y" * 16_000, b"\0", b"z"]
    ),
    max_size=9,
)


@given(near_heads)
def test_the_pieces_do_not_matter(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert measured(pieces) == measured([whole])


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/01.1",
        b"GET / http/1.1",
        b"GET / ICE/1.0",
        b"OPTIONS / RTSP/1.0",
        b"GET / HTTP/1.1 ",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET /\tHTTP/1.1",
        b"GET /\x0bHTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / x HTTP/1.1",
        b"GET HTTP/1.1",
        b"GET /",
        b"GET",
        b"G(T / HTTP/1.1",
        b"G\xe9T / HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"GET /\n HTTP/1.1",
        b"GET / HTTP/1.1\n",
        b"",
    ],
)
def test_bad_request_lines(line: bytes) -> None:
    """Told as soon as the line is complete."""
    with pytest.raises(Malformed):
        head_length(line + b"\r\n")


TARGETS = {
    b"/": (b"localhost", b"/", b""),
    b"/a%2Fb;c?d=%7E&e??": (b"localhost", b"/a%2Fb;c", b"d=%7E&e??"),
    b"//other.example/a": (b"localhost", b"//other.example/a", b""),
    b"/http://other.example/a": (b"localhost", b"/http://other.example/a", b""),
    b"/a?": (b"localhost", b"/a", b""),
    b'/"<>\\^`{|}': (b"localhost", b'/"<>\\^`{|}', b""),
    # RFC 9112, 3.2.2: the authority replaces what `Host` says.
    b"http://other.example/a?b": (b"other.example", b"/a", b"b"),
    b"HTTPS://other.example:443/a": (b"other.example:443", b"/a", b""),
    b"http://[::1]:6767/a": (b"[::1]:6767", b"/a", b""),
    b"http://other.example": (b"other.example", b"/", b""),
    b"http://other.example?b": (b"other.example", b"/", b"b"),
}


@pytest.mark.parametrize(("target", "parts"), TARGETS.items())
def test_targets(target: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    head = read(HOST, (b"accept", b"*/*"), target=target)
    assert (head.headers[0][1], head.path, head.query) == parts
    assert head.headers == [(b"host", parts[0]), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"api/v1/models",
        b"localhost:6767",
        b"?a",
        b"/a#b",
        b"/a?b#c",
        b"http://other.example#a",
        b"http://",
        b"http:///a",
        b"http:/a",
        b"http://user@other.example/",
        b"http://user:password@other.example/",
        b"http://other.example:x/",
        b"http://other example/",
        b"ftp://other.example/",
        b"file:///etc/passwd",
    ],
)
def test_bad_targets(target: bytes) -> None:
    with pytest.raises(Malformed):
        read(HOST, target=target)


def test_forms_without_a_path() -> None:
    assert read(HOST, method=b"OPTIONS", target=b"*").path == b"*"
    assert read(HOST, method=b"CONNECT", target=b"openrouter.ai:443").path == b"*"


def test_an_authority_needs_a_host_line_beside_it() -> None:
    with pytest.raises(Malformed):
        read(target=b"http://localhost/")
    assert read(target=b"http://localhost/", version="1.0").headers == [HOST]


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:6767",
        b"localhost:",
        b"127.0.0.1",
        b"[::1]",
        b"[::1]:6767",
        b"[fe80::1%eth0]",
        b"my_service",
        b"a.b.",
        b"%61",
        b"a!$&'()*+,;=~b",
    ],
)
def test_hosts(host: bytes) -> None:
    assert read((b"host", host)).headers == [(b"host", host)]


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b":6767",
        b"local host",
        b"localhost/x",
        b"localhost?x",
        b"localhost#x",
        b"user@localhost",
        b"http://localhost",
        b"localhost:x",
        b"localhost:123456",
        b"localhost:67:67",
        b"localhost\\x",
        b"local<host",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[localhost]",
        b"%6",
        b"%zz",
        b"localhost\xe9",
        b"localhost\t",
        b'"localhost"',
    ],
)
def test_bad_hosts(host: bytes) -> None:
    with pytest.raises(Malformed):
        read((b"host", host))


def test_how_many_hosts() -> None:
    with pytest.raises(Malformed):
        read()
    with pytest.raises(Malformed):
        read(HOST, HOST)
    with pytest.raises(Malformed):
        read(HOST, HOST, version="1.0")
    assert read(version="1.0").headers == []


SIZED: list[tuple[bytes, int]] = [(b"1", 1), (b"007", 7), (b"9" * 18, 10**18 - 1)]


@pytest.mark.parametrize(("value", "length"), SIZED)
def test_lengths(value: bytes, length: int) -> None:
    body = read(HOST, (b"content-length", value)).body
    assert isinstance(body, Sized)
    assert body._left == length


def test_no_body() -> None:
    assert read(HOST).body is None
    assert read(HOST, (b"content-length", b"0")).body is None
    assert read(HOST, (b"content-length", b"000")).body is None


def test_a_chunked_body() -> None:
    assert isinstance(read(HOST, (b"transfer-encoding", b"chunked")).body, Chunked)
    assert isinstance(read(HOST, (b"transfer-encoding", b"CHUNKED")).body, Chunked)


BAD_FRAMING: dict[str, tuple[HeaderList, type[ProxyError]]] = {
    **{
        f"a length of {value!r}": ([(b"content-length", value)], Malformed)
        for value in [
            *(b"", b"+2", b"-2", b"2.0", b"2e0", b"0x2", b"2 2", b"2,2", b"2, 2", b",2", b"2;", b" 2", b"1_0", b"\xb2"),
            *("２".encode(), b"9" * 19, b"9223372036854775808", b"18446744073709551618", b"two"),  # noqa: RUF001
        ]
    },
    "two lengths": ([(b"content-length", b"2"), (b"content-length", b"3")], Malformed),
    "two equal lengths": ([(b"content-length", b"2"), (b"content-length", b"2")], Malformed),
    "both": ([(b"content-length", b"2"), (b"transfer-encoding", b"chunked")], Malformed),
    "both, with a length of 0": ([(b"content-length", b"0"), (b"transfer-encoding", b"chunked")], Malformed),
    "a disguised length": ([(b"content_length", b"2")], Malformed),
    "a disguised coding": ([(b"transfer_encoding", b"chunked")], Malformed),
    "chunked twice": ([(b"transfer-encoding", b"chunked")] * 2, UnknownCoding),
    **{
        f"a coding of {value!r}": ([(b"transfer-encoding", value)], UnknownCoding)
        for value in [
            *(b"", b"gzip", b"identity", b"xchunked", b"chunkedx", b"x chunked", b"chunked;q=1", b"chunked;", b"chunk"),
            *(b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity", b"identity, chunked"),
            *(b",chunked", b"chunked,", b"'chunked'", b'"chunked"', b"chunked\0", b"\x0bchunked", b"chunked\x0c"),
            *(b"\xa0chunked", b"chunked\x85", b"\xefchunked", "chun\u212aed".encode(), "\u017fchunked".encode()),
            *(b"[chunked]", b"c hunked", b"chunked chunked", b"chunked/1", b"\\chunked", b"%63hunked"),
        ]
    },
}


@pytest.mark.parametrize(("headers", "error"), BAD_FRAMING.values(), ids=BAD_FRAMING)
def test_bad_framing(headers: HeaderList, error: type[ProxyError]) -> None:
    with pytest.raises(error):
        read(HOST, *headers)


def test_a_coding_in_http_1_0() -> None:
    with pytest.raises(Malformed):
        read((b"transfer-encoding", b"chunked"), version="1.0")


def test_expectations() -> None:
    assert not read(HOST).expects_continue
    assert read(HOST, (b"expect", b"100-Continue")).expects_continue
    assert not read((b"expect", b"100-continue"), version="1.0").expects_continue
    assert not read((b"expect", b"a pony"), version="1.0").expects_continue
    for value in (b"", b"a pony", b"100-continue, a-pony", b"100-continue;q=1", b"200-ok"):
        with pytest.raises(UnknownExpectation):
            read(HOST, (b"expect", value))
