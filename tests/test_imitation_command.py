"""`imitation`: OpenRouter played on its own, for set-ups that are tried without a key."""

import asyncio
import hashlib
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from proxy.imitation import create_imitation, serving
from proxy.imitation.ledger import REMEMBERED, remember
from tests.support.client import Address, Client, get, post
from tests.support.ports import Reserved
from tests.support.proxies import ROOT, ProxyProcess, as_process, spawned
from tests.support.secrets import OWN_KEY
from tests.support.tls import bundle

pytestmark = pytest.mark.integration

STAMP = ("HTTP-Referer: https://app.example", "X-Title: Example App")
ASKED = b'{"model": "imitation/hello", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'


async def listening(child: ProxyProcess) -> Address:
    port = await child.until(lambda: re.search(r"listens on https?://127\.0\.0\.1:(\d+)", child.stdout), "the address")
    return Reserved("127.0.0.1", int(port[1]))


async def test_it_answers_and_tells_to_whom_each_request_is_credited(tmp_path: Path) -> None:
    """And which key came along, by a few digits of its digest: never the key."""
    async with spawned("imitation", "--listen", "127.0.0.1:0", "--pace", "0", cwd=tmp_path) as child:
        client = await Client.open(await listening(child))
        answer = await client.ask(post("Authorization: Bearer " + OWN_KEY, *STAMP, body=ASKED))
        assert answer.status == 200
        assert bytes(answer.body).endswith(b"data: [DONE]\n\n")
        digest = hashlib.sha256(OWN_KEY.encode()).hexdigest()[:8]
        told = f"200 POST /api/v1/chat/completions  credited to Example App | https://app.example  key {digest}\n"
        await child.until(lambda: told in child.stdout, "the line of the request")
        answer = await client.ask(get("X-Title: Tool", target="/nowhere?q=secret"))
        await child.until(lambda: "404 GET /nowhere  credited to nobody  no key\n" in child.stdout, "the second line")
        await client.aclose()
        child.signal(signal.SIGTERM)
        assert await child.exit_code() == 0
    assert child.stderr == ""


async def test_a_proxy_serves_from_it(tmp_path: Path) -> None:
    """As its help says: the upstream's URL is all that changes."""
    async with spawned("imitation", "--listen", "127.0.0.1:0", "--pace", "0", cwd=tmp_path) as child:
        there = await listening(child)
        async with as_process(None, cwd=tmp_path, upstream_url=f"http://{there.host}:{there.port}") as proxy:
            client = await Client.open(proxy)
            answer = await client.ask(post("Authorization: Bearer " + OWN_KEY, body=ASKED))
            assert answer.status == 200
            told = "credited to Example App | https://app.example | cli-agent,programming-app  key "
            await child.until(lambda: told in child.stdout, "the stamp")
            await client.aclose()


async def test_it_speaks_tls(tmp_path: Path, authority: trustme.CA) -> None:
    """With a certificate of one's own, it stands where openrouter.ai does."""
    leaf = authority.issue_cert("openrouter.ai")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "chain.pem")
    trusting = ssl.create_default_context(cafile=bundle(authority, tmp_path))
    flags = ("--listen", "127.0.0.1:0", "--tls-certificate", "chain.pem")
    async with spawned("imitation", *flags, cwd=tmp_path) as child:
        there = await listening(child)
        assert "https://127.0.0.1" in child.stdout
        reader, writer = await asyncio.open_connection(
            there.host, there.port, ssl=trusting, server_hostname="openrouter.ai"
        )
        writer.write(get("Connection: close"))
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (["--listen", "everywhere"], 2, "error: --listen must be host:port"),
        (
            ["--listen", "192.0.2.1:0"],
            2,
            "error: cannot listen on 192.0.2.1:0: no network interface here has this address",
        ),
        (
            ["--listen", "nowhere.invalid:0"],
            2,
            "the name does not resolve: take an address, such as 127.0.0.1, or give another --listen",
        ),
        (["--tls-key", "key.pem"], 2, "error: --tls-key needs --tls-certificate beside it"),
        (["--tls-certificate", "nowhere.pem"], 2, "cannot be read (No such file or directory)"),
        (["--tls-certificate", "empty.pem"], 2, "hold no certificate with its private key"),
        (["--pace", "-1"], 2, "Invalid value for '--pace'"),
    ],
)
def test_what_cannot_be_played_is_told(flags: list[str], code: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    ran = subprocess.run(
        [sys.executable, "-m", "proxy", "imitation", *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (code, "")
    assert told in ran.stderr


async def test_it_stays_small() -> None:
    """One that is left up for weeks remembers the last requests, and goes on counting."""
    imitation = create_imitation()
    imitation.exchanges += [object()] * REMEMBERED  # type: ignore[list-item]  # only their number counts
    async with serving(imitation) as origin:
        client = await Client.open(Reserved("127.0.0.1", int(origin.rpartition(":")[2])))
        assert (await client.ask(get())).status == 200
        await client.aclose()
    assert len(imitation.exchanges) == REMEMBERED
    assert imitation.exchanges[-1].head.target == b"/api/v1/models"
    known = {"a": 1, "b": 2}
    remember(known, "c", 3, 2)
    assert known == {"b": 2, "c": 3}
