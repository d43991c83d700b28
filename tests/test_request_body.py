"""Where a request's body ends: the same for the same bytes, however they come, and what other parsers say too."""

from collections.abc import Iterable

import h11
import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.server.request_body import Body, Chunked, Sized
from tests.support.http1 import LAST_CHUNK, chunk, chunked
from tests.support.pieces import cut

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\n"


def fed(body: Body, pieces: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """The body, and what is behind it; None if it is refused."""
    got = b""
    rest = b""
    try:
        for piece in pieces:
            if body.complete:
                rest += piece
            else:
                more, rest = body.feed(piece)
                got += more
    except Malformed:
        return None
    return got, rest


def test_a_sized_body_ends_after_its_bytes() -> None:
    body = Sized(5)
    assert body.feed(b"abc") == (b"abc", b"")
    assert not body.complete
    assert body.feed(b"de" + NEXT) == (b"de", NEXT)
    assert body.complete


GOOD = {
    "none": (LAST_CHUNK, b""),
    "one": (chunked(b"{}"), b"{}"),
    "some": (chunked(b"a", b"bc", b"x" * 300), b"abc" + b"x" * 300),
    "capitals": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "leading zeros": (b"0002\r\n{}\r\n000\r\n\r\n", b"{}"),
    "an extension": (b"2;a\r\n{}\r\n0\r\n\r\n", b"{}"),
    "an extension with a value": (b"2;a=b;c=d\r\n{}\r\n0;e\r\n\r\n", b"{}"),
    "a quoted extension": (b'2;a="x\\"y;\t\xe9"\r\n{}\r\n0\r\n\r\n', b"{}"),
    "a long extension": (b"2;" + b"a" * 4000 + b"\r\n{}\r\n0\r\n\r\n", b"{}"),
    "a trailer": (b"2\r\n{}\r\n0\r\nX-A: 1\r\n\r\n", b"{}"),
    "an empty trailer": (b"2\r\n{}\r\n0\r\nX-A:\r\n\r\n", b"{}"),
    "trailers about framing": (
        b"2\r\n{}\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: a\r\n\r\n",
        b"{}",
    ),
    "line breaks as data": (chunked(b"\r\n\r\n0\r\n\r\n"), b"\r\n\r\n0\r\n\r\n"),
    "a request as data": (chunked(b"0\r\n\r\n" + NEXT + b"\r\n"), b"0\r\n\r\n" + NEXT + b"\r\n"),
    "many trailers": (b"0\r\n" + b"X-A: 1\r\n" * 2000 + b"\r\n", b""),
}

BAD = {
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "not hex": b"2g\r\n{}\r\n0\r\n\r\n",
    "words": b"xyz\r\n",
    "plus": b"+2\r\n{}\r\n0\r\n\r\n",
    "minus": b"-2\r\n{}\r\n0\r\n\r\n",
    "0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
    "a blank before": b" 2\r\n{}\r\n0\r\n\r\n",
    "a blank behind": b"2 \r\n{}\r\n0\r\n\r\n",
    "a tab behind": b"2\t\r\n{}\r\n0\r\n\r\n",
    "a blank before an extension": b"2 ;a\r\n{}\r\n0\r\n\r\n",
    "a vertical tab": b"2\x0b\r\n{}\r\n0\r\n\r\n",
    "NUL": b"2\0\r\n{}\r\n0\r\n\r\n",
    "full-width digits": "２\r\n{}\r\n0\r\n\r\n".encode(),  # noqa: RUF001
    "beyond 64 bits": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "64 bits, padded": b"00000000000000002\r\n{}\r\n0\r\n\r\n",
    "an extension without a name": b"2;\r\n{}\r\n0\r\n\r\n",
    "an extension without a value": b"2;a=\r\n{}\r\n0\r\n\r\n",
    "a quote that does not end": b'2;a="b\r\n{}\r\n0\r\n\r\n',
    "a control byte in an extension": b"2;a=\x01\r\n{}\r\n0\r\n\r\n",
    "a control byte in quotes": b'2;a="\x01"\r\n{}\r\n0\r\n\r\n',
    "LF in an extension": b"2;a\n{}\r\n0\r\n\r\n",
    "LF in quotes": b'2;a="\n"\r\n{}\r\n0\r\n\r\n',
    "CR in an extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "CR CR LF": b"2\r\r\n{}\r\n0\r\n\r\n",
    "LF after the size": b"2\n{}\r\n0\r\n\r\n",
    "LF after the data": b"2\r\n{}\n0\r\n\r\n",
    "CR after the data": b"2\r\n{}\r0\r\n\r\n",
    "nothing after the data": b"2\r\n{}0\r\n\r\n",
    "too much data": b"2\r\n{}x\r\n0\r\n\r\n",
    "too little data": b"3\r\n{}\r\n0\r\n\r\n",
    "LF at the end": b"0\r\n\n",
    "LF twice at the end": b"0\n\n",
    "CR at the end": b"0\r\n\rX",
    "a trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "a trailer without a name": b"0\r\n: 1\r\n\r\n",
    "a blank before a trailer's colon": b"0\r\nX-A : 1\r\n\r\n",
    "a folded trailer": b"0\r\nX-A: 1\r\n 2\r\n\r\n",
    "a control byte in a trailer": b"0\r\nX-A: \x01\r\n\r\n",
    "LF in a trailer": b"0\r\nX-A: 1\nX-B: 2\r\n\r\n",
    "a request for a trailer": b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "an endless extension": b"2;" + b"a" * 5000,
    "an endless trailer": b"0\r\nX-A: " + b"a" * 5000,
    "endless trailers": b"0\r\n" + b"X-A: 1\r\n" * 3000,
}


@pytest.mark.parametrize(("data", "body"), GOOD.values(), ids=GOOD)
def test_chunks(data: bytes, body: bytes) -> None:
    assert fed(Chunked(), [data + NEXT]) == (body, NEXT)
    assert fed(Chunked(), cut(data + NEXT)) == (body, NEXT)
    assert fed(Chunked(), cut(data)) == (body, b"")


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_chunks(data: bytes) -> None:
    """Refused as soon as it can be told: nothing more has to come."""
    assert fed(Chunked(), [data]) is None
    assert fed(Chunked(), cut(data)) is None


@pytest.mark.parametrize("data", [data for data, _ in GOOD.values()], ids=GOOD)
def test_every_beginning_is_incomplete(data: bytes) -> None:
    """Only the last byte completes a body."""
    for end in {*range(min(len(data), 600)), len(data) - 1}:
        body = Chunked()
        assert fed(body, [data[:end]]) is not None
        assert not body.complete


class _Parsed:
    """What llhttp makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.complete = False
        httptools.HttpRequestParser(self).feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def h11_body(data: bytes) -> bytes | None:
    """What h11 makes of the same, if it is complete."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    body = b""
    while (event := connection.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body
    return None


MATERIAL = [
    b"\r\n",
    b"\r",
    b"\n",
    b"0",
    b"1",
    b"2",
    b"a",
    b"F",
    b";",
    b"=",
    b'"',
    b"\\",
    b" ",
    b"\t",
    b":",
    b"x",
    b"\0",
]
near_chunks = st.lists(
    st.one_of(
        st.sampled_from([data for data, _ in GOOD.values() if len(data) < 500 and b"Content-Length" not in data]),
        st.sampled_from([data for data in BAD.values() if len(data) < 500]),
        st.binary(max_size=20).map(chunk),
        st.sampled_from(MATERIAL),
        st.just(LAST_CHUNK),
    ),
    max_size=8,
).map(b"".join)


@given(near_chunks, st.lists(st.integers(0, 300)))
@example(b"2\r\n{}\r\n0\r\n\r\n", [1, 2, 3])
def test_the_pieces_do_not_matter(data: bytes, at: list[int]) -> None:
    assert fed(Chunked(), [data]) == fed(Chunked(), cut(data, at))


@given(near_chunks)
def test_what_we_take_others_take_in_the_same_way(data: bytes) -> None:
    """Stricter than llhttp and h11, and never another body than theirs.

    Only trailers about framing, which we drop with all others, are too much for llhttp.
    """
    body = Chunked()
    result = fed(body, [data])
    if result is None or not body.complete:
        return
    ours, rest = result
    message = HEAD + data.removesuffix(rest)
    parsed = _Parsed(message)
    assert (parsed.body, parsed.complete) == (ours, True)
    assert not _Parsed(message[:-1]).complete
    assert h11_body(message) == ours
    assert h11_body(message[:-1]) is None
