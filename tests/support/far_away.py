"""An upstream that the kernel takes for another machine: a network namespace behind a cable (Linux, root, iproute2)."""

import asyncio
import ctypes
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tests.support.upstream import Script, Upstream, UpstreamConnection

_CLONE_NEWNET = 0x40000000


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)  # noqa: S607 - wherever iproute2 is


@cache
def _allowed() -> bool:
    try:
        with far_away():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


class FarAway:
    """The machine at the other end."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def listening(self) -> socket.socket:
        """A socket that listens there; whoever has it accepts from here."""
        made: list[socket.socket] = []

        def make() -> None:
            # A thread has a namespace of its own; a socket stays in the one in which it was made.
            with Path(f"/run/netns/{self.name}").open() as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET):
                    return
            made.append(socket.create_server((self.address, 0)))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def vanish(self) -> None:
        """From now on nothing arrives there, and nobody says so."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def come_back(self) -> None:
        _ip("-n", self.name, "link", "set", "eth0", "up")


@contextmanager
def far_away() -> Iterator[FarAway]:
    """Another machine, with a cable to this one, and a pair of the addresses for benchmarks (RFC 2544)."""
    pair = 4 * (os.getpid() % 2**15)
    here, there = (f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in (pair + 1, pair + 2))
    far = FarAway(f"proxy-test-{os.getpid()}", there)
    cable = f"pt{os.getpid()}"
    _ip("netns", "add", far.name)
    try:
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", far.name)
        _ip("address", "add", f"{here}/30", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", far.name, "address", "add", f"{there}/30", "dev", "eth0")
        _ip("-n", far.name, "link", "set", "lo", "up")
        _ip("-n", far.name, "link", "set", "eth0", "up")
        yield far
    finally:
        with suppress(subprocess.CalledProcessError):  # there is none yet
            _ip("link", "delete", cable)
        _ip("netns", "delete", far.name)


class FarUpstream(Upstream):
    """An upstream on that machine."""

    def __init__(self, far: FarAway, *scripts: Script, tls: ssl.SSLContext) -> None:
        super().__init__(*scripts, tls=tls)
        self.host = self.name = far.address
        self._listening = far.listening()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: UpstreamConnection(self), sock=self._listening, ssl=self.tls)
        self.port = self._listening.getsockname()[1]


needs_another_machine = pytest.mark.skipif(
    not _allowed(), reason="this machine allows no network namespaces (ip netns add, as root, with iproute2)"
)
