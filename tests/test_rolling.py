"""A rolling update: two replicas behind a TCP balancer are replaced one after the other, under streaming load.

As a cluster does it: the balancer hears first (an endpoint goes, and preStop waits), then SIGTERM, then a new replica.
"""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.client import Client, post
from tests.support.fixtures import OpenUpstream
from tests.support.http1 import LAST_CHUNK, chunk, message
from tests.support.ports import Reserved, once_it_listens, reserved
from tests.support.proxies import ProxyProcess, as_process
from tests.support.upstream import Upstream, UpstreamConnection
from tests.support.waiting import PATIENCE, eventually

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or ""
EVENTS = 12
PAUSE = 0.1  # seconds between two of them
LOAD = 12  # clients, each with one stream after the other
WHOLE = b"".join(b"data: %d\n\n" % number for number in range(EVENTS))

CONFIGURATION = """\
global
    stats socket {socket} level admin

defaults
    mode tcp
    timeout connect 5s
    timeout check 5s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch

frontend front
    bind {front}
    default_backend replicas

backend replicas
    balance leastconn
    option httpchk GET /readyz
    http-check send hdr Host localhost"""

pytestmark = pytest.mark.skipif(not HAPROXY, reason="no haproxy here: apt-get install haproxy")


async def slow_stream(connection: UpstreamConnection) -> None:
    """A second of events, for each request."""
    while True:
        await connection.request()
        head = ("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
        await connection.send(message(*head))
        for number in range(EVENTS):
            await connection.send(chunk(b"data: %d\n\n" % number))
            await asyncio.sleep(PAUSE)
        await connection.send(LAST_CHUNK)


class Balancer:
    """HAProxy in TCP mode before replicas; it asks each for /readyz, and sends new connections elsewhere if told to."""

    def __init__(self, folder: Path, address: Reserved) -> None:
        self.socket = folder / "haproxy.sock"
        self.address = address

    async def tell(self, line: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        writer.write(line.encode() + b"\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    async def until_up(self, replica: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await self._is_up(replica):  # noqa: ASYNC110 - HAProxy tells nobody
                await asyncio.sleep(0.05)

    async def _is_up(self, replica: str) -> bool:
        rows = [line.split(",") for line in (await self.tell("show stat")).splitlines()]
        return any(row[1] == replica and row[17].startswith("UP") for row in rows if len(row) > 17)


@asynccontextmanager
async def balancer(folder: Path, replicas: dict[str, Reserved]) -> AsyncIterator[Balancer]:
    with reserved() as front:
        made = Balancer(folder, front)
        servers = [f"    server {name} {address} check inter 200ms rise 1 fall 5" for name, address in replicas.items()]
        configuration = folder / "haproxy.cfg"
        configuration.write_text("\n".join([CONFIGURATION.format(socket=made.socket, front=front), *servers, ""]))
        process = await asyncio.create_subprocess_exec(HAPROXY, "-db", "-f", str(configuration))
        try:
            await (await once_it_listens(front)).aclose()
            yield made
        finally:
            process.kill()
            await process.wait()


@dataclass
class Load:
    """What clients saw that each send one request after the other, on a connection each."""

    whole: int = 0
    faults: list[str] = field(default_factory=list)
    over: bool = False

    async def client(self, address: Reserved) -> None:
        while not self.over:
            client = await Client.open(address)
            try:
                answer = await client.ask(post("Connection: close"))
                if answer.status == 200 and bytes(answer.body) == WHOLE:
                    self.whole += 1
                else:
                    self.faults.append(f"{answer.status}, {len(answer.body)} bytes")
            except (AssertionError, OSError) as error:
                self.faults.append(f"{type(error).__name__}: {error}")
            finally:
                with suppress(OSError):
                    await client.aclose()


@pytest.mark.timeout(120)
async def test_no_stream_is_cut_and_no_request_fails(upstream: OpenUpstream, tmp_path: Path) -> None:
    """Within the grace, every stream that an old replica has begun comes to its end; the new ones serve the rest."""
    behind = await upstream(slow_stream)
    with reserved() as one, reserved() as two:
        replicas = {"one": one, "two": two}
        async with AsyncExitStack() as stack:
            running = {name: await _start(stack, behind, tmp_path, at) for name, at in replicas.items()}
            proxy = await stack.enter_async_context(balancer(tmp_path, replicas))
            for name in replicas:
                await proxy.until_up(name)
            load = Load()
            async with asyncio.TaskGroup() as group:
                for _ in range(LOAD):
                    group.create_task(load.client(proxy.address))
                for name, address in replicas.items():
                    served = load.whole
                    await _until(load, served + LOAD)
                    await proxy.tell(f"set server replicas/{name} state drain")
                    await asyncio.sleep(2 * PAUSE)  # preStop: whoever was sent here has arrived
                    running[name].signal(signal.SIGTERM)
                    assert await running[name].exit_code() == 0
                    running[name] = await _start(stack, behind, tmp_path, address)
                    await proxy.tell(f"set server replicas/{name} state ready")
                    await proxy.until_up(name)
                await _until(load, load.whole + LOAD)
                load.over = True
            assert load.faults == []
            for process in running.values():
                await process.access_line()  # the new ones have served
                assert not [line for line in process.access_log if line["status"] != 200]


async def _start(stack: AsyncExitStack, behind: Upstream, folder: Path, address: Reserved) -> ProxyProcess:
    started = as_process(behind, cwd=folder, listen=str(address), shutdown_grace="10", log_level="info")
    return await stack.enter_async_context(started)


async def _until(load: Load, served: int) -> None:
    await eventually(
        lambda: load.whole >= served or bool(load.faults), lambda: f"{served} answers", within=3 * PATIENCE
    )
