"""Podman without its daemon's comforts: no registry, no systemd; as root, with a base image of Debian's own packages.

Whatever it keeps between two runs on one machine is in Podman's own storage: the base image, and the layers of the
build. Docker's engine would do as well, but needs a registry for a base image, which a sandbox does not reach.
"""

import asyncio
import configparser
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.proxies import ROOT
from tests.support.waiting import eventually

NEEDED = ("podman", "buildah", "runc", "catatonit", "iptables", "debootstrap")
PACKAGES = "podman buildah runc catatonit netavark aardvark-dns iptables debootstrap"
SUITE = "trixie"  # Python 3.13, as in the image that the Dockerfile names
BASE = f"localhost/openrouter-proxy-tests/base:{SUITE}-1"
IMAGE = "localhost/openrouter-attribution-proxy:tests"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "openrouter-proxy-tests")

_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")  # a machine behind a company's proxy has its authority in there

_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@cache
def missing() -> str | None:
    """Why no container can be run here, and what to do; None if one can."""
    if sys.platform != "linux":
        return "containers are tested on Linux only"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install --no-install-recommends {PACKAGES}"
    if os.geteuid() != 0:
        return "containers are tested as root only: the networks and the base image need it"
    return None


def settings() -> Path:
    """The file by which Podman, podman-compose and Buildah know how to run on such a machine."""
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / "containers.conf"
    file.write_text(_CONF)
    return file


def command(*arguments: str, check: bool = True, within: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a program of the engine; its output is part of a failure."""
    ran = subprocess.run(
        arguments,
        env={**os.environ, "CONTAINERS_CONF": str(settings())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    assert ran.returncode == 0 or not check, f"{' '.join(arguments)}: {ran.stdout}{ran.stderr}"
    return ran


def podman(*arguments: str, check: bool = True, within: float = 60) -> str:
    return command("podman", *arguments, check=check, within=within).stdout.strip()


# The image


@contextmanager
def turn() -> Iterator[None]:
    """One run of the tests at a time makes images."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build() -> str:
    """The image, from the Dockerfile as it is; what has not changed since the last run is not made again."""
    with turn():
        _make_base()
        mounts = [argument for here, there in _index_settings() for argument in ("--volume", f"{here}:{there}:ro")]
        command(
            *("buildah", "build", "--isolation", "chroot", "--format", "docker", "--layers"),
            *("--build-arg", f"BASE_IMAGE={BASE}", *mounts, "--tag", IMAGE, str(ROOT)),
            within=300,
        )
    return IMAGE


def _make_base() -> None:
    if command("podman", "image", "exists", BASE, check=False).returncode == 0:
        return
    tree = KEPT / "base"
    shutil.rmtree(tree, ignore_errors=True)
    packages = "--include=python3,python3-venv,ca-certificates"
    command("debootstrap", "--variant=minbase", packages, SUITE, str(tree), within=300)
    (tree / "usr/bin/python").symlink_to("python3")
    for useless in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(tree / useless, ignore_errors=True)
    archive = KEPT / "base.tar"
    command("tar", "-C", str(tree), "-cf", str(archive), ".", within=120)
    podman("import", str(archive), BASE, within=120)
    archive.unlink()
    shutil.rmtree(tree)


def _index_settings() -> list[tuple[Path, Path]]:
    """Where this machine's pip finds packages, and whom it trusts: mounted for the build, never part of the image."""
    given: dict[str, str] = {}
    home = Path.home()
    for file in ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"):
        parser = configparser.RawConfigParser()
        parser.read(file)
        given |= {name: value for section in parser.sections() for name, value in parser.items(section)}
    given |= {name[4:].lower().replace("_", "-"): value for name, value in os.environ.items() if name[:4] == "PIP_"}
    names = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert")
    # Without the folders of this machine: an index there may be links to other folders.
    kept = {name: " ".join(word for word in given.get(name, "").split() if word[:5] != "file:") for name in names}
    merged = KEPT / "pip.conf"
    merged.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in kept.items() if value), ""]))
    trusted = {path for path in (Path(given.get("cert", "")), _TRUSTED) if path.is_file()}
    return [(merged, Path("/etc/pip.conf")), *((path, path) for path in trusted)]


# Networks and containers


def name() -> str:
    return f"orp-{uuid.uuid4().hex[:10]}"


@contextmanager
def network() -> Iterator[str]:
    """A bridge of its own, of both families of addresses, whose containers know each other by name."""
    made = name()
    podman("network", "create", "--ipv6", made)
    try:
        yield made
    finally:
        podman("network", "rm", "--force", made)


class Memory(NamedTuple):
    """Bytes: the limit, now, and at most ever; and how many processes were killed for it."""

    limit: int
    now: int
    most: int
    killed: int


@dataclass(frozen=True)
class Container:
    """One that was started; `id` is its name."""

    id: str

    @property
    def log(self) -> str:
        ran = command("podman", "logs", self.id)
        return ran.stdout + ran.stderr

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(podman("inspect", self.id))[0]["State"]
        return state

    def check_health(self) -> tuple[int, str]:
        """What the image's HEALTHCHECK says now: its exit code, and the state that the engine makes of it."""
        code = command("podman", "healthcheck", "run", self.id, check=False).returncode
        return code, self.state["Health"]["Status"]

    def run(self, *arguments: str, check: bool = True) -> str:
        return podman("exec", self.id, *arguments, check=check)

    def published(self, port: int) -> int:
        return int(podman("port", self.id, f"{port}/tcp").rpartition(":")[2])

    def address(self, on: str) -> tuple[str, str]:
        """Its addresses on a network, of either family."""
        there = json.loads(podman("inspect", self.id))[0]["NetworkSettings"]["Networks"][on]
        return there["IPAddress"], there["GlobalIPv6Address"]

    @property
    def memory(self) -> Memory:
        """The kernel's account of it, by cgroup v2 or v1."""
        path = self.state["CgroupPath"]
        folder = Path(f"/sys/fs/cgroup{path}")
        names = ["max", "current", "peak", "events"]
        if not folder.exists():
            folder = Path(f"/sys/fs/cgroup/memory{path}")
            names = ["limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "oom_control"]
        limit, now, most, events = ((folder / f"memory.{name}").read_text() for name in names)
        killed = re.search(r"^oom_kill (\d+)$", events, re.MULTILINE)
        assert killed
        return Memory(int(limit), int(now), int(most), int(killed[1]))

    async def until_it_says(self, text: str, within: float = 30) -> None:
        await eventually(lambda: text in self.log, lambda: f"{text!r} in {self.log!r}", within=within)

    async def until_ready(self) -> None:
        """Until its own health check is content: Podman without systemd has no timer that would ask."""
        await eventually(lambda: self.check_health()[0] == 0, lambda: f"health, in {self.log!r}", within=30)

    async def stop(self, grace: int) -> float:
        """Sends SIGTERM, and SIGKILL after the grace; returns the seconds it took."""
        began = time.monotonic()
        await asyncio.to_thread(podman, "stop", "--time", str(grace), self.id, within=grace + 30)
        return time.monotonic() - began


@contextmanager
def container(*arguments: str, image: str = IMAGE, options: Sequence[str] = ()) -> Iterator[Container]:
    """Runs one until the block is left; `options` are those of `podman run`, `arguments` the proxy's."""
    started = Container(name())
    try:
        podman("run", "--detach", "--name", started.id, *options, image, *arguments)
        yield started
    finally:
        podman("rm", "--force", "--time", "0", started.id, check=False)


@asynccontextmanager
async def ready(*arguments: str, options: Sequence[str] = ()) -> AsyncIterator[Container]:
    """As `container`, once the proxy in it takes requests."""
    with container(*arguments, options=options) as started:
        await started.until_ready()
        yield started
