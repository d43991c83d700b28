"""httpx2's objects, made of what is there: what they lean on inside of httpx2 is pinned here."""

from collections.abc import Callable

import httpx2 as httpx
import pytest

from proxy.upstream.messages import RawHeaders, RawRequest, RawResponse

LINES = [(b"Host", b"upstream.test"), (b"X-Twice", b"1"), (b"x-twice", b"2"), (b"X-Odd", b"\xff")]


class Empty(httpx.AsyncByteStream):
    def __aiter__(self) -> "Empty":
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


def test_headers_keep_nothing_but_their_lines() -> None:
    """httpx2 keeps two things in its headers; ours make both, by its own constructor, when somebody asks for them."""
    assert set(vars(httpx.Headers(LINES))) == {"_list", "_encoding"}
    headers = RawHeaders(LINES)
    assert set(vars(headers)) == {"_given"}
    assert headers.raw is LINES
    assert headers["x-twice"] == "1, 2"
    assert set(vars(headers)) == {"_given", "_list", "_encoding"}


@pytest.mark.parametrize("use", [repr, str])
def test_headers_tell_nothing_by_themselves(use: Callable[[object], str]) -> None:
    """In a traceback, say, httpx2's own would show every value but Authorization."""
    assert "upstream.test" not in use(RawHeaders(LINES))


def test_headers_behave_as_httpx2s() -> None:
    """Whoever looks finds what httpx2 would have made of the same lines."""
    ours, theirs = RawHeaders(LINES), httpx.Headers(LINES)
    assert ours == theirs
    assert list(ours.items()) == list(theirs.items())
    assert ours.multi_items() == theirs.multi_items()
    assert ours.get_list("x-twice") == ["1", "2"]
    assert "x-odd" in ours
    assert not hasattr(ours, "no_such_attribute")


def test_a_request_has_what_httpx2s_has() -> None:
    """httpx2's constructor sets these attributes, and no other."""
    theirs = httpx.Request("GET", "https://upstream.test/", headers=LINES, stream=Empty())
    ours = RawRequest("GET", httpx.URL("https://upstream.test/"), LINES, Empty(), {})
    assert set(vars(ours)) == set(vars(theirs))
    assert (ours.method, ours.url, ours.headers.raw) == (theirs.method, theirs.url, theirs.headers.raw)


async def test_a_response_has_what_httpx2s_has() -> None:
    """httpx2's constructor sets these attributes, and no other; its methods work on ours."""
    theirs = httpx.Response(200, headers=LINES, stream=Empty())
    ours = RawResponse(200, LINES, Empty(), {})
    assert set(vars(ours)) == set(vars(theirs))
    assert {name: vars(ours)[name] for name in vars(ours) if name not in ("headers", "stream")} == {
        name: vars(theirs)[name] for name in vars(theirs) if name not in ("headers", "stream")
    }
    assert await ours.aread() == b""
    assert ours.num_bytes_downloaded == 0
    assert ours.is_success
    await ours.aclose()
