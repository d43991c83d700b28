"""A distance in user space: relays TCP connections so that each round trip takes as long as it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast


class Relay:
    """Takes what comes to ``port`` to another port of this machine, ``round_trip`` seconds away.

    For short messages: it holds whatever is under way, without back-pressure.
    """

    port = 0

    def __init__(self, to_port: int, round_trip: float) -> None:
        self.to_port = to_port
        self.round_trip = round_trip
        self.connecting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Relay"]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Near(self), "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self.connecting:
                task.cancel()


class _End(asyncio.Protocol):
    """One end of a relayed connection: what it hears, the other one says half a round trip later."""

    transport: asyncio.Transport
    other: "_End"

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self._not_before = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._later(lambda: self.other.transport.write(data))

    def connection_lost(self, error: Exception | None) -> None:
        self._later(lambda: self.other.transport.close())

    def _later(self, act: Callable[[], None]) -> None:
        self._not_before = max(self._not_before, self._loop.time() + self._relay.round_trip / 2)
        self._loop.call_at(self._not_before, act)


class _Near(_End):
    """The end of the one who connected. The kernel accepts at once: the handshake's round trip is added here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()  # until there is another end
        self._not_before = self._loop.time() + 1.5 * self._relay.round_trip
        task = self._loop.create_task(self._connect())
        self._relay.connecting.add(task)
        task.add_done_callback(self._relay.connecting.discard)

    async def _connect(self) -> None:
        self.other = _End(self._relay)
        self.other.other = self
        try:
            await self._loop.create_connection(lambda: self.other, "127.0.0.1", self._relay.to_port)
        except OSError:
            self.transport.close()
        else:
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if hasattr(self.other, "transport"):  # else the other end was never reached
            super().connection_lost(error)
