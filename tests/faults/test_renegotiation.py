"""TLS 1.2: the upstream asks for a renegotiation within an upload, and its handshake is held back on the way."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.support.aftermath import OWN, Base
from tests.support.client import post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.proxies import ProxyProcess
from tests.support.tls import bundle
from tests.support.upstream import UpstreamConnection
from tests.support.waiting import PATIENCE, News

pytestmark = [
    pytest.mark.integration,
    pytest.mark.only_route("direct", reason="does TLS by itself"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine: apt-get install openssl"),
]

FIRST = b"x" * 1000 + b"the first part"
REST = b"y" * 8_000_000
"""More than everything on the way holds."""


class Server:
    """`openssl s_server`: sends what is typed, but for a line that begins with a letter of its own, and prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.printed = bytearray()
        self.news = News()

    def type(self, text: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(text)

    async def until(self, pattern: bytes) -> re.Match[bytes]:
        """Returns when it has printed that."""
        return await self.news.until(
            lambda: re.search(pattern, self.printed), repr(pattern), state=lambda: bytes(self.printed[-2000:])
        )

    async def read(self) -> None:
        assert self.process.stdout
        while data := await self.process.stdout.read(65536):
            self.printed += data
            self.news.tell()


@asynccontextmanager
async def openssl(certificate: Path) -> AsyncIterator[Server]:
    """Python's own `ssl` cannot ask for a renegotiation."""
    command = ["openssl", "s_server", "-tls1_2", "-accept", "127.0.0.1:0", "-cert", str(certificate)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    server = Server(process)
    reading = asyncio.create_task(server.read())
    try:
        server.port = int((await server.until(rb"ACCEPT 127\.0\.0\.1:(\d+)\n"))[1])
        yield server
    finally:
        process.kill()
        await process.wait()
        await reading


class Way:
    """Carries connections to the server and back, and holds back what goes there, when it is told to."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.open = asyncio.Event()
        self.open.set()
        self.back = 0
        """Bytes that the server has sent."""
        self.news = News()

    async def script(self, connection: UpstreamConnection) -> None:
        connection.small_buffers()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        there = asyncio.create_task(self._there(connection, writer))
        try:
            while data := await reader.read(65536):
                connection.write(data)
                self.back += len(data)
                self.news.tell()
        except ConnectionResetError:
            connection.reset()
        finally:
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)
            writer.close()

    async def _there(self, connection: UpstreamConnection, writer: asyncio.StreamWriter) -> None:
        while data := await connection.take():
            if not self.open.is_set():
                connection.hold()
                await self.open.wait()
                connection.resume()
            writer.write(data)
            await writer.drain()
        writer.close()


async def at_rest(proxy: ProxyProcess) -> None:
    """Returns when it uses no CPU: on a machine however busy, one that spins gets some in half a second."""
    stat = Path(f"/proc/{proxy.process.pid}/stat")

    def used() -> float:
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async with asyncio.timeout(PATIENCE):
        before = used()
        while True:
            await asyncio.sleep(0.5)  # the passing of time is what is tested
            before, earlier = used(), before
            if before - earlier <= 0.02:
                return


async def test_a_renegotiation_within_an_upload(
    upstream: OpenUpstream,
    proxy_process: StartProcess,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is refused: no CPU is used meanwhile, the client is told, and the next request is served."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    async with openssl(tmp_path / "server.pem") as server:
        way = Way(server)
        behind = await upstream(way.script, raw=True)
        proxy = await proxy_process(behind, upstream_url=f"https://localhost:{behind.port}")
        base = Base(proxy)
        client = await connect(proxy)
        request = post(body=FIRST + REST)
        await client.send(request[: -len(REST)])
        await server.until(FIRST)
        way.open.clear()
        seen = way.back
        server.type(b"R\n")
        await way.news.until(lambda: way.back > seen, "the server to ask")
        client.write(REST)
        await at_rest(proxy)
        way.open.set()
        response = await client.answer(b"POST")
        assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
        await client.aclose()
        await server.until(b"no renegotiation")  # what it was told
        assert (await proxy.access_line())["error"] == "upstream-broken"
        following = asyncio.create_task(base.check(connect, lines=2))
        await server.until(b"GET /api/v1/models ")
        server.type(OWN)
        await following
