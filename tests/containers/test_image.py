"""The image in a container that may do as little as a container can: what deploy/ and the README promise of it."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.containers import engine
from tests.containers.conftest import HARDENED
from tests.containers.engine import Container
from tests.support.client import Client, post
from tests.support.http1 import Response
from tests.support.ports import Reserved
from tests.support.proxies import ROOT
from tests.support.secrets import KEY, OWN_KEY, TOKEN

IDENTITY = (
    *("--env", "OPENROUTER_HTTP_REFERER=https://app.example", "--env", "OPENROUTER_APP_TITLE=Example App"),
    *("--env-file", str(ROOT / "config.example.env")),
)
STREAM = b'{"model": "imitation/credit", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'
OWN = f"Authorization: Bearer {OWN_KEY}"
DONE = b"data: [DONE]\n\n"
LARGEST = 60_000_000  # bytes above the base

pytestmark = pytest.mark.usefixtures("image")


def behind(net: str, trust: Path) -> tuple[str, ...]:
    """Options of a proxy whose openrouter.ai is the imitation, certified by a company's own authority."""
    mounted = ("--volume", f"{trust}:/company.pem:ro", "--env", "SSL_CERT_FILE=/company.pem")
    return ("--network", net, "--publish", "127.0.0.1::6767", *mounted, *IDENTITY)


def secret(folder: Path, name: str, value: str, mode: int = 0o644) -> tuple[str, ...]:
    """Options that mount a secret as Compose does: a file of the host, with its owner and mode."""
    file = folder / name
    file.write_text(value + "\n")
    file.chmod(mode)
    return ("--volume", f"{file}:/run/secrets/{name}:ro")


@asynccontextmanager
async def streaming(there: Container, *headers: str, count: int = 1) -> AsyncIterator[list[Response]]:
    """Answers whose first event has arrived, through the published port."""
    clients = [await Client.open(Reserved("127.0.0.1", there.published(6767))) for _ in range(count)]
    try:
        for client in clients:
            await client.send(post(*headers, body=STREAM))
        yield [await client.response(b"POST") for client in clients]
    finally:
        for client in clients:
            await client.aclose()


def test_it_adds_little_to_its_base(image: str, figure: Callable[[str], None]) -> None:
    """Layer by layer."""
    layers = json.loads(engine.podman("history", "--format", "json", image))
    base = int(engine.podman("image", "inspect", "--format", "{{.Size}}", engine.BASE))
    whole = int(engine.podman("image", "inspect", "--format", "{{.Size}}", image))
    figure(f"the image is {(whole - base) / 1e6:.1f} MB above its base of {base / 1e6:.0f} MB:")
    for layer in layers:
        if layer["size"] and "imported" not in layer.get("comment", ""):
            step = re.sub(r"^/bin/sh -c (#\(nop\) )?", "", layer["CreatedBy"])
            figure(f"  {layer['size'] / 1e6:5.1f} MB  {step[:90]}")
    assert whole - base < LARGEST


async def test_all_of_it_at_once(openrouter: Container, net: str, trust: Path, tmp_path: Path) -> None:
    """Read-only, nobody's user, no capability, the settings' file as it is, key and token mounted: it stamps.

    The key is the mounted one, the token stays here, and nothing is written to the container's own files.
    """
    secrets = (*secret(tmp_path, "openrouter_api_key", KEY), *secret(tmp_path, "openrouter_access_token", TOKEN))
    async with (
        engine.ready(options=(*HARDENED, *behind(net, trust), *secrets)) as proxy,
        streaming(proxy, f"Authorization: Bearer {TOKEN}") as (answer,),
    ):
        await answer.read()
        assert answer.status == 200
        assert bytes(answer.body).endswith(DONE)
        assert b"Example App" in b"".join(re.findall(rb'"content": ?"([^"]*)"', bytes(answer.body))) + answer.body
        digest = hashlib.sha256(KEY.encode()).hexdigest()[:8]
        await openrouter.until_it_says(f"credited to Example App | https://app.example  key {digest}")
        assert proxy.state["Health"]["Status"] == "healthy"
        assert "CANARY" not in proxy.log
        mounted = ("/run", "/etc", "/company.pem", "/dev", "/proc", "/sys")
        touched = [line for line in engine.podman("diff", proxy.id).splitlines() if not line[2:].startswith(mounted)]
        assert touched == []


async def test_every_address_of_both_families(openrouter: Container, net: str, trust: Path) -> None:
    """By the published port, by the container's own addresses, and by its loopback."""
    async with engine.ready(options=(*HARDENED, *behind(net, trust))) as proxy:
        four, six = proxy.address(net)
        ports = [("127.0.0.1", proxy.published(6767)), (four, 6767), (six, 6767)]
        for host, port in ports:
            client = await Client.open(Reserved(host, port))
            assert (await client.ask(post(OWN, body=STREAM))).status == 200, host
            await client.aclose()
        for listen in ("127.0.0.1:6767", "[::1]:6767"):
            assert proxy.run("openrouter-proxy", "health", "--listen", listen) == f"ready: http://{listen}"


async def test_a_kernel_without_ipv6(tmp_path: Path) -> None:
    """A host that was started with ipv6.disable=1: here by a filter that refuses such sockets as that kernel does."""
    profile = tmp_path / "seccomp.json"
    refused = {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [
        {"index": 0, "value": 10, "op": "SCMP_CMP_EQ"},
    ]}  # fmt: skip
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}))
    options = (*HARDENED, *IDENTITY, "--security-opt", f"seccomp={profile}")
    async with engine.ready(options=options) as proxy:
        assert '"url": "http://[::]:6767"' in proxy.log


async def test_health_is_that_of_the_proxy_that_is_there(image: str) -> None:
    """Wherever a flag puts it, though the health check knows the image's environment alone; a hung one is unhealthy."""
    async with engine.ready("serve", "--listen", "0.0.0.0:8080", options=(*HARDENED, *IDENTITY)) as proxy:
        assert proxy.check_health() == (0, "healthy")
        log = proxy.state["Health"]["Log"]
        assert log[-1]["Output"].strip() == "ready: http://0.0.0.0:8080"
        assert proxy.run("openrouter-proxy", "health", "--listen", "[::1]:6767", check=False) == ""


async def test_a_container_on_its_own_loopback_says_so(image: str) -> None:
    """It is healthy, and yet its published port answers nobody."""
    options = (*HARDENED, *IDENTITY, "--env", "OPENROUTER_LISTEN=127.0.0.1:6767")
    async with engine.ready(options=options) as proxy:
        told = "OPENROUTER_LISTEN is 127.0.0.1:6767, which in a container is the container itself"
        await proxy.until_it_says(told)
        assert "set [::]:6767 instead" in proxy.log


async def test_a_secret_that_belongs_to_root(image: str, tmp_path: Path) -> None:
    """Mode 600 is closed to the image's user: the restart loop says what to do."""
    closed = secret(tmp_path, "openrouter_api_key", KEY, mode=0o600)
    with engine.container(options=(*IDENTITY, *closed)) as proxy:
        await proxy.until_it_says("may not read (its uid is 65532): give it to that user (chown)")
        assert int(engine.podman("wait", proxy.id)) == 2
        assert "CANARY" not in proxy.log


async def test_it_trusts_what_its_base_trusts(image: str) -> None:
    """No certificate has to be mounted to reach the real openrouter.ai."""
    program = "from proxy.upstream.trust import tls_context; print(len(tls_context().get_ca_certs()))"
    counted = engine.podman("run", "--rm", *HARDENED, "--entrypoint", "python", image, "-c", program)
    assert int(counted) > 100


async def test_a_stop_lets_an_open_stream_end(openrouter: Container, net: str, trust: Path) -> None:
    """`docker stop` with a time longer than the grace: the answer comes to its end, then the process ends with 0."""
    async with (
        engine.ready(options=(*HARDENED, *behind(net, trust))) as proxy,
        streaming(proxy, OWN) as (answer,),
    ):
        stopping = asyncio.create_task(proxy.stop(grace=35))
        await answer.read()
        assert bytes(answer.body).endswith(DONE)
        assert await stopping < 30
        assert proxy.state["ExitCode"] == 0


async def test_fifty_streams_in_64_mib(
    openrouter: Container, net: str, trust: Path, figure: Callable[[str], None]
) -> None:
    """As a sidecar has them."""
    options = (*HARDENED, "--memory", "64m", "--memory-swap", "64m", *behind(net, trust))
    async with engine.ready(options=options) as proxy:
        before = proxy.memory
        async with streaming(proxy, OWN, count=50) as answers:
            await asyncio.gather(*(answer.read() for answer in answers))
            assert all(bytes(answer.body).endswith(DONE) for answer in answers)
        after = proxy.memory
        figure(f"memory: {before.now / 2**20:.0f} MiB idle, at most {after.most / 2**20:.0f} MiB with 50 streams")
        assert (after.limit, after.killed) == (64 * 2**20, 0)
        assert proxy.state["Running"]
