"""Whether a stream's last event has gone by, however its bytes were cut."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.forward.last_event import LastEvent

LAST = [
    b"data: [DONE]\n\n",
    b"data:[DONE]\n\n",
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: response.completed\ndata: {"response":"' + b"x" * 100 + b'"}\n\n',
    b"event: response.failed\ndata: {}\n\n",
    b"event:response.incomplete\ndata: {}\n\n",
]
OTHERS = [
    b": OPENROUTER PROCESSING\n\n",
    b'data: {"choices":[{"delta":{"content":"' + b"word " * 20 + b'"}}]}\n\n',
    b"data: {}\n\n",
    b'event: response.output_text.delta\ndata: {"delta":"it ends with\\n\\ndata: [DONE]\\n\\n"}\n\n',
    b'event: message_delta\ndata: {"text":"event: message_stop"}\n\n',
    b"data: [DONE\n\n",
]


def cut(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    ends = sorted({each % len(stream) for each in cuts} | {0, len(stream)})
    for begin, end in pairwise(ends):
        yield stream[begin:end]


WITH_CRLF = st.booleans()
"""Whether lines end as they do in HTTP, which SSE allows."""


def lines(stream: bytes, *, with_crlf: bool) -> bytes:
    return stream.replace(b"\n", b"\r\n") if with_crlf else stream


others = st.lists(st.sampled_from(OTHERS), min_size=1, max_size=6).map(b"".join)
cuts = st.lists(st.integers(0, 1000), max_size=40)


@given(others, st.sampled_from(LAST), cuts, WITH_CRLF)
@example(OTHERS[1], LAST[3], [len(OTHERS[1]) + 12], False)  # within its name, and both halves are long  # noqa: FBT003
@example(OTHERS[0], LAST[3], [len(OTHERS[0] + LAST[3]) - 1], False)  # within its end  # noqa: FBT003
def test_it_has_passed(before: bytes, last: bytes, cuts: list[int], with_crlf: bool) -> None:  # noqa: FBT001
    """It is seen in whatever pieces it comes, be it short or long."""
    watched = LastEvent()
    for piece in cut(lines(before + last, with_crlf=with_crlf), cuts):
        watched.pass_by(piece)
    assert watched.has_passed()


@given(st.sampled_from(LAST), cuts)
def test_it_is_the_first_one(last: bytes, cuts: list[int]) -> None:
    """It may be all that comes, and then begins the stream."""
    watched = LastEvent()
    for piece in cut(last, cuts):
        watched.pass_by(piece)
    assert watched.has_passed()


@given(others, cuts, WITH_CRLF)
@example(b"event: response.completed_as_well\ndata: {}\n\n", [25], False)  # noqa: FBT003
def test_it_has_not_passed(stream: bytes, cuts: list[int], with_crlf: bool) -> None:  # noqa: FBT001
    """Nothing else is taken for it: no other event, and nothing that a model says."""
    watched = LastEvent()
    for piece in cut(lines(stream, with_crlf=with_crlf), cuts):
        watched.pass_by(piece)
    assert not watched.has_passed()


@given(st.sampled_from(LAST), others, WITH_CRLF)
def test_it_was_not_the_last(last: bytes, others: bytes, with_crlf: bool) -> None:  # noqa: FBT001
    """Where another event follows, be the first one in one piece or in two, it was not the last."""
    for pieces in ([last, others, OTHERS[1]], [last[:9], last[9:], others, OTHERS[1]]):
        watched = LastEvent()
        for piece in pieces:
            watched.pass_by(lines(piece, with_crlf=with_crlf))
        assert not watched.has_passed()


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_half_of_it(sizes: list[int]) -> None:
    """A client that leaves in the middle of a long last event has left early."""
    watched = LastEvent()
    watched.pass_by(b"event: response.completed\ndata: ")
    for size in sizes:
        watched.pass_by(b"x" * (size + 40))
    assert not watched.has_passed()
    watched.pass_by(b"\n\n")
    assert watched.has_passed()
