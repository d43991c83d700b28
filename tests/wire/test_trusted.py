"""Which certificates of an upstream are believed, and what the log says of one that is not."""

import datetime as dt
import ipaddress
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.aftermath import OWN, sound
from tests.support.client import post
from tests.support.fixtures import Connect, OpenUpstream, StartProxy
from tests.support.upstream import UpstreamConnection

pytestmark = pytest.mark.only_route("direct", reason="its upstreams have certificates of their own")

NOW = dt.datetime.now(dt.UTC)


class Signed:
    """A certificate with nothing in it but what is asked for, as companies' tools make them, and its key."""

    def __init__(
        self, name: str, *extensions: x509.ExtensionType, by: "Signed | None" = None, until: dt.datetime | None = None
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=30))
            .not_valid_after(until or NOW + dt.timedelta(days=30))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self.pem = builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server(self, folder: Path, *others: "Signed") -> ssl.SSLContext:
        """For an upstream that shows it, and the others behind it."""
        path = folder / "server.pem"
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(b"".join([key, self.pem, *(other.pem for other in others)]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


CA = x509.BasicConstraints(ca=True, path_length=None)


def san(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


@pytest.fixture
def company() -> Signed:
    """A CA with nothing but basicConstraints=CA:TRUE."""
    return Signed("Company CA", CA)


def by_file(trusted: Signed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "company.pem").write_bytes(trusted.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "company.pem"))


def by_folder(trusted: Signed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder / "trusted"
    place.mkdir()
    (place / "company.pem").write_bytes(trusted.pem)
    subprocess.run(["openssl", "rehash", place], check=True)  # noqa: S607 - wherever it is
    monkeypatch.setenv("SSL_CERT_DIR", str(place))


Trust = Callable[[Signed, Path, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("trust", [by_file, by_folder])
async def test_a_plain_company_ca(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    company: Signed,
    trust: Trust,
) -> None:
    """A CA without key identifiers is believed on every Python, however it is named, as curl does."""
    trust(company, tmp_path, monkeypatch)
    behind = await upstream(sound, tls=Signed("x", san("localhost"), by=company).server(tmp_path))
    assert (await (await connect(await proxy_for(behind))).ask(post())).status == 200


async def test_the_ca_that_issues_is_enough(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    company: Signed,
) -> None:
    """Whoever trusts the CA below the company's root need not have the root, on every Python, as curl does."""
    below = Signed("Company TLS", CA, by=company)
    by_file(below, tmp_path, monkeypatch)
    behind = await upstream(sound, tls=Signed("x", san("localhost"), by=below).server(tmp_path, below))
    assert (await (await connect(await proxy_for(behind))).ask(post())).status == 200


REFUSED: dict[str, tuple[Callable[[Signed], Signed], str]] = {
    "expired": (
        lambda ca: Signed("x", san("localhost"), by=ca, until=NOW - dt.timedelta(days=1)),
        "certificate has expired",
    ),
    "another name": (
        lambda ca: Signed("x", san("other.example"), by=ca),
        "Hostname mismatch, certificate is not valid for 'localhost'.",
    ),
    "an address instead of the name": (
        lambda ca: Signed("x", x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), by=ca),
        "Hostname mismatch, certificate is not valid for 'localhost'.",
    ),
    "the name as common name only": (
        lambda ca: Signed("localhost", by=ca),
        "Hostname mismatch, certificate is not valid for 'localhost'.",
    ),
    "another company's": (
        lambda ca: Signed("x", san("localhost"), by=Signed("Other CA", CA)),
        "unable to get local issuer certificate",
    ),
    "its own": (lambda ca: Signed("x", san("localhost")), "self-signed certificate"),
}


@pytest.mark.parametrize("fault", REFUSED)
async def test_what_is_not_believed(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    company: Signed,
    fault: str,
) -> None:
    """Name, dates and chain are checked; the client is told what to do, the log OpenSSL's reason as well."""
    make, reason = REFUSED[fault]
    by_file(company, tmp_path, monkeypatch)
    behind = await upstream(sound, tls=make(company).server(tmp_path))
    proxy = await proxy_for(behind)
    response = await (await connect(proxy)).ask(post())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-untrusted"])
    assert reason.encode() not in response.body
    assert (await proxy.record()).reason == reason
    assert not behind.requests


async def test_no_tls_at_all(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """What does not speak TLS has a reason as well, and the line shows it."""

    async def speaks_http(connection: UpstreamConnection) -> None:
        await connection.take(1)
        await connection.send(OWN)

    behind = await upstream(speaks_http, raw=True)
    proxy = await proxy_for(f"https://localhost:{behind.port}")
    response = await (await connect(proxy)).ask(post())
    assert response.values("x-proxy-error") == [b"upstream-untrusted"]
    assert (await proxy.record()).reason in ("wrong version number", "packet length too long", "record layer failure")
