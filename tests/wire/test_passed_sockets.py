"""Listening sockets that a service manager has opened (sd_listen_fds(3)), and keeps: so a restart refuses nobody."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support.client import Client, get
from tests.support.fixtures import OpenUpstream
from tests.support.footprint import Footprint
from tests.support.ports import Reserved, once_it_listens
from tests.support.proxies import ROOT, Passing, ProxyProcess, spawned
from tests.support.upstream import OK, reply
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Unix only"),
    pytest.mark.only_route("direct", reason="is about listening"),
]

AS_PASSED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=sys.argv[2] or str(os.getpid()))
os.execvp(sys.argv[3], sys.argv[3:])
"""


def passing(descriptor: int, pid: str = "") -> Passing:
    """A prefix that becomes the program that it is given, with ``descriptor`` as the one that is passed."""
    return Passing([sys.executable, "-c", AS_PASSED, str(descriptor), pid], [descriptor])


async def listening(child: ProxyProcess) -> None:
    await child.until(lambda: "listening on" in child.stdout, "the start")


class Load:
    """Clients that open a connection for each request, without a pause."""

    def __init__(self, address: Reserved, clients: int) -> None:
        self.address = address
        self.clients = clients
        self.answers: list[int] = []
        self.ended = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(self._one())

    async def _one(self) -> None:
        while not self.ended:
            client = await Client.open(self.address)
            self.answers.append((await client.ask(get("Connection: close"))).status)
            await client.aclose()

    async def more(self, count: int) -> None:
        wanted = len(self.answers) + count
        await eventually(lambda: len(self.answers) >= wanted, lambda: f"{wanted} answers", within=20)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_restart_refuses_nobody(
    footprint: Footprint, upstream: OpenUpstream, tmp_path: Path, workers: str
) -> None:
    """Under load, one process ends, and the next takes over the same socket: each request is answered, with 200."""
    behind = await upstream(reply(OK))
    settings = {"upstream_url": behind.url, "workers": workers}
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as passed:
        load = Load(Reserved(*passed.getsockname()), clients=8)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(load.run())
            for is_last in (False, False, True):
                async with spawned("serve", cwd=tmp_path, prefix=passing(passed.fileno()), **settings) as child:
                    await listening(child)
                    assert f"http://127.0.0.1:{load.address.port}" in child.stdout
                    await load.more(50)
                    if is_last:
                        load.ended = True
                        await running
                    child.signal(signal.SIGTERM)
                    assert await child.exit_code(within=10) == 0
                    assert child.stderr == ""
    assert set(load.answers) == {200}


async def refused(tmp_path: Path, descriptor: int, **settings: str) -> str:
    """The one line with which it does not start."""
    settings = {"upstream_url": "http://127.0.0.1:9", **settings}
    async with spawned("serve", cwd=tmp_path, prefix=passing(descriptor), **settings) as child:
        assert await child.exit_code() == 1
    assert child.stdout == ""
    [line] = child.stderr.splitlines()
    return line


@pytest.mark.integration
async def test_beyond_what_the_settings_say(footprint: Footprint, tmp_path: Path) -> None:
    """A socket that the network reaches, where the settings speak of this machine alone, would slip past its guards."""
    with socket.create_server(("0.0.0.0", 0)) as wide:
        port = wide.getsockname()[1]
        line = await refused(tmp_path, wide.fileno(), listen="localhost:6767")
    assert line.startswith(f"error: LISTEN_FDS passes a socket that listens on 0.0.0.0:{port}, beyond this machine")
    assert "OPENROUTER_LISTEN is localhost:6767" in line


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["a file", "a socket that does not listen", "a socket of another family"])
async def test_what_is_no_listening_socket(footprint: Footprint, tmp_path: Path, kind: str) -> None:
    """What cannot be listened on is named, in one line."""
    if kind == "a file":
        with (tmp_path / "file").open("w") as file:
            line = await refused(tmp_path, file.fileno())
    else:
        family = socket.AF_INET if "listen" in kind else socket.AF_UNIX
        with socket.socket(family) as other:
            other.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
            line = await refused(tmp_path, other.fileno())
    assert line.startswith("error: LISTEN_FDS passes 3")


async def test_what_is_for_another_process(footprint: Footprint, upstream: OpenUpstream, tmp_path: Path) -> None:
    """The variables stay in the environment of what a program starts: by LISTEN_PID it knows that they are not its."""
    behind = await upstream(reply(OK))
    with socket.create_server(("127.0.0.1", 0)) as passed:
        prefix = passing(passed.fileno(), pid=str(os.getpid()))
        async with spawned("serve", cwd=tmp_path, prefix=prefix, upstream_url=behind.url) as child:
            await listening(child)
            assert f":{passed.getsockname()[1]}" not in child.stdout
            child.signal(signal.SIGTERM)
            assert await child.exit_code() == 0


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd-socket-activate here")
async def test_by_systemd(footprint: Footprint, upstream: OpenUpstream, tmp_path: Path) -> None:
    """As a socket unit does it: the first connection starts the proxy, and is served."""
    behind = await upstream(reply(OK))
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        address = Reserved(*holder.getsockname())
        kept = ["UPSTREAM_URL", "HTTP_REFERER", "LOG_FORMAT", "WARM_CONNECTIONS", "LISTEN"]
        prefix = [
            *("systemd-socket-activate", f"--listen={address}", f"--setenv=PYTHONPATH={ROOT}"),
            *(f"--setenv=OPENROUTER_{name}" for name in kept),
        ]
        async with spawned("serve", cwd=tmp_path, prefix=prefix, upstream_url=behind.url) as child:
            client = await once_it_listens(address)
            assert (await client.ask(get())).status == 200
            await client.aclose()
            assert f"http://127.0.0.1:{address.port}" in child.stdout
            child.signal(signal.SIGTERM)
            assert await child.exit_code(within=10) == 0
