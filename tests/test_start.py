"""What a command imports before it answers: that is nearly all of the time that it takes (docs/performance.md)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.proxies import ROOT, as_process

pytestmark = pytest.mark.integration

_IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1", "COVERAGE_PROCESS_CONFIG": ""}  # the latter imports much of its own

_SERVER = frozenset({"anyio", "httptools", "httpx2", "multiprocessing", "proxy.app", "starlette", "uvicorn", "uvloop"})
_SETTINGS = frozenset({"asyncio", "dotenv", "email", "pydantic", "pydantic_settings", "proxy.settings.model", "ssl"})
_CLIENT = frozenset({"http.client", "urllib.request"})  # of the standard library
_NEEDED_LATER = frozenset({"h11", "httpcore2", "prometheus_client", "proxy.imitation", "python_socks", "truststore"})


def _imported(told: str) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


def _imports_of(*arguments: str, folder: Path, **settings: str) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **_IMPORTS, **settings}
    command = [sys.executable, "-m", "proxy", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout
    found = _imported(done.stderr)
    assert "click" in found
    return found


@pytest.mark.parametrize("arguments", ["--help", "--version", "tools", "run --help", "service --help"])
def test_what_needs_no_settings_imports_none(arguments: str, tmp_path: Path) -> None:
    """Help, the version and the list of tools take click, and neither the settings nor their libraries."""
    found = _imports_of(*arguments.split(), folder=tmp_path)
    assert not found & (_SETTINGS | _SERVER | _CLIENT | _NEEDED_LATER)


def test_check_imports_no_server_and_no_client(tmp_path: Path) -> None:
    """A check of the configuration takes the settings, and nothing that serves or calls."""
    found = _imports_of("check", folder=tmp_path, OPENROUTER_HTTP_REFERER="https://app.test")
    assert "pydantic_settings" in found
    assert not found & (_SERVER | _CLIENT | _NEEDED_LATER)


async def test_serve_imports_what_each_request_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start takes no library that only a page, a tunnel or another command needs."""
    for name, value in _IMPORTS.items():
        monkeypatch.setenv(name, value)
    async with as_process(None, cwd=tmp_path) as child:
        child.signal(signal.SIGTERM)
        assert await child.exit_code() == 0
    found = _imported(child.stderr)
    assert found >= {"starlette", "uvicorn", "httpx2"}
    assert not found & _NEEDED_LATER
