"""What one request to the imitation looked like on the wire, and how its answer went."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EXTENSION = "openrouter_attribution_proxy.wire"
"""Key of the ASGI scope's ``extensions`` under which the server hands over a `Wire`."""


@dataclass(frozen=True)
class Head:
    """A request's head as the bytes that arrived: no name is lower-cased, nothing is decoded or sorted."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)  # they hold keys

    def values(self, name: bytes) -> list[bytes]:
        """The values of every line with this name (compared without case), in the order of arrival."""
        wanted = name.lower()
        return [value for line, value in self.headers if line.lower() == wanted]


@dataclass
class Wire:
    """The server's side channel for one request: what ASGI does not carry.

    ``trailers`` grows while the body arrives. ``abort`` drops the connection without ending the answer.
    """

    head: Head
    trailers: list[tuple[bytes, bytes]] = field(repr=False)
    abort: Callable[[], None] = field(repr=False)


@dataclass
class Exchange:
    """One request and its answer.

    ``sent`` holds `time.perf_counter()` of each body piece, just before it was handed to the socket.
    ``finished`` is true once the answer ended as intended; ``left`` once the client hung up before that.
    """

    number: int
    wire: Wire
    body_size: int = 0
    body_complete: bool = False
    status: int | None = None
    generation_id: str | None = None
    sent: list[float] = field(default_factory=list)
    finished: bool = False
    left: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _body: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)
    _answer: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    @property
    def head(self) -> Head:
        """Method, target and header lines as they arrived."""
        return self.wire.head

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Header lines that came behind a chunked body."""
        return tuple(self.wire.trailers)

    @property
    def body_sha256(self) -> str:
        """SHA-256 (hex) of the body bytes that have arrived so far, after the transfer coding is removed."""
        return self._body.hexdigest()

    @property
    def answer_sha256(self) -> str:
        """SHA-256 (hex) of the answer's body bytes that have left so far, in their content coding."""
        return self._answer.hexdigest()

    def take(self, piece: bytes) -> None:
        """Count and hash one piece of the request body."""
        self.body_size += len(piece)
        self._body.update(piece)

    def give(self, piece: bytes) -> None:
        """Note when one piece of the answer's body leaves, and hash it."""
        self.sent.append(time.perf_counter())
        self._answer.update(piece)
