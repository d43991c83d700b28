"""Whose certificates are believed: those that httpx2 believes, in every environment."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import trustme

from proxy.upstream.trust import tls_context
from tests.support.proxies import ROOT, spawned

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
    flags = context.verify_flags & ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)  # see below
    return [context.verify_mode, context.check_hostname, flags, context.minimum_version, loaded]


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
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    file, folder = str(tmp_path / "cert.pem"), str(tmp_path / "certs")
    places = ssl.DefaultVerifyPaths(file, folder, "SSL_CERT_FILE", file, "SSL_CERT_DIR", folder)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: places)
    assert believed(monkeypatch, tls_context) == believed(monkeypatch, httpx.create_ssl_context)


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_the_same_checks_however_they_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, named: dict[str, str]
) -> None:
    """As curl has it: Python 3.13 is stricter if a variable names them, and 3.11 needs the root of each chain."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    authority.cert_pem.write_to_path("mine.pem")
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    context = tls_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name


def test_where_openssl_looks_nobody_may_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that may not be entered is as good as none, as httpx2 has it."""
    real = os.stat

    def stat(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if Path(path).is_relative_to(tmp_path):
            raise PermissionError
        return real(path, *args, **kwargs)

    file, folder = str(tmp_path / "cert.pem"), str(tmp_path / "certs")
    places = ssl.DefaultVerifyPaths(file, folder, "SSL_CERT_FILE", file, "SSL_CERT_DIR", folder)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: places)
    monkeypatch.setattr(os, "stat", stat)
    assert believed(monkeypatch, tls_context) == believed(monkeypatch, httpx.create_ssl_context)


@pytest.mark.integration
@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(
    ("variable", "name", "fault"),
    [
        ("SSL_CERT_FILE", "nowhere.pem", "which is not there: let it name a PEM file"),
        ("SSL_CERT_FILE", "empty.pem", "which holds no certificate in the PEM format: let it name a PEM file"),
        ("SSL_CERT_FILE", "folder", "which "),  # what OpenSSL says of it differs
        ("SSL_CERT_DIR", "nowhere", "which is no folder: let it name a folder"),
        ("SSL_CERT_DIR", "empty.pem", "which is no folder: let it name a folder"),
    ],
)
async def test_what_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, variable: str, name: str, fault: str
) -> None:
    """A file or folder of certificates that cannot be used is named in one line, at the start, with what to do."""
    (tmp_path / "empty.pem").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv(variable, name)
    async with spawned(command, cwd=tmp_path, upstream_url="https://127.0.0.1:9") as child:
        assert await child.exit_code() == 2
    assert child.stdout == ""
    [line] = child.stderr.splitlines()
    assert line.startswith(f'error: {variable} names "{name}", {fault}')
    assert line.endswith(" of CA certificates, or unset it")


@pytest.mark.integration
def test_a_start_imports_no_http_client() -> None:
    """httpx2's own client, with all that it needs, is not loaded: it would be a fortieth of the memory."""
    script = (
        "import sys; from proxy.app import create_app; from proxy.settings.model import Settings;"
        "create_app(Settings(http_referer='https://app.example')); sys.exit('httpcore2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
