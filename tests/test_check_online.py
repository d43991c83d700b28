"""`check --online`: what works of the way to the upstream, a line for each step, and no request."""

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from tests.support.fixtures import OpenUpstream
from tests.support.footprint import Footprint
from tests.support.outbound import Asked, connect_proxy
from tests.support.ports import reserved
from tests.support.proxies import spawned
from tests.support.tls import server_context
from tests.support.upstream import Upstream

pytestmark = pytest.mark.only_route("direct", reason="it has an outbound proxy of its own")


async def online(folder: Path, **settings: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that it adds to the report."""
    async with spawned("check", "--online", cwd=folder, **settings) as child:
        code = await child.exit_code()
    assert child.stderr == ""
    return code, [line.strip() for line in child.stdout.partition("\nOnline\n\n")[2].splitlines()]


@pytest.fixture
async def outbound(footprint: Footprint) -> AsyncIterator[Upstream]:
    async with Upstream(connect_proxy(Asked())) as proxy:
        yield proxy


async def test_all_of_it_works(upstream: OpenUpstream, tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The name, the connection and TLS have a line each; the exit code is 0, and nothing was asked."""
    behind = await upstream(tls=tls)
    code, lines = await online(tmp_path, upstream_url=behind.url)
    assert code == 0
    name, connection, handshake = lines
    assert re.fullmatch(r"look-up +localhost is .*127\.0\.0\.1.*", name)
    assert re.fullmatch(rf"connection +to 127\.0\.0\.1 port {behind.port}, in \d+ ms", connection)
    assert re.fullmatch(r"TLS +TLSv1\.3, certificate by trustme .*, valid until \d{4}-\d\d-\d\d", handshake)
    assert not behind.requests


async def test_in_clear_by_address(upstream: OpenUpstream, tmp_path: Path) -> None:
    """Where there is nothing to look up, and no TLS, there is one line."""
    behind = await upstream()
    code, lines = await online(tmp_path, upstream_url=behind.url)
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("connection  to 127.0.0.1")


async def test_through_an_outbound_proxy(
    upstream: OpenUpstream, outbound: Upstream, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """The outbound proxy is named, and looks the name up itself."""
    behind = await upstream(tls=tls)
    code, lines = await online(tmp_path, upstream_url=behind.url, outbound_proxy=outbound.url)
    assert code == 0
    assert [line.split()[0] for line in lines] == ["connection", "TLS"]
    assert lines[0].startswith(f"connection  through {outbound.url}, in ")


@pytest.mark.integration
async def test_nobody_listens(footprint: Footprint, tmp_path: Path) -> None:
    """The step that fails is the last, and says what to do; the exit code is 1."""
    with reserved() as nobody:
        code, lines = await online(tmp_path, upstream_url=f"http://{nobody}")
    assert code == 1
    [line] = lines
    assert line.startswith("connection  failed: upstream-unreachable. OpenRouter could not be reached. Check ")


async def test_not_trusted(upstream: OpenUpstream, tls: ssl.SSLContext, tmp_path: Path) -> None:
    """A certificate that is not believed is shown with OpenSSL's reason."""
    behind = await upstream(tls=server_context(trustme.CA()))
    code, lines = await online(tmp_path, upstream_url=behind.url)
    assert code == 1
    assert lines[-1].startswith(
        "TLS         failed: upstream-untrusted (unable to get local issuer certificate). No trusted"
    )
    assert not behind.requests


async def test_without_online_nothing_is_asked(upstream: OpenUpstream, tmp_path: Path) -> None:
    """Without the flag, nobody is connected to."""
    behind = await upstream()
    async with spawned("check", cwd=tmp_path, upstream_url=behind.url) as child:
        assert await child.exit_code() == 0
    assert "Online" not in child.stdout
    assert not behind.connections
