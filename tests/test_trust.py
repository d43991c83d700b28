"""Whose certificates are believed: those that httpx2 believes, in every environment."""

import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from proxy.upstream.trust import tls_context
from tests.support.proxies import ROOT

COMPILED_IN = {
    "nothing": [],
    "a file": ["cert.pem"],
    "a folder": ["certs/0a1b2c3d.0"],
    "a file and a folder": ["cert.pem", "certs/0a1b2c3d.0"],
    "a file and a folder without names to be found by": ["cert.pem", "certs/ca.pem"],
    "a folder without names to be found by": ["certs/ca.pem"],
    "an empty folder": ["certs/"],
}
NAMED = {
    "none": {},
    "a file": {"SSL_CERT_FILE": "mine.pem"},
    "a folder": {"SSL_CERT_DIR": "mine"},
    "both": {"SSL_CERT_FILE": "mine.pem", "SSL_CERT_DIR": "mine"},
    "two empty ones": {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""},
}


def believed(monkeypatch: pytest.MonkeyPatch, make: Callable[[], ssl.SSLContext]) -> list[object]:
    """What a context made so is to load, and how it checks."""
    loaded: list[object] = []

    def load(context: ssl.SSLContext, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        loaded.append((cafile, capath, cadata))

    with monkeypatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", load)
        patch.setattr(ssl.SSLContext, "load_default_certs", lambda context, purpose=None: loaded.append("default"))
        context = make()
    return [context.verify_mode, context.check_hostname, context.verify_flags, context.minimum_version, loaded]


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("files", COMPILED_IN.values(), ids=COMPILED_IN)
def test_as_httpx2_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str], named: dict[str, str]
) -> None:
    """The same file and folder are asked, with the same checks, whatever the environment names and the system has."""
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True) if name.endswith("/") else path.touch()
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    file, folder = str(tmp_path / "cert.pem"), str(tmp_path / "certs")
    places = ssl.DefaultVerifyPaths(file, folder, "SSL_CERT_FILE", file, "SSL_CERT_DIR", folder)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: places)
    assert believed(monkeypatch, tls_context) == believed(monkeypatch, httpx.create_ssl_context)


def test_a_start_imports_no_http_client() -> None:
    """httpx2's own client, with all that it needs, is not loaded: it would be a fortieth of the memory."""
    script = (
        "import sys; from proxy.app import create_app; from proxy.settings import Settings;"
        "create_app(Settings(http_referer='https://app.example')); sys.exit('httpcore2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
