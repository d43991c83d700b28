"""Promise 31: health says nothing about the upstream, and a bad configuration stops the start."""

from pathlib import Path

import pytest

from tests.support.client import get
from tests.support.fixtures import Connect, StartProxy, Through
from tests.support.footprint import Footprint
from tests.support.marks import reaches_no_upstream
from tests.support.proxies import spawned

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@reaches_no_upstream
async def test_the_upstream_is_not_called(through: Through, target: str, method: str) -> None:
    """Promise 31: neither probe calls U, whether it is up or down."""
    client, upstream, _ = await through()
    for _ in range(3):
        await client.send(get(target=target, method=method))
        assert (await client.answer(method.encode())).status == 200
    assert not upstream.connections
    await upstream.stop()
    await client.send(get(target=target, method=method))
    assert (await client.answer(method.encode())).status == 200


async def test_a_failing_upstream_does_not_make_us_unhealthy(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 31: after errors of U, `/healthz` is as good as before."""
    client = await connect(await proxy_for("http://127.0.0.1:9"))
    assert (await client.ask(get())).status == 502
    assert (await client.ask(get(target="/healthz"))).status == 200


FAULTS = {
    "http_referer": "https://user:canary@app.example",
    "connect_timeout": "soon-canary" * 3,
    "listen": "nowhere",
    "upstream_url": "http://openrouter.ai",
    "attribution_mode": "sometimes",
    "app_categories": "a,b,c",
}


async def test_bad_configuration(footprint: Footprint, tmp_path: Path) -> None:
    """Promise 31: each fault is one line that names its variable; no secret is shown; the exit code is 2."""
    async with spawned("serve", cwd=tmp_path, **FAULTS) as child:
        assert await child.exit_code() == 2
    assert child.stdout == ""
    lines = child.stderr.splitlines()
    assert len(lines) == len(FAULTS)
    for name in FAULTS:
        assert sum(f"OPENROUTER_{name.upper()}" in line for line in lines) == 1, name
    assert "user:canary" not in child.stderr
    assert "Traceback" not in child.stderr


async def test_no_identity(footprint: Footprint, tmp_path: Path) -> None:
    """Promise 31: without a referer, nothing is started, and the line says which variable to set."""
    async with spawned("serve", cwd=tmp_path, http_referer="") as child:
        assert await child.exit_code() == 2
    [line] = child.stderr.splitlines()
    assert "OPENROUTER_HTTP_REFERER" in line
