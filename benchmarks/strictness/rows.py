"""The rows: what the tests of the wire send, by the same tables."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.http1 import message
from tests.wire import test_broken_upstream_bodies as bodies
from tests.wire import test_broken_upstream_heads as heads
from tests.wire import test_protocol_vectors as vectors
from tests.wire import test_smuggling as smuggling

_CHUNKED = b"HTTP/1.1 200 OK\r\nX-Theirs: 1\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Bytes that a client sends, all at once."""

    family: str
    name: str
    sent: bytes
    body: bytes | None = None  # of the first request, where it has one that may leave


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """Bytes with which an upstream answers a request of that method, before it closes the connection."""

    family: str
    name: str
    answer: bytes
    method: str = "GET"


def requests() -> Iterator[RequestRow]:
    """Of the protocol's vectors, those are left out that are about which paths and names are ours."""
    for name, row in vectors.ROWS.items():
        if not {404, 421} & set(row.statuses):
            forwarded = row.forwarded[0][1] if row.forwarded and row.complete else None
            yield RequestRow("requests", name, row.sent, forwarded)
    for name, sent in smuggling.ATTACKS.items():
        yield RequestRow("smuggling", name, sent)
    for name, sent in smuggling.HIDDEN.items():
        if b"/nowhere" not in sent and b"/healthz" not in sent:
            yield RequestRow("bodies that look like requests", name, sent + smuggling.NEXT)


def answers() -> Iterator[AnswerRow]:
    """Broken heads and bodies, and sound ones to compare with."""
    yield from _heads()
    yield from _framings()
    yield from _bodies()


def _heads() -> Iterator[AnswerRow]:
    for line in heads.STATUS_LINES:
        yield _answer("status lines", repr(line), line, b"Content-Length: 2")
    for name, line in heads.BAD_LINES.items():
        yield _answer("header lines", name, b"HTTP/1.1 200 OK", line, b"Content-Length: 2")
    for end in heads.ENDS:
        head = b"HTTP/1.1 200 OK\r\nX-Theirs: 1\r\nContent-Length: 2"
        yield AnswerRow("ends of a head", repr(end), head + end + b"no")


def _framings() -> Iterator[AnswerRow]:
    pairs = [(coding, second) for coding in heads.CODINGS for second in heads.SECOND_LINES]
    pairs += [(b"chunked", [f"Content-Length: {length}"]) for length in (12, 2, 0)]
    for coding, second in pairs:
        name = " and ".join([f"Transfer-Encoding: {coding!r}", *second])
        lines = [b"Transfer-Encoding: " + coding, *(line.encode() for line in second)]
        yield _answer("transfer codings", name, b"HTTP/1.1 200 OK", *lines, body=heads.CHUNKS)
    lines = [b"Transfer-Encoding: chunked"]
    yield _answer("transfer codings", "chunks of HTTP/1.0", b"HTTP/1.0 200 OK", *lines, body=heads.CHUNKS)
    for length in heads.LENGTHS:
        yield _answer("lengths", repr(length), b"HTTP/1.1 200 OK", b"Content-Length: " + length)


def _bodies() -> Iterator[AnswerRow]:
    for name, body in bodies.SOUND_CHUNKS.items():
        yield AnswerRow("sound chunks", name, _CHUNKED + body)
    for name, body in bodies.BAD_CHUNKS.items():
        yield AnswerRow("bad chunks", name, _CHUNKED + b"9\r\ndata: 1\n\n\r\n" + body)
    for name, (method, answer, body) in bodies.ANSWERS.items():
        yield AnswerRow("sound answers", name, answer, method)
        if body and name != "until close":
            yield AnswerRow("cut answers", name, answer[:-3], method)


def _answer(family: str, name: str, start: bytes, *lines: bytes, body: bytes = b"no") -> AnswerRow:
    return AnswerRow(family, name, message(start, b"X-Theirs: 1", *lines, body=body))
