"""Which certificates are believed: what httpx2 believes, for less.

For a few lines, `httpx.create_ssl_context` imports all of an HTTP client that is not used here (httpx2 2.16: 1.3 MB,
and a sixth of a start's time). Where nearly everybody is, this does what those lines do; elsewhere it calls them.
"""

import os.path
import re
import ssl
import sys
from pathlib import Path

from proxy.faults import quoted
from proxy.settings.environment import read_environment

_INSTEAD = "let it name a {} of CA certificates, or unset it"
_HASHED_NAME = re.compile(r"[0-9a-fA-F]{8}\.\d")  # by which OpenSSL finds a certificate in a folder


class CannotTrust(Exception):
    """What ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names cannot be used; the text is one line that says what to do."""


def tls_context() -> ssl.SSLContext:
    """For a client: trusts ``SSL_CERT_FILE`` alone, or ``SSL_CERT_DIR`` alone, or the system. Speaks HTTP/1.1.

    Raises `CannotTrust`.
    """
    context = _context()
    context.set_alpn_protocols(["http/1.1"])
    if type(context) is ssl.SSLContext:  # elsewhere the system checks, by rules of its own
        _check_as_curl_does(context)
    context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE would lay bare every key (bpo-34271)
    return context


def check_named() -> None:
    """See whether what ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names can be used, if they are set; else `CannotTrust`."""
    if read_environment("SSL_CERT_FILE") or read_environment("SSL_CERT_DIR"):
        _context()


def _check_as_curl_does(context: ssl.SSLContext) -> None:
    """The same on every Python, wherever the trusted certificates come from; name and chain are always checked."""
    # A company's CA may have nothing but basicConstraints=CA:TRUE: Python 3.13 refuses it, if SSL_CERT_FILE names it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # Whoever trusts the CA that issues, need not have the one above; so Python 3.13 has it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False  # RFC 9110, 4.3.4
    # A renegotiation (TLS 1.2) has no use, and cost us what the other side wanted: RFC 9113, 9.2.1 forbids it as well.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Python before 3.11.4 asks OpenSSL to take an end without close_notify for one with it.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF


def _context() -> ssl.SSLContext:
    if file := read_environment("SSL_CERT_FILE"):
        return _trusting_file(file)
    if folder := read_environment("SSL_CERT_DIR"):
        if not os.path.isdir(folder):  # noqa: PTH112 - see _found_by_openssl
            raise CannotTrust(f"SSL_CERT_DIR names {quoted(folder)}, which is no folder: {_INSTEAD.format('folder')}")
        return ssl.create_default_context(capath=folder)
    file, folder = _found_by_openssl()
    if file is None and folder is None:
        # The verifier of Windows and macOS; or the places where Linux distributions keep what OpenSSL does not find.
        import httpx2 as httpx  # noqa: PLC0415 - not for `check`, which calls nobody

        return httpx.create_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file, folder)
    return context


def _trusting_file(file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file)
    except FileNotFoundError:
        fault = "which is not there"
    except ssl.SSLError:
        fault = "which holds no certificate in the PEM format"
    except OSError as error:
        fault = f"which cannot be read ({error.strerror})"
    raise CannotTrust(f"SSL_CERT_FILE names {quoted(file)}, {fault}: {_INSTEAD.format('PEM file')}")


def _found_by_openssl() -> tuple[str | None, str | None]:
    """The file and the folder of certificates for which it was built, if they hold any."""
    if sys.platform in ("win32", "darwin"):
        return None, None
    places = ssl.get_default_verify_paths()
    # Unlike `Path.is_file` (before Python 3.14), these say False where the folder above may not be entered.
    file = places.openssl_cafile if os.path.isfile(places.openssl_cafile) else None  # noqa: PTH113
    folder = places.openssl_capath if os.path.isdir(places.openssl_capath) else None  # noqa: PTH112
    if folder and not file and not any(_HASHED_NAME.fullmatch(path.name) for path in Path(folder).iterdir()):
        folder = None
    return file, folder
