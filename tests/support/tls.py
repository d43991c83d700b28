"""Throw-away certificates."""

import ssl
from pathlib import Path

import trustme


def server_context(certificate: trustme.CA | trustme.LeafCert, name: str = "localhost") -> ssl.SSLContext:
    """For an upstream with that certificate; or of that name, certified by that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = certificate.issue_cert(name) if isinstance(certificate, trustme.CA) else certificate
    leaf.configure_cert(context)
    return context


def bundle(authority: trustme.CA, folder: Path) -> Path:
    """A file for SSL_CERT_FILE with which that authority, and no other, is trusted."""
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path
