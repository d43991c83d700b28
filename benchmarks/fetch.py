"""Gets programs to compare with, into a cache folder: nothing is installed on the machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(__file__).parent / ".cache"
_WITHIN = 600  # seconds, for one program


class Missing(Exception):
    """A program cannot be had here; the text says why."""


def from_pypi(name: str, *packages: str) -> Path:
    """The ``bin`` folder of a virtual environment called ``name`` that has these packages. Raises `Missing`."""
    venv = CACHE / name
    done = venv / ".complete"
    wanted = " ".join(packages)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)])
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        _run([str(venv / "bin/python"), "-m", "pip", "install", *quiet, *packages])
        done.write_text(wanted)
    return venv / "bin"


def version_in(bin_folder: Path, package: str) -> str:
    """Of a package in a virtual environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _run([str(bin_folder / "python"), "-c", code]).strip()


def from_debian(program: str, *packages: str) -> tuple[Path, dict[str, str]]:
    """A program, and the environment that it needs: the machine's own one, or unpacked from Debian's packages.

    Raises `Missing`.
    """
    if installed := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"):
        return Path(installed), {}
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing("not installed, and this is not a Debian")
    folder = CACHE / program
    root = folder / "root"
    if not root.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            _run(["apt-get", "download", *packages], folder)
        except Missing:
            if os.geteuid() != 0:
                raise
            _run(["apt-get", "update"], folder)
            _run(["apt-get", "download", *packages], folder)
        unpacked = folder / "unpacked"
        for package in folder.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)])
        unpacked.rename(root)
    libraries = ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu*"))
    return root / "usr/sbin" / program, {"LD_LIBRARY_PATH": libraries}


def output_of(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """What a program prints, on either stream. Raises `Missing` if it fails."""
    return _run(command, environment=environment).strip()


def _run(command: Sequence[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - of our own making
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{Path(command[0]).name}: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise Missing(f"{Path(command[0]).name} failed: {lines[-1] if lines else done.returncode}")
    return done.stdout
