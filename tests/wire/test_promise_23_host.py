"""Promise 23: the proxy answers to names that no attacker can own, and to no other (DNS rebinding)."""

import pytest

from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.marks import reaches_no_upstream
from tests.support.secrets import KEY

TRUSTED = [
    "localhost",
    "localhost:6767",
    "LocalHost:1",
    "localhost.",
    "app.localhost:6767",
    "127.0.0.1",
    "127.0.0.1:6767",
    "127.1:6767",
    "192.168.1.20:6767",
    "8.8.8.8",
    "[::1]",
    "[::1]:6767",
    "[fe80::1]:6767",
    "[::ffff:127.0.0.1]:6767",
    "host.docker.internal:6767",
    "host.containers.internal:6767",
    "host.lima.internal",
    "host.k3d.internal",
    "Gateway.Docker.Internal:6767",
]
ON_A_NETWORK = [
    "proxy",
    "openrouter-proxy:6767",
    "my_proxy:6767",
    "proxy.team.svc:6767",
    "proxy.team.svc.cluster.local:6767",
]
OF_A_LAN = ["wpad", "free-wifi:6767", "router", "localhostx"]
"""Whoever answers the names of the LAN owns these."""
FOREIGN = [
    "evil.example",
    "evil.example:6767",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127-0-0-1.evil.example",
    "evillocalhost.example",
    "localhost.example",
    "1.2.3.4.5",
    "127.0.0.1.nip.io:6767",
    "docker.internal",
    "host.internal",
    "metadata.google.internal",
    "host.evil.docker.internal",
    "evil.host.docker.internal",
    "svc",
    "svc.cluster.local",
    "proxy.cluster.local",
    "openrouter.ai",
    "evil.example.",
]
INVALID = ["", "local host", "localhost/x", "user@localhost", "localhost:port", "[::1", "::1", "a..b", ".localhost"]
INVALID += ["localhost, evil.example", "localhost:6767:1", "[evil.example]", "l\xf6calhost", "localhost:123456"]


def get(*hosts: str) -> bytes:
    return message("GET /api/v1/models HTTP/1.1", *(f"Host: {host}" for host in hosts))


@pytest.mark.parametrize("host", TRUSTED)
async def test_trusted(through: Through, host: str) -> None:
    """Promise 23: IP literals, loopback names and those of containers for their host come in."""
    client, upstream, _ = await through()
    assert (await client.ask(get(host))).status == 200
    assert upstream.requests[0].values("host") == [upstream.authority]


@pytest.mark.parametrize("host", [*TRUSTED, *ON_A_NETWORK, *OF_A_LAN])
async def test_trusted_on_a_network(through: Through, host: str) -> None:
    """Promise 23: where more than loopback reaches it, so do names without a dot and those of Kubernetes' services."""
    client, *_ = await through(listen="0.0.0.0:0")
    assert (await client.ask(get(host))).status == 200


@pytest.mark.parametrize("settings", [{}, {"listen": "[::1]:0"}, {"api_key": KEY}], ids=["own keys", "IPv6", "key"])
@pytest.mark.parametrize("host", [*ON_A_NETWORK, *OF_A_LAN])
async def test_names_of_a_network_on_loopback(through: Through, host: str, settings: dict[str, str]) -> None:
    """Promise 23: on loopback nobody honest calls by those, and whoever answers the LAN's names owns them: 421."""
    client, upstream, _ = await through(**settings)
    response = await client.ask(get(host))
    assert (response.status, response.values("x-proxy-error")) == (421, [b"untrusted-host"])
    assert not upstream.connections


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["own keys", "configured key"])
@pytest.mark.parametrize("host", FOREIGN)
@reaches_no_upstream
async def test_foreign(through: Through, host: str, settings: dict[str, str]) -> None:
    """Promise 23: any other name is 421, with a key and without, and reaches nobody."""
    client, upstream, _ = await through(**settings)
    response = await client.ask(get(host))
    assert (response.status, response.values("x-proxy-error")) == (421, [b"untrusted-host"])
    assert b"OPENROUTER_ALLOWED_HOSTS" in response.body
    assert response.values("connection") == [b"close"]  # a page could hold many
    assert await client.ended()
    assert not upstream.connections


@pytest.mark.parametrize("host", INVALID)
@reaches_no_upstream
async def test_invalid(through: Through, host: str) -> None:
    """Promise 23: what is no host name at all is refused as well."""
    client, upstream, _ = await through()
    assert (await client.ask(get(host))).status in (400, 421)
    assert not upstream.connections


@pytest.mark.parametrize(
    "hosts",
    [("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost")],
)
@reaches_no_upstream
async def test_every_line_counts(through: Through, hosts: tuple[str, ...]) -> None:
    """Promise 23: a good name beside a bad one helps nothing."""
    client, upstream, _ = await through()
    assert (await client.ask(get(*hosts))).status in (400, 421)
    assert not upstream.connections


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("llm.example.com", 200),
        ("LLM.example.com.:443", 200),
        ("a.corp.example", 200),
        ("a.b.corp.example", 200),
        ("corp.example", 421),
        ("x.llm.example.com", 421),
        ("evilcorp.example", 421),
        ("localhost", 200),
    ],
)
async def test_configured(through: Through, host: str, status: int) -> None:
    """Promise 23: OPENROUTER_ALLOWED_HOSTS adds names, and all names below one."""
    client, *_ = await through(allowed_hosts="llm.example.com, *.corp.example")
    assert (await client.ask(get(host))).status == status


@pytest.mark.parametrize("path", ["/v1/models", "/api/alpha/x", "/api/beta/x", "/api/v1/models?a=http://localhost/"])
@reaches_no_upstream
async def test_every_forwarded_path(through: Through, path: str) -> None:
    """Promise 23: there is no path on which it does not count."""
    client, upstream, _ = await through()
    response = await client.ask(message(f"GET {path} HTTP/1.1", "Host: evil.example"))
    assert response.status == 421
    assert not upstream.connections


async def test_a_forwarded_host_is_nobodys_word(through: Through) -> None:
    """Promise 23: only `Host` counts, whatever other headers say."""
    client, upstream, _ = await through(allowed_hosts="llm.example.com")
    lines = ["X-Forwarded-Host: localhost", "Forwarded: host=localhost", "X-Host: localhost"]
    response = await client.ask(message("GET /api/v1/models HTTP/1.1", "Host: evil.example", *lines))
    assert response.status == 421
    assert not upstream.connections


@pytest.mark.parametrize(("named", "status"), [("evil.example", 421), ("localhost:6767", 200)])
async def test_the_authority_of_an_absolute_target_counts(through: Through, named: str, status: int) -> None:
    """Promise 23: it stands for `Host` (RFC 9112, 3.2.2), which helps nothing beside it."""
    client, *_ = await through()
    request = message(f"GET http://{named}/api/v1/models HTTP/1.1", "Host: localhost")
    assert (await client.ask(request)).status == status


async def test_a_client_without_a_host_is_no_browser(through: Through) -> None:
    """Promise 23: an HTTP/1.0 client that sends no Host is served."""
    client, *_ = await through()
    assert (await client.ask(message("GET /api/v1/models HTTP/1.0"))).status == 200
