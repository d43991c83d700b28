"""The stub upstream: a TLS server that answers as `traffic` says, for as little CPU as Python can.

As a process: ``python -m benchmarks.upstream CERTIFICATE`` (a PEM file with the key, too) listens on a free port of
127.0.0.1 and prints that.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable

import httptools

from benchmarks import traffic
from benchmarks.channel import RECORD, Channel
from benchmarks.loops import run

_KEPT = 4096  # bytes of a body in which the model's name is looked for
_HELD = 256 * 1024  # bytes for a reader that is slow
_STREAM_ENDS_AFTER = 120.0  # seconds; whoever opened it has forgotten it
_ANSWER = traffic.answer()


class Connection:
    """One accepted connection, which serves one request after another."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._timer: asyncio.TimerHandle | None = None
        self._channel = Channel.server(accepted, context, self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._channel.close()

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
        self._channel.write(_ANSWER)

    def answer_slowly(self, milliseconds: int) -> None:
        self._timer = self._loop.call_later(milliseconds / 1000, self._channel.write, _ANSWER)

    def echo(self, _: int) -> None:
        lines = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in self._headers]
        self._channel.write(traffic.answer("\n".join(lines)))

    def stream(self, milliseconds: int) -> None:
        self._channel.write(traffic.STREAM_HEAD)
        every = milliseconds / 1000
        end = self._loop.time() + _STREAM_ENDS_AFTER

        def send(due: float) -> None:
            # A proxy that is paused before it has seen its clients leave takes nothing any more: what would wait for it
            # would slow down all that is measured after.
            taken = self._channel.write(traffic.event()) or self._channel.waiting < _HELD
            if due > end or not taken:
                self._channel.close()
            elif not self._channel.closed:
                self._timer = self._loop.call_at(due + every, send, due + every)

        send(self._loop.time())

    def send_bulk(self, left: int) -> None:
        piece = b"x" * RECORD

        def send() -> None:
            nonlocal left
            taken = True
            while left and taken and not self._channel.closed:
                taken = self._channel.write(piece[:left])
                left -= len(piece[:left])

        self._channel.on_drained = send
        self._channel.write(traffic.bulk_head(left))
        send()

    def cut(self, _: int) -> None:
        self._channel.write(_ANSWER[: len(_ANSWER) // 2])
        self._channel.close()

    def reset(self, _: int) -> None:
        self._channel.reset()

    def send_garbage(self, _: int) -> None:
        self._channel.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    def leave(self, _: int) -> None:
        self._channel.write(_ANSWER)
        self._channel.close()


_SCENES: dict[bytes, Callable[[Connection, int], None]] = {
    b"answer": Connection.answer,
    b"slow": Connection.answer_slowly,
    b"echo": Connection.echo,
    b"events": Connection.stream,
    b"download": Connection.send_bulk,
    b"cut": Connection.cut,
    b"reset": Connection.reset,
    b"garbage": Connection.send_garbage,
    b"leave": Connection.leave,
}


async def serve(certificate: str) -> None:
    """Listen, say where, and serve until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listening.setblocking(False)

    def accept() -> None:
        for _ in range(100):  # of those that wait, before others have their turn
            try:
                accepted, _address = listening.accept()
            except BlockingIOError:
                return
            Connection(accepted, context)

    loop.add_reader(listening, accept)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us has gone


if __name__ == "__main__":
    run(serve(sys.argv[1]))
