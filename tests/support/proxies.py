"""The proxy under test: in this process and loop, or as a process of its own."""

import asyncio
import json
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from proxy.app import App, create_app
from proxy.observe.feed import Feed
from proxy.observe.record import Record
from proxy.server.server import running
from proxy.settings.model import Settings
from proxy.settings.profiles import settings_with
from tests.support.canaries import assert_none
from tests.support.client import Address
from tests.support.profiles import Shape, in_a_profile, unshaped
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, News

ROOT = Path(__file__).resolve().parents[2]

IDENTITY = {
    "http_referer": "https://app.example",
    "app_title": "Example App",
    "app_categories": "cli-agent,programming-app",
}
STAMP = [
    (b"HTTP-Referer", b"https://app.example"),
    (b"X-OpenRouter-Title", b"Example App"),
    (b"X-Title", b"Example App"),
    (b"X-OpenRouter-Categories", b"cli-agent,programming-app"),
]
"""What the upstream gets of IDENTITY."""


@dataclass
class Proxy:
    """A proxy that runs in the test's own loop."""

    address: Address
    settings: Settings
    app: App
    records: list[Record] = field(default_factory=list)
    """One for each request that has ended, in that order; what the access log is made of."""
    news: News = field(default_factory=News, repr=False)
    shape: Shape = unshaped
    """What becomes of a request on the way to it: see `tests.support.profiles`."""

    @property
    def host(self) -> str:
        return self.address.host

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def feed(self) -> Feed:
        """What the live page shows."""
        assert self.app.feed is not None
        return self.app.feed

    async def record(self, n: int = 0) -> Record:
        """The n-th record, once that request has ended."""
        await self.news.until(lambda: len(self.records) > n, f"record {n}", state=lambda: self.records)
        return self.records[n]


@asynccontextmanager
async def in_process(
    upstream_url: str, transport: httpx.AsyncBaseTransport | None = None, *, choice: str = "none", **settings: Any
) -> AsyncIterator[Proxy]:
    """Serves on a free loopback port. `settings` are the fields of `Settings`, beside IDENTITY, and `profiles`.
    `choice` puts them into a profile, if there are none.

    Without warm connections, if they are not asked for: the n-th connection of an upstream has its script, and is that
    of a request.
    """
    defaults = {"listen": "127.0.0.1:0", "upstream_url": upstream_url, "shutdown_grace": 1.0, "warm_connections": 0}
    profiles = settings.pop("profiles", {})
    arguments = {**IDENTITY, **defaults, **settings}
    shape: Shape = unshaped
    if choice != "none" and not profiles:
        arguments, profiles, shape = in_a_profile(arguments, choice)
    made = settings_with(arguments, profiles) if profiles else Settings(**arguments)
    log = logging.getLogger("proxy.access")
    app = create_app(made, transport)
    async with running(app, made) as address:
        proxy = Proxy(address, made, app, shape=shape)
        handler = _Records(proxy)
        log.addHandler(handler)
        logging.getLogger("proxy").setLevel(logging.DEBUG)
        try:
            yield proxy
        finally:
            log.removeHandler(handler)


class _Records(logging.Handler):
    def __init__(self, proxy: Proxy) -> None:
        super().__init__(logging.INFO)  # the probes' lines are below
        self.proxy = proxy

    def emit(self, record: logging.LogRecord) -> None:
        self.proxy.records.append(record.__dict__["record"])
        self.proxy.news.tell()


class ProxyProcess:
    """`python -m proxy serve` with its output; everything that it has printed so far is in `stdout` and `stderr`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.stdout = ""
        self.stderr = ""
        self.news = News()
        self.host = "127.0.0.1"
        self.port = 0
        self._reading = asyncio.Event()
        self._reading.set()
        self._readers: asyncio.Future[Any] = asyncio.gather(self._read("stdout"), self._read("stderr"))

    @property
    def access_log(self) -> list[dict[str, Any]]:
        """The access lines so far, decoded."""
        whole = self.stdout.rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if "total_ms" in line]

    async def access_line(self, n: int = 0) -> dict[str, Any]:
        """The n-th access line, once it is there."""
        await self.until(lambda: len(self.access_log) > n, f"access line {n}")
        return self.access_log[n]

    async def until(self, ready: Any, what: str) -> Any:
        return await self.news.until(ready, what, state=lambda: f"stdout {self.stdout!r}, stderr {self.stderr!r}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_code(self, *, within: float = PATIENCE) -> int:
        """The exit code, once the process has ended and all its output has been read."""
        async with asyncio.timeout(within):
            await self._readers
            return await self.process.wait()

    def rss(self, *, peak: bool = False) -> int:
        """Resident bytes now, or at most ever (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"Vm{'HWM' if peak else 'RSS'}:\s+(\d+) kB", status)
        assert match
        return int(match[1]) * 1024

    def descriptors(self) -> int:
        """How many it has open (Linux)."""
        try:
            return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        except PermissionError:
            pytest.skip("the process keeps its descriptors from other programs of its user: needs root")

    def stop_reading(self) -> None:
        """Reads its output no more, until `read_on`: once what is on the way is full (some 300 kB), so is its pipe."""
        self._reading.clear()

    def read_on(self) -> None:
        self._reading.set()

    def close_output(self) -> None:
        """Closes the pipe that it writes to."""
        pipe = self.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # there is no public way
        pipe.close()

    async def _read(self, name: str) -> None:
        stream: asyncio.StreamReader = getattr(self.process, name)
        while piece := await stream.read(65536):
            setattr(self, name, getattr(self, name) + piece.decode())
            self.news.tell()
            await self._reading.wait()
        self.news.tell()


@asynccontextmanager
async def as_process(
    upstream: Upstream | None, *arguments: str, cwd: Path, prefix: Sequence[str] = (), **settings: str
) -> AsyncIterator[ProxyProcess]:
    """Runs `python -m proxy serve`, configured by the environment; ready to be asked when the context is entered."""
    settings = {"upstream_url": upstream.url if upstream else "", **settings}
    async with spawned("serve", *arguments, cwd=cwd, prefix=prefix, **settings) as child:
        theirs = upstream.port if upstream else 0

        def port() -> int | None:
            if child.process.returncode is not None or child._readers.done():
                raise AssertionError(f"it ended: {child.stdout!r} {child.stderr!r}")
            ports = map(
                int, re.findall(r"http://(?:127\.0\.0\.1|0\.0\.0\.0|localhost):(\d+)", child.stdout + child.stderr)
            )
            return next((port for port in ports if port != theirs), None)

        child.port = await child.until(port, "the address that it listens on")
        yield child


class Passing(list[str]):
    """A prefix whose command gets these open ``descriptors`` as well."""

    def __init__(self, command: Sequence[str], descriptors: Sequence[int]) -> None:
        super().__init__(command)
        self.descriptors = tuple(descriptors)


@asynccontextmanager
async def spawned(
    *arguments: str, cwd: Path, prefix: Sequence[str] = (), **settings: str
) -> AsyncIterator[ProxyProcess]:
    """Runs `python -m proxy` with those arguments and settings to its end, or until the context is left.

    `prefix` is a command that sets the stage and then becomes the one that is given to it, as `env` does.
    """
    values = {
        **IDENTITY,
        "listen": "127.0.0.1:0",
        "log_format": "json",
        "log_level": "debug",
        "shutdown_grace": "5",
        "warm_connections": "0",  # many have no upstream of the test's own, and must not call the real one
        **settings,
    }
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **{f"OPENROUTER_{name.upper()}": value for name, value in values.items()},
    }
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *(sys.executable, "-m", "proxy", *arguments),
        cwd=cwd,
        env=environment,
        pass_fds=prefix.descriptors if isinstance(prefix, Passing) else (),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    child = ProxyProcess(process)
    try:
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        child.read_on()
        await child.exit_code()
        assert_none(child.stdout + child.stderr, "the output of the process")
