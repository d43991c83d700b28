"""The real protocol, application and forwarder in memory: no socket, no network, thousands of exchanges a second."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import uvicorn

from proxy.app import create_app
from proxy.lifecycle import Lifecycle
from proxy.resource_limits import capacity
from proxy.server.connection import Connection
from proxy.server.connections import Connections
from proxy.settings.model import Settings
from tests.support.proxies import IDENTITY, STAMP

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) [^\r\n]*\r\n")  # no 1xx, and no body here has such a line
_TURNS = 1000  # of the event loop: more than any exchange here needs
_STILL = 25  # turns: more than any step of one needs


@dataclass
class Seen:
    """A request as the upstream got it."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False


class Recorder(httpx.AsyncBaseTransport):
    """Answers every request with 200 once it has read all of it, and keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target: bytes = request.extensions["target"]
        seen = Seen(request.method.encode(), target, list(request.headers.raw))
        self.seen.append(seen)
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        async for piece in stream:
            seen.body += piece
        seen.complete = True
        return httpx.Response(200, headers=[(b"Content-Length", b"2")], stream=httpx.ByteStream(b"ok"))


class Wire(asyncio.Transport):
    """What the protocol writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.ended = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written behind the end"
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = self.aborted = True

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0


@dataclass
class Exchange:
    """What became of the bytes of one connection."""

    seen: list[Seen]
    """The requests that reached the upstream."""
    statuses: list[int]
    """The answers that the client got."""
    closed: bool
    """Whether the proxy has ended the connection."""
    written: bytes = field(repr=False)

    @property
    def outcome(self) -> tuple[object, ...]:
        """For comparing two ways to send the same bytes."""
        requests = [(each.method, each.target, each.headers, each.body, each.complete) for each in self.seen]
        return requests, self.statuses, self.closed


@dataclass
class MemoryProxy:
    """The proxy; each `send` is a connection of its own."""

    config: uvicorn.Config
    recorder: Recorder

    async def send(self, pieces: Iterable[bytes]) -> Exchange:
        """What the proxy does with these bytes, which arrive in these pieces, when it has done all that it can."""
        first = len(self.recorder.seen)
        state = Connections(capacity(None), None, Lifecycle())
        wire = Wire()
        protocol = Connection(self.config, state, {})
        protocol.connection_made(wire)
        for piece in pieces:
            await self._until(lambda: not wire.paused or wire.ended)
            if wire.ended:
                break  # what is still sent is thrown away
            protocol.data_received(piece)
        await self._rest(wire)
        statuses = [int(match[1]) for match in _STATUS.finditer(wire.written)]
        exchange = Exchange(self.recorder.seen[first:], statuses, wire.ended, wire.written)
        protocol.connection_lost(None)
        await self._until(lambda: not state.requests)
        return exchange

    async def _rest(self, wire: Wire) -> None:
        """Nothing here waits for time or for the outside: where nothing moves any more, it is the client's turn."""
        moved: object = None
        still = 0
        while still < _STILL:
            before = moved
            moved = (len(self.recorder.seen), sum(len(each.body) for each in self.recorder.seen[-2:]), wire.written)
            still = still + 1 if moved == before else 0
            await asyncio.sleep(0)

    async def _until(self, done: Callable[[], bool]) -> None:
        for _ in range(_TURNS):
            if done():
                return
            await asyncio.sleep(0)
        raise AssertionError("the proxy does not come to rest")


@asynccontextmanager
async def in_memory(**settings: Any) -> AsyncIterator[MemoryProxy]:
    """`settings` are the fields of `Settings`, beside IDENTITY."""
    recorder = Recorder()
    app = create_app(Settings(**{**IDENTITY, **settings}), recorder)
    config = uvicorn.Config(app, http=Connection, ws="none", interface="asgi3", lifespan="off", log_config=None)
    config.load()
    yield MemoryProxy(config, recorder)


def assert_stamped(seen: Seen) -> None:
    """Exactly one of each configured attribution header, and nothing else that a lenient reader could take for one."""
    names = {name.lower() for name, _ in STAMP}
    found = [(name, value) for name, value in seen.headers if name.lower().replace(b"_", b"-") in names]
    assert found == STAMP
