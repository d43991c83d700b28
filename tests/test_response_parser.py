"""The parser of answers makes events of bytes, without a socket or a loop, wherever the bytes are cut."""

import httpx2 as httpx
import pytest

from proxy.upstream.parser import END, Event, Head, ResponseParser

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\nX-Trailer: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


def parse(*pieces: bytes, method: str = "GET") -> tuple[list[Event], ResponseParser]:
    parser = ResponseParser()
    parser.begin(method)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
        if events and isinstance(events[-1], Exception):  # then its connection reads no more
            break
    return events, parser


def told(events: list[Event]) -> tuple[int | None, bytes, bool, bool]:
    """Status, body, whether it ended, whether it was refused; in which order they came is checked on the way."""
    kinds = [type(event) for event in events]
    heads = [event for event in events if isinstance(event, Head)]
    body = b"".join(event for event in events if isinstance(event, bytes))
    assert Head not in kinds[1:]
    assert END not in events[:-1]
    assert not any(isinstance(event, Exception) for event in events[:-1])
    last = events[-1] if events else None
    return (heads[0].status if heads else None), body, last is END, isinstance(last, httpx.RemoteProtocolError)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("answer", "body"), [(OK, b"hello"), (CHUNKS, b"helloyou"), (INTERIM + INTERIM + OK, b"hello")]
)
def test_a_whole_answer(answer: bytes, body: bytes, size: int) -> None:
    """One head, the body, one end; the connection may be used again if the end is seen in one piece."""
    events, parser = parse(*(answer[i : i + size] for i in range(0, len(answer), size)))
    assert told(events) == (200, body, True, False)
    assert parser.reusable is (size > len(b"\r\n\r\n") or answer is not CHUNKS)


@pytest.mark.parametrize("last", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("answer", [OK, CHUNKS, OK[:-5] + b"a\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_an_end_in_two_pieces(answer: bytes, last: int) -> None:
    """The connection may be used again: where the bytes are cut is chance."""
    events, parser = parse(answer[:-last], answer[-last:])
    assert events[-1] is END
    assert parser.reusable
    for behind in (b"\r\n", b"\n"):
        _, parser = parse(answer[:-last], answer[-last:] + behind)
        assert not parser.reusable


def test_the_head_comes_as_it_was_sent() -> None:
    """Status and header lines, in order; nothing of an interim answer."""
    events, _ = parse(INTERIM + OK)
    head, *rest = events
    assert isinstance(head, Head)
    assert (head.status, head.headers) == (200, [(b"Content-Length", b"5"), (b"X-A", b"1")])
    assert (head.fields[b"content-length"], head.fields[b"x-a"], head.fields[b"link"]) == ([b"5"], [b"1"], [])
    assert rest == [b"hello", END]


@pytest.mark.parametrize(
    "behind", [b"\r\n", b"\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n", b"H"], ids=["CRLF", "LF", "x", "answer", "H"]
)
@pytest.mark.parametrize("answer", [OK, CHUNKS, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_bytes_behind_an_answer(answer: bytes, behind: bytes) -> None:
    """The answer is whole, and its connection is not used again."""
    events, parser = parse(answer + behind)
    assert events[-1] is END
    assert not parser.reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\nHELLO" + OK,
        b"HTTP/1.1 199 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 104 X\r\nContent-Length: %d\r\n\r\n" % len(OK) + OK,
        b"HTTP/1.1 600 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 131_072 + b"\r\n\r\n",
        INTERIM * 10_000,
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    """It is refused, before any head."""
    events, _ = parse(answer)
    assert told(events) == (None, b"", False, True)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("place", [b"X-A%b: 1", b"X-A:%b1", b"X-A: 1%b", b"X-A: 1%b2", b"X-A: \t%b", b"X-A: 1\r\n%b2"])
@pytest.mark.parametrize("name", [b"X-A", b"Connection", b"Content-Length", b"Transfer-Encoding", b"Upgrade"])
def test_no_control_byte_in_a_head(name: bytes, place: bytes, size: int) -> None:
    """llhttp refuses each of them, in a name and in a value (RFC 9110, 5.5), a line that is folded too."""
    for control in {*range(32), 0x7F} - {ord("\t")}:
        answer = b"HTTP/1.1 200 OK\r\n" + place.replace(b"X-A", name) % bytes([control]) + b"\r\nX-B: 1\r\n\r\n"
        events, _ = parse(*(answer[i : i + size] for i in range(0, len(answer), size)))
        assert told(events) == (None, b"", False, True), answer


def test_what_was_sound_comes_before_the_error() -> None:
    """A bad chunk spoils what follows, not what came before."""
    events, _ = parse(CHUNKS[:-20] + b"zz\r\n")
    status, body, ended, refused = told(events)
    assert (status, ended, refused) == (200, False, True)
    assert b"hello".startswith(body[:5])


def test_an_answer_that_lasts_until_the_end_of_the_connection() -> None:
    """It says so, never ends by itself, and leaves a connection that is not used again."""
    events, parser = parse(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert told(events) == (200, b"hello", False, False)
    assert parser.until_close
    assert not parser.reusable


@pytest.mark.parametrize("head", [OK.removesuffix(b"hello"), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_head_has_no_body(head: bytes) -> None:
    """The answer to HEAD ends with its head, whatever length that names."""
    events, parser = parse(head, method="HEAD")
    assert told(events) == (200, b"", True, False)
    assert not parser.until_close
    _, parser = parse(head + b"hello", method="HEAD")
    assert not parser.reusable


def test_one_after_the_other() -> None:
    """Nothing of one answer is left for the next."""
    parser = ResponseParser()
    for answer, body in ((CHUNKS, b"helloyou"), (OK, b"hello"), (OK, b"hello")):
        parser.begin("GET")
        assert told(parser.feed(answer)) == (200, body, True, False)
        assert parser.reusable
    parser.forget()
    parser.begin("GET")
    assert told(parser.feed(OK)) == (200, b"hello", True, False)
