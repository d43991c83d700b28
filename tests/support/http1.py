"""HTTP/1.1 messages, read strictly off a `Connection`: a fault of the sender fails the test, it is never repaired."""

import asyncio
import enum
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.connection import Connection, End, GoneError

HeaderList = list[tuple[bytes, bytes]]

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([^\x00-\x08\x0a-\x1f\x7f]*)")


class FramingError(AssertionError):
    """What arrived is not an HTTP/1.1 message."""


class Ending(enum.StrEnum):
    """How far a message has got."""

    ARRIVING = enum.auto()
    COMPLETE = enum.auto()
    CUT = enum.auto()


class Framing(enum.StrEnum):
    """What tells where the body ends."""

    NONE = enum.auto()
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


def message(*lines: str | bytes, body: bytes = b"") -> bytes:
    """The bytes of a message: start line and header lines (text is Latin-1), a blank line, the body as it is.

    >>> message("GET / HTTP/1.1", "Host: localhost")
    b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'
    """
    head = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*head, b"", body])


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


CARRIER = "X-Carried"
"""A header that the kit's own requests carry (client.py), and that `read_request` takes off again, once it is there."""

LAST_CHUNK = b"0\r\n\r\n"


def chunked(*pieces: bytes) -> bytes:
    """A whole chunked body."""
    return b"".join(map(chunk, pieces)) + LAST_CHUNK


@dataclass
class Message:
    """A message that is arriving: the head is there, the body grows as it is read."""

    connection: Connection = field(repr=False)
    head: bytes
    """Start line and header lines with the blank line, exactly as they came."""
    headers: HeaderList
    """In order, names as they came."""
    framing: Framing
    length: int = 0
    """Bytes of the body that have arrived."""
    body: bytearray = field(default_factory=bytearray)
    trailers: HeaderList = field(default_factory=list)
    ending: Ending = Ending.ARRIVING
    _pieces: AsyncIterator[bytes] | None = field(default=None, repr=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def values(self, name: str) -> list[bytes]:
        """The values of every line of that name, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    @property
    def fields(self) -> HeaderList:
        """The headers with lower-case names, for comparisons: uvicorn changes their case, which means nothing."""
        return [(name.lower(), value) for name, value in self.headers]

    async def read(self, until: bytes | None = None, *, keep: bool = True) -> bytes:
        """Reads the body until it contains `until`, else to its end (see `ending`); returns what has come so far.

        Without `keep` it is only counted, in `length`.
        """
        self._pieces = self._pieces or self._body()
        while until is None or until not in self.body:
            # A script and the test may both wait for the same body: whoever comes second looks at what the first got.
            async with self._reading:
                if until is not None and until in self.body:
                    break
                piece = await anext(self._pieces, None)
                if piece is None:
                    assert until is None, f"{self.ending} without {until!r}; there is: {bytes(self.body)!r}"
                    break
                self.length += len(piece)
                if keep:
                    self.body += piece
        return bytes(self.body)

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            match self.framing:
                case Framing.LENGTH:
                    async for piece in self._exactly(int(self.values("content-length")[0])):
                        yield piece
                case Framing.CHUNKED:
                    async for piece in self._chunks():
                        yield piece
                case Framing.CLOSE:
                    while piece := await self.connection.take():
                        yield piece
                    if self.connection.end is End.RESET:
                        raise GoneError("reset")
        except GoneError:
            self.ending = Ending.CUT
        else:
            self.ending = Ending.COMPLETE

    async def _exactly(self, count: int) -> AsyncIterator[bytes]:
        while count:
            piece = await self.connection.take(count)
            if not piece:
                raise GoneError(f"{count} bytes before the end")
            count -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = await self.connection.take_until(b"\r\n")
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}\r\n", size):
                raise FramingError(f"chunk size {size!r}")
            if not int(size, 16):
                break
            async for piece in self._exactly(int(size, 16)):
                yield piece
            if (terminator := await self._two_bytes()) != b"\r\n":
                raise FramingError(f"chunk terminator {terminator!r}")
        lines = b""
        while not lines.endswith(b"\r\n\r\n") and lines != b"\r\n":
            lines += await self.connection.take_until(b"\r\n")
        self.trailers = _fields(lines.removesuffix(b"\r\n"))

    async def _two_bytes(self) -> bytes:
        return b"".join([piece async for piece in self._exactly(2)])


@dataclass
class Request(Message):
    method: bytes = b""
    target: bytes = b""
    """Exactly as it came."""
    version: bytes = b""


@dataclass
class Response(Message):
    status: int = 0
    reason: bytes = b""
    version: bytes = b""
    interim: list["Response"] = field(default_factory=list)
    """The 1xx responses that came before it."""

    @property
    def json(self) -> object:
        return json.loads(self.body)


async def read_request(connection: Connection) -> Request | None:
    """The next request's head; None if the other side closed the connection instead of sending one."""
    try:
        head = await connection.take_until(b"\r\n\r\n")
    except GoneError:
        if connection.buffer or connection.end is End.RESET:
            raise
        return None
    start, headers = _parse(head)
    headers = [(name, value) for name, value in headers if name.lower() != CARRIER.lower().encode()]
    if not (line := _REQUEST_LINE.fullmatch(start)):
        raise FramingError(f"request line {start!r}")
    framing = _framing(headers) or Framing.NONE
    method, target, version = line[1], line[2], b"1." + line[3]
    return Request(connection, head, headers, framing, method=method, target=target, version=version)


async def read_response(connection: Connection, method: bytes = b"GET") -> Response:
    """The head of the response to a request of that method, and of all 1xx responses before it."""
    interim: list[Response] = []
    while True:
        head = await connection.take_until(b"\r\n\r\n")
        start, headers = _parse(head)
        if not (line := _STATUS_LINE.fullmatch(start)):
            raise FramingError(f"status line {start!r}")
        version, status, reason = b"1." + line[1], int(line[2]), line[3]
        bodiless = method == b"HEAD" or status < 200 or status in (204, 304)
        framing = Framing.NONE if bodiless else _framing(headers) or Framing.CLOSE
        response = Response(
            connection, head, headers, framing, status=status, reason=reason, version=version, interim=interim
        )
        if status >= 200 or status == 101:
            return response
        interim.append(response)


def _parse(head: bytes) -> tuple[bytes, HeaderList]:
    start, _, lines = head.removesuffix(b"\r\n").partition(b"\r\n")
    return start, _fields(lines)


def _fields(lines: bytes) -> HeaderList:
    """Header lines, each ending in CRLF."""
    fields: HeaderList = []
    for line in lines.split(b"\r\n")[:-1]:
        if not (match := _FIELD.fullmatch(line)):
            raise FramingError(f"header line {line!r}")
        fields.append((match[1], match[2]))
    return fields


def _framing(headers: HeaderList) -> Framing | None:
    """What the headers say about the body's length (RFC 9112, section 6.3), in the only ways without a doubt."""
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if len(codings) + len(lengths) > 1:
        raise FramingError(f"framed twice: {headers!r}")
    if codings:
        if codings != [b"chunked"]:
            raise FramingError(f"transfer coding {codings!r}")
        return Framing.CHUNKED
    if lengths:
        if not re.fullmatch(rb"[0-9]+", lengths[0]):
            raise FramingError(f"length {lengths!r}")
        return Framing.LENGTH
    return None
