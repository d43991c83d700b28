"""Heads as they come off the wire: collected until complete, then parsed in one piece, each by an llhttp of its own.

So nothing depends on how a request was cut into pieces, and no byte of a body ever meets a parser of heads: not behind
``Upgrade`` either, which llhttp takes to end the body.
"""

import re

import httptools

from proxy.errors import HeadTooLarge, Malformed, UnknownMethod
from proxy.headers import HeaderList
from proxy.server.request_head import MAX_FIELDS, Head, head_length, read_head

_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")  # RFC 9112, 2.2: some clients end a body with one
_NOTHING_YET = (b"", b"\r")
_METHOD_SO_FAR = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |\Z)")


class HeadReader:
    """Reads one head after the other; between two heads it knows nothing."""

    __slots__ = ("_probe", "_seen")

    def __init__(self) -> None:
        self._seen = 0  # bytes that were there when the head was last found incomplete
        self._probe: httptools.HttpRequestParser | None = None

    def read(self, data: bytes) -> tuple[Head | None, bytes]:
        """The head that ``data`` begins with, and what is behind it; None while it is not complete.

        What is behind then comes again, and more with it. Raises the `ProxyError` that refuses it, as early as can be.
        """
        if data.startswith(b"\r"):
            self._seen, self._probe = 0, None
            data = _EMPTY_LINES.sub(b"", data)
            if data in _NOTHING_YET:
                return None, data
        length = head_length(data, self._seen)
        if not length:
            self._look_ahead(data)
            return None, data
        if self._seen:
            self._seen, self._probe = 0, None
        return parse(data[:length]), data[length:]

    def _look_ahead(self, data: bytes) -> None:
        """Refuse at once what will never be a head: who speaks another protocol would wait for an answer."""
        if self._probe is None:
            self._probe = httptools.HttpRequestParser(None)
        try:
            self._probe.feed_data(data[self._seen :])
        except httptools.HttpParserInvalidMethodError:
            if not _METHOD_SO_FAR.match(data):
                raise Malformed from None
        except httptools.HttpParserError:
            raise Malformed from None
        self._seen = len(data)


class _Lines:
    """What llhttp finds in a head. None of its calls may raise: httptools loses the reason."""

    __slots__ = ("headers", "target")

    headers: HeaderList
    target: bytes

    def __init__(self) -> None:
        self.headers = []
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def begun(data: bytes) -> bool:
    """Whether ``data``, which `HeadReader.read` has left, is the beginning of a head, and not of an empty line."""
    return data not in _NOTHING_YET


def parse(data: bytes) -> Head:
    """What the complete head ``data`` says. Raises the `ProxyError` that refuses it."""
    lines = _Lines()
    parser = httptools.HttpRequestParser(lines)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # not ours to make: the request is served as if it had not asked
    except httptools.HttpParserInvalidMethodError:
        raise UnknownMethod from None
    except httptools.HttpParserError:
        raise Malformed from None
    if len(lines.headers) > MAX_FIELDS:
        raise HeadTooLarge
    method: bytes = parser.get_method()
    version: str = parser.get_http_version()
    return read_head(method, lines.target, version, lines.headers)
