"""The linter holds the architecture: what these snippets try is refused."""

import subprocess
import sys

import pytest

from tests.support.proxies import ROOT

pytestmark = pytest.mark.integration

FORBIDDEN = [
    ("import os\n\nHOME = os.environ['HOME']", "proxy/forward/forwarder.py"),
    ("import os\n\nHOME = os.getenv('HOME')", "proxy/commands/check.py"),
    ("from os import environ\n\nHOME = environ['HOME']", "proxy/app.py"),
    ("import os\n\nHOME = os.environ['HOME']", "proxy/settings/model.py"),
    ("import httpx2 as httpx\n\nCLIENT = httpx.AsyncClient()", "proxy/forward/forwarder.py"),
    ("from httpx2 import Client\n\nCLIENT = Client()", "proxy/upstream/pool.py"),
    ("import httpx2 as httpx\n\nhttpx.get('https://openrouter.ai')", "proxy/app.py"),
    ("import httpx\n\nTIMEOUT = httpx.Timeout(1)", "proxy/upstream/pool.py"),
    ("import asyncio\n\nTASK = asyncio.create_task(asyncio.sleep(1))", "proxy/forward/forwarder.py"),
    ("import asyncio\n\nTASK = asyncio.ensure_future(asyncio.sleep(1))", "proxy/middleware/record.py"),
    ("from . import headers", "proxy/app.py"),
]
ALLOWED = [
    ("import os\n\nHOME = os.environ['HOME']", "proxy/settings/environment.py"),
    ("import os\n\nHOME = os.environ['HOME']", "tests/test_app.py"),
    ("import httpx2 as httpx\n\nCLIENT = httpx.AsyncClient()", "proxy/commands/demo.py"),
    ("import httpx2 as httpx\n\nTRANSPORT = httpx.AsyncHTTPTransport()", "proxy/upstream/transport.py"),
]


def violations(code: str, path: str) -> str:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID", "--output-format", "concise"]
    result = subprocess.run(
        [*command, "--stdin-filename", path, "-"], input=code, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode in (0, 1), result.stderr
    return result.stdout if result.returncode else ""


@pytest.mark.parametrize(("code", "path"), FORBIDDEN)
def test_forbidden(code: str, path: str) -> None:
    """Each has one place, or none."""
    assert "TID25" in violations(code, path)


@pytest.mark.parametrize(("code", "path"), ALLOWED)
def test_allowed(code: str, path: str) -> None:
    """And there it may be."""
    assert not violations(code, path)
