"""Outbound proxies, as doubles: scripts for an `Upstream` that stands for what a network puts on the way out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from tests.support.connection import Connection, End, GoneError, limit_buffers, reset_transport
from tests.support.http1 import message
from tests.support.pieces import cut
from tests.support.upstream import Script, UpstreamConnection

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
GRANTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
"""What a SOCKS 5 server says when it has connected (RFC 1928, section 6)."""

_HELD = 256 * 1024  # bytes, in each of a relay's four directions


@dataclass
class Asked:
    """What the doubles of a test were asked for, in order."""

    heads: list[bytes] = field(default_factory=list)
    """Of CONNECT, as they came."""
    targets: list[tuple[bytes, int]] = field(default_factory=list)
    """Host, as it was written, and port."""
    credentials: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Name and password that SOCKS has carried."""


Answer = Callable[[UpstreamConnection], Awaitable[None]]


def saying(*pieces: bytes) -> Answer:
    """Sends those pieces."""

    async def answer(connection: UpstreamConnection) -> None:
        await connection.send(*pieces)

    return answer


async def hang(connection: UpstreamConnection) -> None:
    """Says nothing until the other side has had enough."""
    await connection.ended()


async def reset(connection: UpstreamConnection) -> None:
    connection.reset()


async def leave(connection: UpstreamConnection) -> None:
    connection.close()


async def single_bytes(connection: UpstreamConnection) -> None:
    """Connects, and says so byte for byte."""
    await connection.send(*cut(ESTABLISHED))


def connect_proxy(asked: Asked, answer: Answer | None = None) -> Script:
    """A proxy that is asked by CONNECT. Once it has given ``answer`` it relays, if the connection is still open."""

    async def script(connection: UpstreamConnection) -> None:
        head = await connection.take_until(b"\r\n\r\n")
        asked.heads.append(head)
        method, target, version = head.split(b"\r\n")[0].split(b" ")
        assert (method, version) == (b"CONNECT", b"HTTP/1.1")
        host, _, port = target.rpartition(b":")
        asked.targets.append((host, int(port)))
        await _answer_and_relay(connection, int(port), answer, ESTABLISHED)

    return script


def socks5_proxy(
    asked: Asked,
    answer: Answer | None = None,
    *,
    method: Answer | None = None,
    authenticated: Answer | None = None,
    demands_password: bool = False,
) -> Script:
    """A SOCKS 5 server (RFC 1928, 1929). Each of its three answers can be another one."""

    async def script(connection: UpstreamConnection) -> None:
        version, count = await exactly(connection, 2)
        methods = await exactly(connection, count)
        assert version == 5
        await (method or saying(b"\x05\x02" if demands_password else b"\x05\x00"))(connection)
        if demands_password:
            assert 2 in methods
            _, length = await exactly(connection, 2)
            name = await exactly(connection, length)
            password = await exactly(connection, (await exactly(connection, 1))[0])
            asked.credentials.append((name, password))
            await (authenticated or saying(b"\x01\x00"))(connection)
        *_, kind = await exactly(connection, 4)
        length = {1: 4, 4: 16}.get(kind) or (await exactly(connection, 1))[0]
        host = await exactly(connection, length)
        port = int.from_bytes(await exactly(connection, 2), "big")
        asked.targets.append((host, port))
        await _answer_and_relay(connection, port, answer, GRANTED)

    return script


def socks4_proxy(asked: Asked) -> Script:
    """A SOCKS 4A server."""

    async def script(connection: UpstreamConnection) -> None:
        head = await exactly(connection, 8)
        assert (head[:2], head[4:]) == (b"\x04\x01", b"\x00\x00\x00\x01")
        user = (await connection.take_until(b"\0"))[:-1]
        asked.credentials.append((user, b""))
        port = int.from_bytes(head[2:4], "big")
        asked.targets.append(((await connection.take_until(b"\0"))[:-1], port))
        await _answer_and_relay(connection, port, None, b"\x00\x5a\x00\x00\x00\x00\x00\x00")

    return script


async def exactly(connection: Connection, count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        data = await connection.take(count - len(taken))
        if not data:
            raise GoneError(f"the end, {count - len(taken)} bytes too early")
        taken += data
    return taken


async def _answer_and_relay(connection: UpstreamConnection, port: int, answer: Answer | None, usual: bytes) -> None:
    if answer is not None:
        await answer(connection)
        if connection.transport.is_closing() or connection.end is not None:
            return
    try:  # before it says so, as proxies do
        _, far = await asyncio.get_running_loop().create_connection(_End, "127.0.0.1", port)
    except OSError:
        await connection.send(message("HTTP/1.1 502 Bad Gateway", "Content-Length: 0"))
        return
    try:
        if answer is None:
            await connection.send(usual)
        if not connection.transport.is_closing():  # it may have had enough by now
            await relay(connection, far)
    finally:
        far.transport.abort()


async def relay(connection: UpstreamConnection, far: "_End") -> None:
    """From now on carries every byte, pause and end to the ``far`` end and back, until both are closed."""
    near = _End(connection)
    near.connection_made(connection.transport)
    near.other, far.other = far, near
    for each in (near, far):
        limit_buffers(each.transport, _HELD)  # else the kernel would hold tens of megabytes on the way
    far.transport.write(bytes(connection.buffer))
    connection.buffer.clear()
    connection.transport.set_protocol(near)
    far.transport.resume_reading()
    if connection.end is not None:  # it came before anybody relayed
        near.ended()
    await near.closed.wait()
    await far.closed.wait()


class _End(asyncio.Protocol):
    """One end of a relayed connection. What happens here is done to the other one."""

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection
        self.other = self  # until there is another one
        self.transport: asyncio.Transport
        self.closed = asyncio.Event()
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.connection is None:
            self.transport.pause_reading()  # until there is another end

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.closed.is_set():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        if self.connection is not None:
            self.connection._ended(End.FIN)
        self.ended()
        return True

    def ended(self) -> None:
        self.has_ended = True
        if self.other.has_ended:  # both halves of both
            self.transport.close()
            self.other.transport.close()
        elif not self.other.transport.is_closing():
            self.other.transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        if self.connection is not None:
            self.connection.connection_lost(exc)
        if self.other.closed.is_set():
            return
        if exc is not None:
            reset_transport(self.other.transport)
        else:
            self.other.transport.close()
