"""A command that the program tells its reader to type is one that works there."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import __version__
from proxy.commands import program
from proxy.commands.program import start_command
from tests.support.proxies import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for POSIX shells")


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one directory in which the shell looks for programs; there is none yet."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a blank in its name, in which the package is taken to be."""
    directory = tmp_path / "some where"
    directory.mkdir()
    monkeypatch.setattr(program, "__file__", str(directory / "proxy/commands/program.py"))
    return directory


def executable(path: Path) -> None:
    """Makes a script that runs this program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m proxy "$@"\n')
    path.chmod(0o755)


def starts_it(command: str) -> bool:
    line = f"OPENROUTER_HTTP_REFERER=https://your-app.example {command} --version"
    shell = ["/bin/sh", "-c", line]
    result = subprocess.run(
        shell, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    return result.stdout == f"openrouter-proxy, version {__version__}\n"


@pytest.mark.integration
def test_the_name_where_the_shell_finds_it(path: Path) -> None:
    """Also in a checkout: it is the shortest."""
    executable(path / "openrouter-proxy")
    assert start_command() == "openrouter-proxy"
    assert starts_it(start_command())


def test_the_script_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the README has it, for who stands in the checkout."""
    monkeypatch.chdir(ROOT)
    assert start_command() == "scripts/serve"
    assert os.access(start_command(), os.X_OK)


@pytest.mark.integration
def test_the_script_from_another_directory(elsewhere: Path, tmp_path: Path) -> None:
    """With its whole path, even if another project has one of that name here."""
    executable(elsewhere / "scripts/serve")
    executable(tmp_path / "scripts/serve")
    assert start_command() == f"'{elsewhere}/scripts/serve'"
    assert starts_it(start_command())


@pytest.mark.integration
def test_the_module_where_there_is_neither(elsewhere: Path) -> None:
    """Such as in a virtual environment that is not active."""
    assert start_command() == f"{shlex.quote(sys.executable)} -P -m proxy"
    assert starts_it(start_command())


@pytest.mark.integration
def test_the_module_imports_nothing_of_the_directory(elsewhere: Path, tmp_path: Path) -> None:
    """A cloned repository may hold a `click.py`."""
    (tmp_path / "click.py").write_text("raise SystemExit('imported from here')")
    assert starts_it(start_command())


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's last words do not fail because somebody removed the directory meanwhile."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert start_command() == shlex.quote(f"{ROOT}/scripts/serve")
