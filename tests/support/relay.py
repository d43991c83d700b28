"""A bad network in user space: relays TCP connections with delays, little bandwidth, small pieces, and cuts."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

_UNDER_WAY = 16  # pieces, of 64 KiB at most, that are held in each direction: then the sender feels it


@dataclass(frozen=True)
class Line:
    """What one relayed connection is like."""

    latency: float = 0.0
    """Seconds that each byte takes, in either direction."""
    handshake: float = 0.0
    """Seconds before a connection carries anything: the kernel accepts at once what is far away."""
    bandwidth: float = float("inf")
    """Bytes for each second, in either direction."""
    piece: int = 65536
    """Bytes that arrive together, at most."""
    single_bytes: int = 0
    """How many bytes, the first ones in either direction, arrive each by itself."""
    reset_after: int | None = None
    """Bytes back to the client after which both ends get a RST."""
    close_after: int | None = None
    """Bytes back to the client after which both ends get a FIN."""

    @property
    def lasts_for(self) -> int | None:
        """Bytes back to the client that get through."""
        return self.reset_after if self.reset_after is not None else self.close_after


GOOD = Line()


class Relay:
    """Listens on a free loopback port, and takes what comes to `to_port` of this machine and back.

    `line_of` says what the n-th connection is like. It can be replaced at any time, for later connections.
    """

    def __init__(self, to_port: int, line_of: Callable[[int], Line] = lambda n: GOOD) -> None:
        self.to_port = to_port
        self.line_of = line_of
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server
        self._relayed: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.drop()

    async def drop(self) -> None:
        """Resets all that are relayed now."""
        for task in self._relayed:
            task.cancel()
        await asyncio.gather(*self._relayed, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relayed.add(task)
        task.add_done_callback(self._relayed.discard)
        line = self.line_of(self.connections)
        self.connections += 1
        ends = [(reader, writer)]
        resets = True
        try:
            ends.append(await asyncio.open_connection("127.0.0.1", self.to_port))
            resets = await _relay(line, *ends)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for _, each in ends:
                if resets:
                    _reset(each)
                else:
                    each.close()


_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_UnderWay: TypeAlias = asyncio.Queue[tuple[float, bytes]]


class _Cut(Exception):
    """As many bytes have come through as are to come."""


async def _relay(line: Line, near: _Streams, far: _Streams) -> bool:
    """Both directions, until both have ended, or one was cut; whether both ends are to be reset then."""
    resets = False
    await asyncio.sleep(line.handshake)
    try:
        async with asyncio.TaskGroup() as group:
            for reader, writer, lasts_for in ((near[0], far[1], None), (far[0], near[1], line.lasts_for)):
                under_way: _UnderWay = asyncio.Queue(_UNDER_WAY)
                group.create_task(_receive(reader, under_way, line))
                group.create_task(_deliver(under_way, writer, line, lasts_for))
    except* _Cut:
        resets = line.reset_after is not None
    except* OSError:
        resets = True
    return resets


async def _receive(reader: asyncio.StreamReader, under_way: _UnderWay, line: Line) -> None:
    loop = asyncio.get_running_loop()
    data = b"begin"
    while data:
        data = await reader.read(65536)
        await under_way.put((loop.time() + line.latency, data))


async def _deliver(under_way: _UnderWay, writer: asyncio.StreamWriter, line: Line, lasts_for: int | None) -> None:
    loop = asyncio.get_running_loop()
    single_bytes = line.single_bytes
    while lasts_for != 0:
        due, data = await under_way.get()
        await asyncio.sleep(due - loop.time())
        if not data:
            writer.write_eof()
            return
        if lasts_for is not None:
            data = data[:lasts_for]
            lasts_for -= len(data)
        while data:
            size = 1 if single_bytes > 0 else line.piece
            single_bytes -= 1
            piece, data = data[:size], data[size:]
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(len(piece) / line.bandwidth)
    raise _Cut


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
