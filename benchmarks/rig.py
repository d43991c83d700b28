"""What all measurements stand on: a certificate, the stub upstream, and proxies that are started and are up."""

import asyncio
import random
import re
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from benchmarks import traffic
from benchmarks.load import Client, Failed, Target
from benchmarks.peers import Peer, Place
from benchmarks.processes import Cores, Process, on_cores

_ROOT = Path(__file__).parents[1]
_UP_WITHIN = 60.0  # seconds
_POLL = 0.002
_PORTS = range(20000, 30000)  # Linux gives away 32768 and up, see ip_local_port_range in ip(7)
_LOGGED_WITHIN = 20.0  # seconds; Envoy writes what has gathered in ten
_LINE = re.compile(r"\\n|\n")


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that is up."""

    peer: Peer
    process: Process
    target: Target
    start_seconds: float  # from the start of the process to its first answer


class Rig:
    """The stub upstream is on the measuring core, together with the load generator: this process."""

    def __init__(self, folder: Path, cores: Cores, upstream: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.cores = cores
        self.upstream_pid = upstream.pid
        assert upstream.stdout is not None
        self.upstream_port = int(upstream.stdout.readline())
        self.authority = folder / "authority.pem"
        self._started = 0

    @property
    def trust(self) -> ssl.SSLContext:
        """For a client that connects for the first time: nothing of an earlier session helps it."""
        return ssl.create_default_context(cafile=self.authority)

    def direct(self, port: int | None = None) -> Target:
        """The upstream itself, or what leads there."""
        return Target(port or self.upstream_port, self.trust)

    @asynccontextmanager
    async def started(
        self, peer: Peer, upstream_port: int | None = None, *, on_all_cores: bool = False
    ) -> AsyncIterator[Running]:
        """A new process of a proxy, ended with the block. Raises `Failed` if it does not come up."""
        cores = self.cores.all if on_all_cores else [self.cores.measured]
        self._started += 1
        folder = self.folder / str(self._started)
        folder.mkdir()
        place = Place(folder, _free_port(), upstream_port or self.upstream_port, self.authority)
        with Process(peer.command(place), folder, *cores) as process:
            seconds = await _until_up(process, place.port, peer.health)
            yield Running(peer, process, Target(place.port, path=peer.path), seconds)

    async def check_stamp(self, running: Running) -> None:
        """Raises `Failed` unless the upstream gets exactly one of each of our lines, and none of the client's."""
        client = await Client.open(running.target)
        body = bytearray()
        client.on_piece = body.extend
        request = running.target.request("echo").replace(b"gzip, deflate", b"identity")  # LiteLLM compresses
        status = await client.ask([request], 10)
        client.close()
        if status != 200:
            raise Failed(f"it answers {status}")
        lines = [line.partition(": ") for line in _LINE.split(body.partition(b'"content":')[2].decode("latin-1"))]
        for name, value in traffic.STAMP:
            got = [line[2] for line in lines if line[0].strip(' "').lower() == name.lower()]
            if [text.partition('"')[0] for text in got] != [value]:
                raise Failed(f"the upstream gets {name}: {', '.join(got) or 'nothing'}")
        if running.peer.logs:
            await _until_logged(running)


@contextmanager
def open_rig() -> Iterator[Rig]:
    """Starts the stub upstream, and moves this process to its core. Ends what it started."""
    cores = Cores.available()
    _raise_file_limit()
    with TemporaryDirectory(prefix="benchmarks-") as name, on_cores(cores.measuring):
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        server = folder / "server.pem"
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
        upstream = subprocess.Popen(  # noqa: S603 - of our own making
            [sys.executable, "-m", "benchmarks.upstream", str(server)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            yield Rig(folder, cores, upstream)
        finally:
            upstream.terminate()
            upstream.communicate()


async def _until_logged(running: Running) -> None:
    """Returns when a request is in the access log. Raises `Failed` if none gets there."""
    give_up_at = time.monotonic() + _LOGGED_WITHIN
    while running.target.path not in running.process.log.read_text(errors="replace"):
        if time.monotonic() > give_up_at:
            raise Failed("it writes no access log")
        await asyncio.sleep(0.05)


def _free_port() -> int:
    """One below those that the kernel gives away: another program cannot be given it before the proxy listens there.

    Else the proxy would not start, and what answers in its place would be measured.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise Failed("no port is free")


def _raise_file_limit() -> None:
    """Two sockets for each of some thousand streams, here and in whatever is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _until_up(process: Process, port: int, path: str) -> float:
    """Seconds from the start of the process until it has answered, whatever it says."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("ascii")
    while time.monotonic() - process.started_at < _UP_WITHIN:
        if process.ended:
            raise Failed(f"it ended at once: {process.last_words}")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_POLL)
            continue
        try:
            writer.write(request)
            async with asyncio.timeout(_UP_WITHIN):
                if await reader.read(1):
                    return time.monotonic() - process.started_at
        except (OSError, TimeoutError):
            await asyncio.sleep(_POLL)
        finally:
            writer.close()
    raise Failed(f"not up after {_UP_WITHIN:.0f} s: {process.last_words}")
