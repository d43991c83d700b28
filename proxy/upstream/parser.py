"""The answer to one request, out of bytes: llhttp (through httptools), and what it lets pass that nobody may believe.

Knows neither socket nor loop. After `ResponseParser.begin`, each `ResponseParser.feed` gives the events of those bytes,
in this order, over all calls: one `Head`, pieces of the body (`bytes`), one `END`. An `httpx.RemoteProtocolError` among
them is the last one: what came before it was sound.
"""

import re
from enum import Enum
from itertools import chain
from typing import Final, Literal, NamedTuple, TypeAlias

import httptools
import httpx2 as httpx

from proxy.headers import Fields, HeaderList

_MAX_HEAD = 128 * 1024  # bytes of header lines before an answer, interim answers included
_MAX_FRAMING = 256 * 1024  # bytes that bring no byte of a body: endless lines, interim answers, trailers
_MAX_LENGTH = 2**63 - 1  # bytes of a body; beyond, a client that counts in signed numbers sees a negative length
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_TIMEOUT = re.compile(rb"(?:^|[,; ])timeout *= *\"?([0-9]{1,9})", re.IGNORECASE)  # RFC 2068, 19.7.1.1: of Keep-Alive
_BLANK_LINE_AT_END = re.compile(rb"[^\r\n]\r\n\r\n\Z")


class Head(NamedTuple):
    """Of the final answer."""

    status: int
    headers: HeaderList
    fields: Fields  # the same, by name


class _Mark(Enum):
    END = "end"


END: Final = _Mark.END
"""The event of a message that has come to its proper end."""

Event: TypeAlias = Head | bytes | Literal[_Mark.END] | httpx.RemoteProtocolError


class ResponseParser:
    """Parses one answer after another; says of each how it ends, and whether another one may follow."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self.reusable = False
        """Whether the connection may carry another exchange; known with `END`, and True only if nothing follows it."""
        self.until_close = False
        """Whether the end of the connection is the end of this body (RFC 9112, 6.3); known with `Head`."""
        self.kept_for: int | None = None
        """Seconds for which the other side keeps the connection open when it is idle, if it said so; with `Head`."""

    def begin(self, method: str) -> None:
        """Expect the answer to a request of that method."""
        # A parser for each answer: llhttp 9 keeps what a trailer said of framing, and waits for a body after HEAD.
        self._llhttp = httptools.HttpResponseParser(self)
        self._method = method
        self._headers: HeaderList = []
        self._head_size = 0
        self._framing_size = 0
        self._heard = False
        self._in_head = True
        self._complete = False
        self._has_length = False
        self.reusable = self.until_close = False
        self.kept_for = None
        self._interims = 0
        self._pieces: list[bytes] = []  # until there is a head
        self._before = b""  # the last bytes of what came before, until the answer is complete

    def forget(self) -> None:
        """Let go of what it was filled with, of which there may be much; `begin` begins anew."""
        self._headers, self._events, self._pieces, self._before = [], [], [], b""
        self.__dict__.pop("_llhttp", None)  # they refer to each other

    def feed(self, data: bytes) -> list[Event]:
        """The events of the next bytes of the connection."""
        if self._in_head:
            if not self._heard and not data.startswith(b"H"):  # llhttp skips line breaks, and takes RTSP for HTTP
                return [httpx.RemoteProtocolError("not HTTP")]
            self._heard = True
            self._pieces.append(data)
        self._framing_size += len(data)
        try:
            self._llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(error)
        else:
            if self._complete:
                self.reusable = self.reusable and self._ends_with_message(data)
                self._before = b""
            else:
                self._before = data[-5:]
                if self._framing_size > _MAX_FRAMING:
                    self._events.append(httpx.RemoteProtocolError("too many bytes without a body"))
        events, self._events = self._events, []
        return events

    def _fail(self, error: Exception) -> None:
        if self._complete:
            self.reusable = False  # the answer is whole; the rest is none of its bytes
        else:
            cause = error.__context__ if isinstance(error.__context__, httpx.RemoteProtocolError) else error
            self._events.append(httpx.RemoteProtocolError(str(cause)))

    def _ends_with_message(self, data: bytes) -> bool:
        """Whether ``data``, in which the answer came to its end, surely holds nothing behind it.

        llhttp tells of anything but line breaks, which it skips between messages.
        """
        if self._has_length:
            last = self._events[-2] if len(self._events) > 1 else b""
            if not isinstance(last, bytes):
                return False
            return len(last) == len(data) or (bool(last.strip(b"\r\n")) and data.endswith(last))
        return bool(_BLANK_LINE_AT_END.search(self._before + data[-5:]))

    def _end(self) -> None:
        self._complete = True
        self._events.append(END)

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            self.reusable = False  # another message behind the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._in_head:
            return
        self._head_size += sum(map(len, chain.from_iterable(self._headers))) + 4 * len(self._headers)
        if self._head_size > _MAX_HEAD:
            raise httpx.RemoteProtocolError("too many header bytes")
        status = self._llhttp.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = []  # interim answers are for this hop
            self._interims += 1
            return
        if self._interims and not _all_begin_with_h(b"".join(self._pieces), self._interims):
            raise httpx.RemoteProtocolError("not HTTP behind an interim answer")
        self._pieces = []
        if not 200 <= status <= 599:
            raise httpx.RemoteProtocolError("status out of range")
        version = self._llhttp.get_http_version()
        if version not in ("1.1", "1.0"):
            raise httpx.RemoteProtocolError("not HTTP/1.x")
        fields = Fields.spelled_anyhow(self._headers)
        self.until_close, self._has_length, self.kept_for = _framing(self._method, status, version, fields)
        self.reusable = self._llhttp.should_keep_alive() and not self.until_close
        self._in_head = False
        self._events.append(Head(status, self._headers, fields))
        if self._method == "HEAD":  # llhttp cannot know that no body follows
            self._end()

    def on_body(self, body: bytes) -> None:
        if self._in_head:  # llhttp reads one behind an interim answer; there is none (RFC 9112, 6.3)
            raise httpx.RemoteProtocolError("a body behind an interim answer")
        if self._complete:
            self.reusable = False  # a body behind an answer to HEAD
            return
        self._framing_size = 0
        self._events.append(body)

    def on_message_complete(self) -> None:
        if not self._in_head and not self._complete:
            self._end()


def _all_begin_with_h(data: bytes, interims: int) -> bool:
    """Whether each message behind so many ``interims``, which have no bodies, begins as HTTP: llhttp takes RTSP too."""
    for _ in range(interims):
        data = _BLANK_LINE.split(data, maxsplit=1)[-1].lstrip(b"\r\n")
        if not data.startswith(b"H"):
            return False
    return True


def _framing(method: str, status: int, version: str, fields: Fields) -> tuple[bool, bool, int | None]:
    """Whether the connection's end ends this body, and whether its length does (RFC 9112, 6.3); and `kept_for`.

    llhttp has refused a length that is not one number, or beside a transfer coding. This refuses, in words that a
    lenient reader may read otherwise, a coding that is not exactly ``chunked``, and any in HTTP/1.0 (6.1).
    """
    kept_for: int | None = None
    for value in fields[b"keep-alive"]:
        if match := _TIMEOUT.search(value):
            kept_for = int(match[1])
    codings = fields[b"transfer-encoding"]
    if codings and (len(codings) > 1 or codings[0].strip(b" ").lower() != b"chunked" or version == "1.0"):
        raise httpx.RemoteProtocolError("unknown transfer coding")
    lengths = [int(value) for value in fields[b"content-length"]]
    if lengths and max(lengths) > _MAX_LENGTH:
        raise httpx.RemoteProtocolError("impossible length")
    if method == "HEAD" or status in (204, 304):
        return False, False, kept_for
    return not (codings or lengths), any(lengths), kept_for
