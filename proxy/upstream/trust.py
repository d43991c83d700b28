"""Which certificates are believed: what httpx2 believes, for less.

For a few lines, `httpx.create_ssl_context` imports all of an HTTP client that is not used here (httpx2 2.16: 1.3 MB,
and a sixth of a start's time). Where nearly everybody is, this does what those lines do; elsewhere it calls them.
"""

import re
import ssl
import sys
from pathlib import Path

import httpx2 as httpx

from proxy.loading import read_environment

_HASHED_NAME = re.compile(r"[0-9a-fA-F]{8}\.\d")  # by which OpenSSL finds a certificate in a folder


def tls_context() -> ssl.SSLContext:
    """For a client: trusts ``SSL_CERT_FILE`` alone, or ``SSL_CERT_DIR`` alone, or the system. Speaks HTTP/1.1."""
    context = _context()
    context.set_alpn_protocols(["http/1.1"])
    context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE would lay bare every key (bpo-34271)
    return context


def _context() -> ssl.SSLContext:
    if file := read_environment("SSL_CERT_FILE"):
        return ssl.create_default_context(cafile=file)
    if folder := read_environment("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=folder)
    file, folder = _found_by_openssl()
    if file is None and folder is None:
        # The verifier of Windows and macOS; or the places where Linux distributions keep what OpenSSL does not find.
        return httpx.create_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file, folder)
    return context


def _found_by_openssl() -> tuple[str | None, str | None]:
    """The file and the folder of certificates for which it was built, if they hold any."""
    if sys.platform in ("win32", "darwin"):
        return None, None
    places = ssl.get_default_verify_paths()
    file, folder = Path(places.openssl_cafile), Path(places.openssl_capath)
    has_file, has_folder = file.is_file(), folder.is_dir()
    if has_folder and not has_file:
        has_folder = any(_HASHED_NAME.fullmatch(path.name) for path in folder.iterdir())
    return str(file) if has_file else None, str(folder) if has_folder else None
