"""The load generator: clients as cheap as callbacks can be, in one loop.

A client of a proxy speaks plain HTTP, as tools on the same machine do; one that goes to the upstream directly speaks
TLS.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from benchmarks import traffic
from proxy.upstream.direct import Direct
from proxy.upstream.tls import TlsTransport, shake_hands

_AN_ANSWER_WITHIN = 10.0  # seconds
_STAMP_LENGTH = 21  # bytes: what SENT_AT matches


class Failed(Exception):
    """A proxy did not do what a measurement needs; the text says what it did."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: to a proxy, or with ``tls`` to the upstream itself."""

    port: int
    tls: ssl.SSLContext | None = None
    path: str = "/api/v1/chat/completions"

    def request(self, model: str) -> bytes:
        """A chat request, head and body."""
        return traffic.request(model, self.path)


class Wire(Protocol):
    """What a client needs of a transport."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Client(asyncio.Protocol):
    """One connection. What it hears is told to ``on_answer`` (a whole answer), ``on_piece`` (bytes) and ``on_lost``."""

    wire: Wire

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.lost = False
        self.on_answer: Callable[[Client], None] = lambda client: None
        self.on_piece: Callable[[bytes], None] | None = None
        self.on_lost: Callable[[Client], None] = lambda client: None

    @classmethod
    async def open(cls, target: Target) -> "Client":
        client = cls()
        if target.tls is not None:
            plain = await Direct("127.0.0.1", target.port).connect()
            client.wire = TlsTransport(await shake_hands(plain, target.tls, "localhost"), client)
        else:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: client, "127.0.0.1", target.port)
            client.wire = cast(Wire, transport)
        return client

    @property
    def status(self) -> int:
        return self._parser.get_status_code()

    def close(self) -> None:
        self.wire.close()

    async def ask(self, request: Iterable[bytes], limit: float) -> int:
        """Send a request piece by piece, and wait for its whole answer; its status. Raises `Failed`."""
        answered = asyncio.Event()
        self.on_answer = self.on_lost = lambda client: answered.set()
        try:
            async with asyncio.timeout(limit):
                for piece in request:
                    self.wire.write(piece)
                    await self._flowing.wait()
                await answered.wait()
        except TimeoutError as error:
            raise Failed(f"no answer within {limit:.0f} s") from error
        if self.lost:
            raise Failed("it closed the connection before its answer was complete")
        return self.status

    def data_received(self, data: bytes) -> None:
        if self.on_piece is not None:
            self.on_piece(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_complete(self) -> None:
        self.on_answer(self)

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._flowing.set()
        self.on_lost(self)


@asynccontextmanager
async def clients(target: Target, count: int) -> AsyncIterator[list[Client]]:
    """So many open connections."""
    opened: list[Client] = []
    try:
        while len(opened) < count:
            opened.append(await Client.open(target))
        yield opened
    finally:
        for client in opened:
            client.close()


@dataclass(slots=True)
class Load:
    """What clients did in some seconds."""

    answers: int = 0
    failures: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds


class ClosedLoop:
    """So many connections, each of which asks again as soon as it has its answer."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._load = Load()
        self._asked_at: dict[Client, float] = {}  # of those that wait for an answer
        self._asking = True
        self._quiet = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, target: Target, model: str, connections: int) -> AsyncIterator["ClosedLoop"]:
        """Asks until the end of the block, and then waits for the last answers: what is measured next through the
        same proxy finds its connections to the upstream as they are when nobody leaves.
        """
        loop = cls(target.request(model))
        async with clients(target, connections) as opened:
            for client in opened:
                client.on_answer, client.on_lost = loop._answered, loop._lost
                loop._ask(client)
            try:
                yield loop
            finally:
                loop._asking = False
                if loop._asked_at:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_AN_ANSWER_WITHIN):
                            await loop._quiet.wait()

    async def run(self, seconds: float) -> Load:
        """What is answered in so many seconds, and on until there is an answer at all.

        Raises `Failed` if more than one answer in a hundred is none.
        """
        load = self._load = Load()
        begin = time.perf_counter()
        await asyncio.sleep(seconds)
        while not load.latencies and time.perf_counter() - begin < _AN_ANSWER_WITHIN:
            await asyncio.sleep(0.01)
        load.seconds = time.perf_counter() - begin
        load.answers = len(load.latencies)
        self._load = Load()
        if not load.answers or load.failures > load.answers / 100:
            raise Failed(f"{load.failures} failures beside {load.answers} answers")
        return load

    def _ask(self, client: Client) -> None:
        self._asked_at[client] = time.perf_counter()
        client.wire.write(self._request)

    def _answered(self, client: Client) -> None:
        self._load.latencies.append(time.perf_counter() - self._asked_at.pop(client))
        if client.status != 200:
            self._load.failures += 1
        if self._asking:
            self._ask(client)
        elif not self._asked_at:
            self._quiet.set()

    def _lost(self, client: Client) -> None:
        self._load.failures += 1
        self._asked_at.pop(client, None)
        if not self._asked_at:
            self._quiet.set()


class EventReader:
    """Finds the events in a stream, however it is cut into pieces, and how long each was under way."""

    def __init__(self, delays: list[float]) -> None:
        self._rest = b""
        self.delays = delays  # seconds; may be shared by the readers of several streams

    def __call__(self, piece: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + piece
        self._rest = data[1 - _STAMP_LENGTH :]
        for sent_at in traffic.SENT_AT.findall(data):
            self.delays.append((now - int(sent_at)) / 1e9)
