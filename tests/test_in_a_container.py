"""What is told only where the proxy runs in a container."""

import os
import socket
from pathlib import Path

import pytest

from proxy.server.sockets import open_sockets
from proxy.settings import surroundings
from proxy.settings.addresses import Listen
from proxy.settings.sources import load_settings
from tests.support.proxies import IDENTITY

IN_A_CONTAINER = "which in a container is the container itself"


@pytest.mark.parametrize("parent", [0, 1])
@pytest.mark.parametrize("mark", ["variable", "file"])
@pytest.mark.parametrize("listen", ["127.0.0.1:6767", "localhost:8080", "[::1]:6767"])
def test_its_own_loopback_is_doubted(
    listen: str, mark: str, parent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else everything looks healthy, and the published port answers nobody."""
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if mark == "variable":
        monkeypatch.setenv("container", "podman")
    else:
        (tmp_path / ".dockerenv").touch()
        monkeypatch.setattr(surroundings, "_MARKS", (tmp_path / ".dockerenv",))
    monkeypatch.setenv("OPENROUTER_LISTEN", listen)
    (warning,) = (each for each in load_settings(IDENTITY).warnings if IN_A_CONTAINER in each)
    assert warning.startswith(f"OPENROUTER_LISTEN is {listen}, ")
    assert f"set [::]:{listen.rpartition(':')[2]} instead" in warning


@pytest.mark.parametrize(
    ("parent", "environment"),
    [
        (0, {"OPENROUTER_LISTEN": "[::]:6767", "container": "podman"}),
        (0, {"OPENROUTER_LISTEN": "127.0.0.1:6767", "container": "oci", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
        (17, {"OPENROUTER_LISTEN": "127.0.0.1:6767", "container": "podman"}),
        (1, {"OPENROUTER_LISTEN": "127.0.0.1:6767"}),
    ],
    ids=["every address", "a sidecar in a pod", "from a shell in a container", "a service of the system"],
)
def test_nothing_else_is(parent: int, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setattr(surroundings, "_MARKS", ())
    for name in ("container", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not [each for each in load_settings(IDENTITY).warnings if IN_A_CONTAINER in each]


@pytest.mark.integration
def test_every_address_is_those_of_ipv4_where_the_kernel_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image listens on [::] and must start on a host that was booted with ipv6.disable=1 as well."""

    class NoIPv6(socket.socket):
        def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, kind, proto, fileno)

    with monkeypatch.context() as kernel:
        kernel.setattr(socket, "socket", NoIPv6)
        (opened,) = open_sockets(Listen("::", 0))
    with opened:
        assert opened.family == socket.AF_INET
        assert opened.getsockname()[0] == "0.0.0.0"
