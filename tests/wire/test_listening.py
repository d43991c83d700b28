"""Where the proxy listens: at every address that its name has here, and only if nobody else does at one of them."""

import socket
from pathlib import Path

import pytest

from proxy.server import sockets
from proxy.server.sockets import CannotListen, open_sockets
from proxy.settings.addresses import Listen
from tests.support.client import Client, get
from tests.support.fixtures import OpenUpstream, StartProcess, StartProxy, Through
from tests.support.footprint import Footprint
from tests.support.ports import Reserved
from tests.support.proxies import spawned

pytestmark = pytest.mark.integration

LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


def _has_both() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_both = pytest.mark.skipif(not _has_both(), reason="this machine has no ::1")


@needs_both
@pytest.mark.parametrize("host", LOOPBACK)
async def test_localhost_is_every_loopback_address(upstream: OpenUpstream, proxy_for: StartProxy, host: str) -> None:
    """A tool that tries only one address of `localhost` reaches the proxy at either."""
    proxy = await proxy_for(await upstream(), listen="localhost:0")
    assert proxy.address.host == "localhost"
    client = await Client.open(Reserved(host, proxy.port))
    assert (await client.ask(get())).status == 200
    await client.aclose()


@needs_both
@pytest.mark.parametrize("taken", LOOPBACK)
@pytest.mark.parametrize("name", ["localhost", "proxy.localhost"])
async def test_another_program_at_one_of_them(footprint: Footprint, tmp_path: Path, taken: str, name: str) -> None:
    """It would be given the keys of tools that call `localhost`: the proxy does not start, and names the address."""
    [free] = set(LOOPBACK) - {taken}
    with (
        socket.create_server((taken, 0), family=LOOPBACK[taken]) as other,
        socket.socket(LOOPBACK[free]) as holder,  # so that nobody else takes the port there
    ):
        port = other.getsockname()[1]
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((free, port))
        async with spawned("serve", cwd=tmp_path, listen=f"{name}:{port}", upstream_url="http://127.0.0.1:9") as child:
            assert await child.exit_code() == 1
    [line] = child.stderr.splitlines()
    shown = f"[{taken}]" if ":" in taken else taken
    assert line.startswith(f"error: Cannot listen on {shown}:{port} (for {name}:{port}): the port is taken")
    assert child.stdout == ""


async def test_localhost_is_the_default(footprint: Footprint, tmp_path: Path) -> None:
    """What the recipes call is where the proxy listens, if nobody says otherwise."""
    async with spawned("check", cwd=tmp_path, listen="", upstream_url="http://127.0.0.1:9") as child:
        assert await child.exit_code() == 0
    assert "localhost:6767" in child.stdout


def test_an_address_that_no_interface_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name has an address that this machine has not, it listens at the others, and fails if none is left."""
    elsewhere = (socket.AF_INET6, "2001:db8::1")
    monkeypatch.setattr(sockets, "_LOOPBACK", [elsewhere, (socket.AF_INET, "127.0.0.1")])
    [opened] = open_sockets(Listen("localhost", 0))
    with opened:
        assert opened.getsockname()[0] == "127.0.0.1"
    monkeypatch.setattr(sockets, "_LOOPBACK", [elsewhere])
    with pytest.raises(CannotListen, match=r"^Cannot listen on \[2001:db8::1\]:0 \(for localhost:0\): no netw"):
        open_sockets(Listen("localhost", 0))


@needs_both
def test_any_port_is_one_that_is_free_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 0 is the same port at both addresses, though another program may hold the first that the system offers."""
    taken = {"left": 2}
    create = socket.create_server

    def busy(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        if address[0] == "::1" and taken["left"]:
            taken["left"] -= 1
            raise OSError(98, "Address already in use")
        return create(address, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_server", busy)
    opened = open_sockets(Listen("localhost", 0))
    ports = {each.getsockname()[1] for each in opened}
    for each in opened:
        each.close()
    assert (len(opened), len(ports), taken["left"]) == (2, 1, 0)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel's table tells (Linux)")
async def test_a_silent_client_is_asked_whether_it_is_there(through: Through) -> None:
    """TCP keep-alive runs on the connections that tools open: a NAT forgets one on which nothing moves for minutes."""
    client, _, proxy = await through()
    assert (await client.ask(get())).status == 200
    theirs = client.transport.get_extra_info("sockname")[1]
    ends = f":{proxy.port:04X}", f":{theirs:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    [row] = [row for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1])]
    assert row[5].startswith("02:")  # proc(5): the keep-alive timer is pending


async def test_a_process_says_where(upstream: OpenUpstream, proxy_process: StartProcess) -> None:
    """The line at the start names what was asked for, with the port that it got."""
    proxy = await proxy_process(await upstream(), listen="localhost:0")
    assert f'"listening on http://localhost:{proxy.port}"' in proxy.stdout
