"""The stub upstream: a TLS server that answers as `traffic` says, for as little CPU as Python can.

As a process: ``python -m benchmarks.upstream CERTIFICATE`` (a PEM file with the key, too) listens on a free port of
127.0.0.1 and prints that.
"""

import asyncio
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import httptools

from benchmarks import traffic
from benchmarks.loops import run
from proxy.upstream.tls import TlsTransport, shake_hands

_RECORD = 16 * 1024  # bytes of plaintext in a TLS record at most (RFC 8446, 5.1)
_NO_LINGER = struct.pack("ii", 1, 0)

_KEPT = 4096  # bytes of a body in which the model's name is looked for
_HELD = 256 * 1024  # bytes for a reader that is slow
_STREAM_ENDS_AFTER = 120.0  # seconds; whoever opened it has forgotten it
_ANSWER = traffic.answer()
_HEADED = traffic.answer(headed=True)


class Connection(asyncio.Protocol):
    """One accepted connection, which serves one request after another."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._timer: asyncio.TimerHandle | None = None
        self._left_to_send: Callable[[], None] = lambda: None
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._waits = True

    def resume_writing(self) -> None:
        self._waits = False
        self._left_to_send()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        if len(self._body) < _KEPT:
            self._body += data

    def on_message_complete(self) -> None:
        named = traffic.MODEL.search(self._body)
        serve = _SCENES.get(named[1], Connection.answer) if named else Connection.answer
        serve(self, int(named[2] or 0) if named else 0)

    def answer(self, _: int) -> None:
        self._transport.write(_ANSWER)

    def answer_headed(self, _: int) -> None:
        self._transport.write(_HEADED)

    def answer_slowly(self, milliseconds: int) -> None:
        self._timer = self._loop.call_later(milliseconds / 1000, self._transport.write, _ANSWER)

    def echo(self, _: int) -> None:
        lines = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in self._headers]
        self._transport.write(traffic.answer("\n".join(lines)))

    def stream(self, milliseconds: int) -> None:
        self._transport.write(traffic.STREAM_HEAD)
        every = milliseconds / 1000
        end = self._loop.time() + _STREAM_ENDS_AFTER

        def send(due: float) -> None:
            # A proxy that is paused before it has seen its clients leave takes nothing any more: what would wait for it
            # would slow down all that is measured after.
            self._transport.write(traffic.event())
            if due > end or self._transport.get_write_buffer_size() > _HELD:
                self._transport.abort()
            elif not self._transport.is_closing():
                self._timer = self._loop.call_at(due + every, send, due + every)

        send(self._loop.time())

    def send_bulk(self, left: int) -> None:
        piece = b"x" * _RECORD

        def send() -> None:
            nonlocal left
            while left and not self._waits and not self._transport.is_closing():
                self._transport.write(piece[:left])
                left -= len(piece[:left])

        self._left_to_send = send
        self._transport.write(traffic.bulk_head(left))
        send()

    def cut(self, _: int) -> None:
        self._transport.write(_ANSWER[: len(_ANSWER) // 2])
        self._transport.abort()

    def reset(self, _: int) -> None:
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def send_garbage(self, _: int) -> None:
        self._transport.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    def leave(self, _: int) -> None:
        self._transport.write(_ANSWER)
        self._transport.close()


_SCENES: dict[bytes, Callable[[Connection, int], None]] = {
    b"answer": Connection.answer,
    b"headed": Connection.answer_headed,
    b"slow": Connection.answer_slowly,
    b"echo": Connection.echo,
    b"events": Connection.stream,
    b"download": Connection.send_bulk,
    b"cut": Connection.cut,
    b"reset": Connection.reset,
    b"garbage": Connection.send_garbage,
    b"leave": Connection.leave,
}


async def _welcome(accepted: socket.socket, context: ssl.SSLContext) -> None:
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError):  # who does not come through the handshake is not served
        TlsTransport(await shake_hands(accepted, context, None, server_side=True), Connection())


async def serve(certificate: str) -> None:
    """Listen, say where, and serve until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listening.setblocking(False)
    arriving: set[asyncio.Task[None]] = set()

    def accept() -> None:
        for _ in range(100):  # of those that wait, before others have their turn
            try:
                accepted, _address = listening.accept()
            except BlockingIOError:
                return
            task = loop.create_task(_welcome(accepted, context))
            arriving.add(task)
            task.add_done_callback(arriving.discard)

    loop.add_reader(listening, accept)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us has gone


if __name__ == "__main__":
    run(serve(sys.argv[1]))
