"""The log cannot be written: the traffic does not notice, and the log says what it has lost."""

import asyncio
import fcntl
import io
import json
import logging
import os
import re
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.middleware.record import RecordMiddleware
from proxy.observe.access_log import AccessLog
from proxy.observe.formatters import set_up_logging, silence
from proxy.observe.handler import PatientHandler, handler_for, together
from proxy.observe.record import Record, UnderWay
from proxy.observe.redaction import Redaction
from tests.support.aftermath import Base, sound
from tests.support.client import Client, get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.ports import once_it_listens, reserved
from tests.support.proxies import ProxyProcess, spawned
from tests.support.upstream import UpstreamConnection

UNKNOWN = get(target="/nowhere/" + "x" * 3000)  # a cheap request with the longest line, which has 256 bytes of it
LINE = 500  # bytes of it, at least
LINES_IN_PIPES = 500_000 // LINE  # more than the pipe and its reader hold


async def fill(client: Client, count: int) -> None:
    for _ in range(count):
        assert (await client.ask(UNKNOWN)).status == 404


def lost(proxy: ProxyProcess) -> int:
    return sum(map(int, re.findall(r'"(\d+) log lines were lost', proxy.stdout)))


async def test_nobody_reads_for_a_while(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """A full pipe holds up neither new requests nor open streams; when it is read again, no line is missing."""
    go = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), chunk(b"one"))
        await go.wait()
        await connection.send(chunk(b"two") + LAST_CHUNK)
        await sound(connection)

    proxy = await proxy_process(await upstream(script))
    base = Base(proxy)
    client, streaming = await connect(proxy), await connect(proxy)
    await streaming.send(post())
    response = await streaming.response()
    await response.read(until=b"one")
    proxy.stop_reading()
    await fill(client, LINES_IN_PIPES)
    assert len(proxy.access_log) < LINES_IN_PIPES / 2, "the pipe is not full yet"
    go.set()
    assert await response.read() == b"onetwo"
    assert response.ending is Ending.COMPLETE
    proxy.read_on()
    await proxy.access_line(LINES_IN_PIPES)
    assert lost(proxy) == 0
    await streaming.aclose()
    await client.aclose()
    await base.check(connect, lines=LINES_IN_PIPES + 2)


async def test_nobody_reads_for_long(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """What does not fit into the memory kept for it is counted, and memory stays flat."""
    proxy = await proxy_process(await upstream(sound))
    client = await connect(proxy)
    await fill(client, 10)
    size = proxy.rss()
    proxy.stop_reading()
    count = 1_800_000 // LINE
    await fill(client, count)
    assert proxy.rss(peak=True) - size < 4 << 20
    proxy.read_on()
    await proxy.until(lambda: lost(proxy), "the count of lost lines")
    assert (await client.ask(post())).status == 200
    await proxy.until(lambda: "/chat/completions" in proxy.stdout, "the next line")
    assert len(proxy.access_log) + lost(proxy) == count + 11
    assert "Traceback" not in proxy.stdout + proxy.stderr


async def test_the_reader_is_gone(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """A closed pipe (`openrouter-proxy | head -1`) ends nothing: requests are served, and the stop is in order."""
    proxy = await proxy_process(await upstream(sound))
    base = Base(proxy)
    client = await connect(proxy)
    assert (await client.ask(post())).status == 200
    proxy.close_output()
    for _ in range(20):
        assert (await client.ask(post())).status == 200
    await client.aclose()
    assert proxy.descriptors() <= base.descriptors + 2  # one to the upstream, and this client's, which is just closing
    proxy.process.terminate()
    assert await proxy.exit_code() == 0
    assert proxy.stderr == ""


STREAMS = {
    "a full disk": 'exec "$@" >/dev/full',
    "closed": 'exec "$@" >&-',
    "all closed": 'exec "$@" <&- >&- 2>&-',
}


@pytest.mark.integration
@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("stream", STREAMS)
async def test_standard_streams_that_are_none(
    footprint: Footprint, tmp_path: Path, stream: str, log_format: str
) -> None:
    """A stdout that is closed, or a full disk, from the start: it serves, and stops in order."""
    with reserved() as address:
        settings = {"listen": str(address), "log_format": log_format, "upstream_url": "http://127.0.0.1:9"}
        async with spawned(cwd=tmp_path, prefix=["sh", "-c", STREAMS[stream], "sh"], **settings) as child:
            client = await once_it_listens(address)
            for _ in range(3):
                assert (await client.ask(post())).status == 502
            await client.aclose()
            child.signal(signal.SIGTERM)
            assert await child.exit_code() == 0
    assert "Traceback" not in child.stderr


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The reading and the writing end of a pipe of one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        yield reader, writer


def log_to(handler: logging.Handler) -> logging.Logger:
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.Logger("test")  # noqa: LOG001 - of this test alone
    log.addHandler(handler)
    return log


async def test_lines_wait_in_order(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """Lines that did not fit come in their order, whole, without a further line to push them."""
    reader, writer = pipe
    log = log_to(PatientHandler(writer.fileno()))
    lines = [b"%d " % n + b"x" * (n * 10) for n in range(60)]
    for line in lines:
        log.warning(line.decode())
    arrived = b""
    async with asyncio.timeout(30):
        while not arrived.endswith(lines[-1] + b"\n"):
            arrived += reader.read(65536) or b""
            await asyncio.sleep(0.005)  # the handler tries again after some time
    assert arrived.splitlines() == lines


def test_lines_beyond_the_bound_are_counted(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """What is lost is counted once, behind the last line that was not."""
    reader, writer = pipe
    handler = PatientHandler(writer.fileno())
    log = log_to(handler)
    for n in range(3000):
        log.warning("%04d %s", n, "x" * 1000)
    arrived = b""
    while piece := reader.read(65536):
        arrived += piece
        handler.flush()
    *lines, count = arrived.decode().splitlines()
    assert [int(line[:4]) for line in lines] == list(range(len(lines)))
    assert count == f"{3000 - len(lines)} log lines were lost: nobody read them in time"
    log.warning("next")
    assert reader.read(65536) == b"next\n"


def test_a_reader_that_is_gone(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """Lines for nobody cost nothing, and do not pile up."""
    reader, writer = pipe
    handler = PatientHandler(writer.fileno())
    log = log_to(handler)
    reader.close()
    for _ in range(10):
        log.warning("nobody reads this")
    assert not handler._waiting


def test_a_disk_that_has_room_again(tmp_path: Path) -> None:
    """Once the disk is no longer full, lines are written again, with the count of those that were lost."""
    full = os.open("/dev/full", os.O_WRONLY)
    handler = PatientHandler(full)
    log = log_to(handler)
    log.warning("lost")
    log.warning("lost too")
    room = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(room, full)
    log.warning("kept")
    os.close(room)
    os.close(full)
    assert (tmp_path / "log").read_text() == "kept\n2 log lines were lost: nobody read them in time\n"


def test_a_line_that_cannot_be_made(
    pipe: tuple[IO[bytes], IO[bytes]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that fails to be formatted costs itself and nothing else."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    reader, writer = pipe
    log = log_to(PatientHandler(writer.fileno()))
    log.warning("%d", "no number")
    log.warning("next")
    assert reader.read(65536) == b"next\n"
    assert not capsys.readouterr().err


@pytest.fixture
def writes() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a socket that keeps each write apart."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with reader, writer:
        reader.settimeout(0)
        yield reader, writer


def told(reader: socket.socket) -> list[bytes]:
    """What has been written since, write by write."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(reader.recv(4096))
    return found


async def test_a_warning_goes_out_at_once(writes: tuple[socket.socket, socket.socket]) -> None:
    """A warning does not wait, and neither does what came before it."""
    reader, writer = writes
    log = log_to(PatientHandler(writer.fileno()))
    log.info("before")
    log.warning("now")
    assert b"".join(told(reader)) == b"before\nnow\n"
    await asyncio.sleep(0)
    assert told(reader) == []


@pytest.fixture
def log_socket(writes: tuple[socket.socket, socket.socket]) -> Iterator[socket.socket]:
    """Where each write of our log can be read."""
    reader, writer = writes
    with writer.makefile("w") as stream:
        set_up_logging("debug", as_json=True, colour=False, stream=stream)
        yield reader
        silence()


def test_lines_that_are_written_together(log_socket: socket.socket) -> None:
    """Lines of one block go out at its end, with one write, even if it fails; any other goes out at once."""
    log = logging.getLogger("proxy")
    with suppress(ZeroDivisionError), together():
        log.info("one")
        log.warning("two")
        assert told(log_socket) == []
        raise ZeroDivisionError
    assert [write.count(b"\n") for write in told(log_socket)] == [2]
    log.info("three")
    assert [write.count(b"\n") for write in told(log_socket)] == [1]


async def done(scope: Scope, receive: Receive, send: Send) -> None:
    pass


def ask(app: ASGIApp, path: str) -> Coroutine[Any, Any, None]:
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}

    async def nothing(*_: object) -> Any:
        raise AssertionError

    return app(scope, nothing, nothing)  # type: ignore[return-value] # all are coroutines


def another() -> UnderWay:
    """One request that is under way, and stays so."""
    return {0: Record("GET", "/0")}


def paths(writes: list[bytes]) -> list[list[str]]:
    """Of the lines of each write."""
    return [[json.loads(line)["path"] for line in write.splitlines()] for write in writes]


async def test_one_write_for_a_turn_of_the_loop(log_socket: socket.socket) -> None:
    """Requests that end in the same turn have their lines written together, at its end, while others are under way."""
    app = RecordMiddleware(done, Redaction(), [AccessLog()], another())
    for turn in ("first", "second"):
        await ask(app, f"/{turn}/1")
        await ask(app, f"/{turn}/2")
        assert told(log_socket) == []
        await asyncio.sleep(0)
        assert paths(told(log_socket)) == [[f"/{turn}/1", f"/{turn}/2"]]


async def test_the_last_one_under_way(log_socket: socket.socket) -> None:
    """Where no other request can end, nothing is waited for: its line is written at once, with those that waited."""
    gate = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()

    app = RecordMiddleware(waiting, Redaction(), [AccessLog()], {})
    asking = [asyncio.ensure_future(ask(app, f"/{n}")) for n in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asking)
    assert paths(told(log_socket)) == [["/0", "/1", "/2"]]
    await ask(app, "/3")
    assert paths(told(log_socket)) == [["/3"]]
    await asyncio.sleep(0)
    assert told(log_socket) == []


def test_lines_of_a_loop_that_has_ended(log_socket: socket.socket) -> None:
    """What the last turn of a loop did not tell comes with the next request, in its order."""
    app = RecordMiddleware(done, Redaction(), [AccessLog()], another())
    loop = asyncio.new_event_loop()
    loop.call_soon(loop.create_task, ask(app, "/1"))
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    loop.close()
    assert told(log_socket) == []
    asyncio.run(ask(app, "/2"))
    assert paths(told(log_socket)) == [["/1", "/2"]]


def test_a_request_that_outlives_its_loop(log_socket: socket.socket) -> None:
    """A request that is thrown away after the end of its loop has its line at once."""

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)

    asking = ask(RecordMiddleware(waiting, Redaction(), [AccessLog()], another()), "/1")
    asking.send(None)
    assert told(log_socket) == []
    asking.close()
    assert paths(told(log_socket)) == [["/1"]]


def test_streams_without_a_descriptor() -> None:
    """What is no file is written to as logging does it."""
    stream = io.StringIO()
    log_to(handler_for(stream)).warning("here")
    assert stream.getvalue() == "here\n"
    assert isinstance(handler_for(None), logging.StreamHandler)
