"""Fixtures for all tests: an empty environment, and the wire test kit with an owner for everything that it opens.

What a test opens is closed in the order client, proxy, upstream; then nothing may be left.
"""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NoReturn

import httpx2 as httpx
import pytest
import trustme
from hypothesis import settings

from proxy.settings import surroundings
from tests.support.canaries import pytest_configure, pytest_runtest_makereport  # noqa: F401 - hooks, for all tests
from tests.support.client import Address, Client
from tests.support.fixtures import Connect, OpenUpstream, Setup, StartProcess, StartProxy, Through
from tests.support.footprint import Footprint
from tests.support.loops import LOOPS
from tests.support.outbound import Asked, connect_proxy
from tests.support.profiles import CHOICES
from tests.support.proxies import Proxy, ProxyProcess, as_process, in_process
from tests.support.tls import bundle, server_context
from tests.support.upstream import Script, Upstream

# How long an example takes says nothing on a machine that has other things to do.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--containers", action="store_true", help="run what needs a container engine, as root (minutes)")
    parser.addoption("--full-size", action="store_true", help="carry as many streams as are promised, not a sample")
    parser.addoption("--profile", choices=CHOICES, default="none", help="what chooses the profile that tests are about")
    parser.addoption("--route", choices=("direct", "tls", "tunnel"), default="direct", help="how upstreams are reached")
    parser.addoption("--differential-minutes", type=float, default=0, help="how long the differential test goes on")
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew (tests/test_golden.py)")
    parser.addoption("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what opens sockets, and leave out what belongs to the run of another route, or cannot be with a token."""
    route = config.getoption("route")
    by_token = config.getoption("profile") == "token"
    here: list[pytest.Item] = []
    elsewhere: list[pytest.Item] = []
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"upstream", "proxy_for", "proxy_process", "connect", "through"}:
            item.add_marker("integration")
        only = item.get_closest_marker("only_route")
        belongs = only.args[0] == route if only else route == "direct" or "upstream" in fixtures
        if by_token and item.get_closest_marker("not_by_token"):
            belongs = False
        (here if belongs else elsewhere).append(item)
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = here


def pytest_sessionstart() -> None:
    """What a shell starts in its background, or `nohup`, ignores signals, and so would all that it starts."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    name: str = config.getoption("loop")
    return {name: LOOPS[name]}


@pytest.fixture(autouse=True)
def empty_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No setting, outbound proxy, certificate, file of settings or running proxy of this machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith(("OPENROUTER_", "OR_", "SSL_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    # Where a proxy leaves its address for `health`: not where the tests beside these look.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setattr(surroundings, "_MARKS", ())  # these tests may be all that a container runs, and doubt nothing
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def nothing_outside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test without the mark `integration` opens no socket and starts no process: scripts/check runs it."""
    if "not integration" not in request.config.option.markexpr or request.node.get_closest_marker("integration"):
        return

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        pytest.fail("This test opens a socket or starts a process: mark it with pytest.mark.integration.")

    for name in ("bind", "connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture
async def footprint() -> AsyncIterator[Footprint]:
    """Fails the test that leaves a socket, a task or an unseen error behind."""
    footprint = Footprint()
    yield footprint
    await footprint.check()


@pytest.fixture
def route_tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ssl.SSLContext] | None:
    """With ``--route tls``, what an upstream speaks of which the test does not say more; the proxy trusts it."""
    if request.config.getoption("route") != "tls":
        return None
    certificate, trust = request.getfixturevalue("route_certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(trust))
    return lambda: server_context(certificate)


@pytest.fixture(scope="session")
def route_certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.LeafCert, Path]:
    """One for all tests, as making one takes a while; and the file with which it is trusted."""
    return authority.issue_cert("localhost"), bundle(authority, tmp_path_factory.mktemp("route"))


@pytest.fixture
async def route_proxy(request: pytest.FixtureRequest, footprint: Footprint) -> AsyncIterator[str | None]:
    """With ``--route tunnel``, the outbound proxy through which upstreams are reached."""
    if request.config.getoption("route") != "tunnel":
        yield None
        return
    async with Upstream(connect_proxy(Asked())) as outbound:
        yield outbound.url


@pytest.fixture
async def upstream(
    footprint: Footprint, route_proxy: str | None, route_tls: Callable[[], ssl.SSLContext] | None
) -> AsyncIterator[OpenUpstream]:
    """Starts an upstream whose connections follow the scripts; at the end the proxy must have closed them all.

    A ``raw`` one gets the bytes of TCP, whatever the route: its scripts do TLS by themselves, or break it.
    """
    async with AsyncExitStack() as stack:
        started: list[Upstream] = []

        async def start(*scripts: Script, tls: ssl.SSLContext | None = None, raw: bool = False) -> Upstream:
            if tls is None and route_tls is not None and not raw:
                tls = route_tls()
            started.append(await stack.enter_async_context(Upstream(*scripts, tls=tls)))
            return started[-1]

        yield start
        for each in started:
            for n, connection in enumerate(each.connections):
                assert await connection.ended(within=3), f"upstream connection {n} was left open"


@pytest.fixture
async def proxy_for(
    request: pytest.FixtureRequest, upstream: OpenUpstream, route_proxy: str | None
) -> AsyncIterator[StartProxy]:
    """Starts a proxy in this process, for an upstream or for its URL."""
    choice = request.config.getoption("profile")
    outbound = {"outbound_proxy": route_proxy} if route_proxy else {}
    async with AsyncExitStack() as stack:

        async def start(
            upstream: Upstream | str, transport: httpx.AsyncBaseTransport | None = None, **settings: Any
        ) -> Proxy:
            url = upstream if isinstance(upstream, str) else upstream.url
            return await stack.enter_async_context(
                in_process(url, transport, choice=choice, **{**outbound, **settings})
            )

        yield start


@pytest.fixture
async def proxy_process(upstream: OpenUpstream, tmp_path: Path) -> AsyncIterator[StartProcess]:
    """Starts `python -m proxy serve` for an upstream."""
    async with AsyncExitStack() as stack:

        async def start(
            upstream: Upstream, *arguments: str, prefix: Sequence[str] = (), **settings: str
        ) -> ProxyProcess:
            process = as_process(upstream, *arguments, cwd=tmp_path, prefix=prefix, **settings)
            return await stack.enter_async_context(process)

        yield start


@pytest.fixture
async def connect(proxy_for: StartProxy, proxy_process: StartProcess) -> AsyncIterator[Connect]:
    """Opens raw client connections."""
    clients: list[Client] = []

    async def open_client(address: Address) -> Client:
        clients.append(await Client.open(address))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.aclose()
    # Turns of the loop in which the proxy sees that, so that it need not wait for them when it stops.
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def through(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> Through:
    """The usual set-up in one call: an upstream with those scripts, a proxy with those settings, one client."""

    async def start(*scripts: Script, **settings: Any) -> Setup:
        behind = await upstream(*scripts)
        proxy = await proxy_for(behind, **settings)
        return Setup(await connect(proxy), behind, proxy)

    return start


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """For an upstream that the proxy trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    return server_context(authority)
