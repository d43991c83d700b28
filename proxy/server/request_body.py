"""Request bodies as they come off the wire: which bytes are the body, and where it ends.

Pure: bytes in, bytes out. llhttp would do it too, but does not say where a message ends, knows no limit for chunk
extensions and trailers, and takes a request that asks for an upgrade to have no body.
"""

import enum
import re
from typing import Protocol

from proxy.errors import Malformed

_MAX_LINE = 4 * 1024  # bytes of a chunk's size line, extensions included
_MAX_TRAILERS = 16 * 1024  # bytes

# RFC 9112, 7.1.1, without its "bad" blanks: smugglers use them, and no client is known that needs them.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE_LINE = re.compile(rb"(?P<size>[0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|%b))?)*" % (_TOKEN, _TOKEN, _QUOTED))
_TRAILER = re.compile(rb"%b:[\t \x21-\x7e\x80-\xff]*" % _TOKEN)
# The beginning of each, as far as it can be told.
_SIZE_LINE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{0,16}(?:;[\t \x21-\x7e\x80-\xff]*)?\r?")
_TRAILER_SO_FAR = re.compile(rb"[\t \x21-\x7e\x80-\xff]*\r?")


class Body(Protocol):
    """What is still to come of one request's body."""

    complete: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Which bytes of ``data`` are the body's, and what is behind its end. Raises `Malformed`."""
        ...


class Sized:
    """A body of ``length`` bytes, more than none."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        body = data[: self._left]
        self._left -= len(body)
        self.complete = not self._left
        return body, data[len(body) :]


class _Part(enum.Enum):
    """What comes next in a chunked body."""

    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILER = enum.auto()


class Chunked:
    """A body in chunks (RFC 9112, 7.1). Extensions are ignored and trailers dropped, both only up to a limit."""

    def __init__(self) -> None:
        self._part = _Part.SIZE
        self._left = 0  # bytes of the present chunk
        self._line = b""  # the beginning of a line that is not complete
        self._trailers = 0  # bytes
        self.complete = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        data = self._line + data
        self._line = b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.complete:
            if self._part is _Part.DATA:
                pieces.append(data[at : at + self._left])
                at += len(pieces[-1])
                self._left -= len(pieces[-1])
                if not self._left:
                    self._part = _Part.DATA_END
            else:
                end = data.find(b"\r\n", at, at + _MAX_LINE)
                if end < 0:
                    self._line = self._checked(data[at:])
                    at = len(data)
                else:
                    self._take_line(data[at:end])
                    at = end + 2
        return b"".join(pieces), data[at:]

    def _checked(self, line: bytes) -> bytes:
        """An incomplete line, refused at once if it can never become a good one."""
        match self._part:
            case _Part.SIZE:
                sound = _SIZE_LINE_SO_FAR.fullmatch(line) is not None
            case _Part.DATA_END:
                sound = line == b"\r"
            case _:
                sound = _TRAILER_SO_FAR.fullmatch(line) is not None
        if not sound or len(line) >= _MAX_LINE:
            raise Malformed
        return line

    def _take_line(self, line: bytes) -> None:
        match self._part:
            case _Part.SIZE:
                size = _SIZE_LINE.fullmatch(line)
                if size is None:
                    raise Malformed
                self._left = int(size["size"], 16)
                self._part = _Part.DATA if self._left else _Part.TRAILER
            case _Part.DATA_END:
                if line:
                    raise Malformed
                self._part = _Part.SIZE
            case _:
                self._trailers += len(line) + 2
                if self._trailers > _MAX_TRAILERS or (line and not _TRAILER.fullmatch(line)):
                    raise Malformed
                self.complete = not line
