"""Outbound proxies, through which some networks let programs out: the URL of one, and what it is not used for."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from proxy.faults import IN_QUOTES, Faulty, in_quotes
from proxy.host_names import in_url, ip_address, is_host, is_loopback

_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}
_LONGEST = 255  # bytes of a name or password, RFC 1929, section 2
_NO = frozenset({"direct", "false", "no", "off"})  # would be names of hosts
_PRINTABLE = re.compile(r"[\x21-\x7e]+")

_MUST = (
    "must be the URL of a proxy, such as http://proxy.example:3128 or socks5://127.0.0.1:1080; "
    "in a user name or password, write / ? # @ : % as %2F %3F %23 %40 %3A %25"
)


@dataclass(frozen=True, slots=True)
class OutboundProxy:
    """How to reach one. ``host`` has no brackets. As text it is without user and password."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: SecretStr | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a URL, or from ``host:port`` as curl has it; raises `Faulty`, which shows nothing of the text."""
        if in_quotes(text):
            raise Faulty(IN_QUOTES)
        if text.lower() in _NO:
            raise Faulty("is no URL of a proxy: write none to go without one")
        if not _PRINTABLE.fullmatch(text):
            raise Faulty(f"holds a blank, a control or a non-ASCII character: it {_MUST}")
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port
            user, password = (
                value if value is None else unquote(value, errors="strict")
                for value in (parts.username, parts.password)
            )
        except ValueError:
            raise Faulty(_MUST) from None
        if parts.scheme == "https":
            raise Faulty(
                "starts with https://, and a proxy that is itself called over TLS is not supported: write http:// "
                "if it can be called so (what goes through it to OpenRouter is encrypted all the same), here or, "
                "for this program alone, in OPENROUTER_OUTBOUND_PROXY"
            )
        host = parts.hostname or ""
        scheme = "socks5h" if parts.scheme == "socks" else parts.scheme  # GNOME writes ALL_PROXY so
        if scheme not in _PORTS or not is_host(host) or port == 0:
            raise Faulty(_MUST)
        if parts.path.strip("/") or "?" in text or "#" in text:
            raise Faulty(_MUST)
        if faults := _credential_faults(scheme, user, password):
            raise Faulty(*faults)
        secret = None if password is None else SecretStr(password)
        return cls(scheme, host, port or _PORTS[scheme], user, secret)

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"{self.scheme}://{in_url(self.host)}:{self.port}"


def _credential_faults(scheme: str, user: str | None, password: str | None) -> list[str]:
    """What the protocol of the proxy cannot say."""
    given = [value for value in (user, password) if value is not None]
    if scheme == "http":
        return ['holds a user name with a ":" in it, which HTTP cannot send'] if ":" in (user or "") else []
    if any(not value.isascii() or len(value) > _LONGEST or "\0" in value for value in given):
        return [f"holds a user name or password that SOCKS cannot send: at most {_LONGEST} characters, ASCII only"]
    if scheme.startswith("socks4"):
        return ["holds a password, which SOCKS 4 cannot send: take socks5://"] if password else []
    if bool(user) != bool(password):
        return ["holds a user name without a password, or the reverse: SOCKS 5 sends both, or none"]
    return []


def who_decides(proxies: Mapping[str, str], host: str, port: int) -> str | None:
    """Which of ``proxies`` (by scheme, as `urllib.request` has them) says how ``host`` is reached over TLS.

    ``https`` or ``all``: through that one. ``no``: directly, although there is one. None: directly, as nobody says a
    word, or because the host is this machine.
    """
    scheme = next((scheme for scheme in ("https", "all") if proxies.get(scheme)), None)
    if scheme is None or is_loopback(host):
        return None
    return "no" if is_exempt(host, port, proxies.get("no", "")) else scheme


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``no_proxy`` says that ``host`` is called directly.

    There is no standard. Beside what the standard library reads (names with all below them, ``host:port``), these are
    understood, as by curl or by Go: ``*`` among others, ``*.name``, networks (``10.0.0.0/8``), brackets, blanks.
    """
    # An HTTP client, which most need not; and typeshed does not know the function.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # noqa: PLC0415

    address = ip_address(host)
    for entry in re.split(r"[,\s]+", no_proxy):
        bare = entry if entry == "*" else entry.removeprefix("*")
        if bare and proxy_bypass_environment(f"{host.removesuffix('.')}:{port}", {"no": bare}):
            return True
        try:
            if address is not None and address in ipaddress.ip_network(bare.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False
