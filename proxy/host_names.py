"""What a host's name or address says by its spelling: pure functions, which look nothing up.

Everything that reads a host uses them (settings, the ``Host`` header, an app's URL), so that no two places disagree on
what is an address, or this machine.
"""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_LOCAL_NAMES = frozenset({"localhost.localdomain", "ip6-localhost", "ip6-loopback"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def ip_address(host: str) -> Address | None:
    """The IP address that ``host`` spells, if it spells one.

    In every way that `getaddrinfo` and browsers understand: ``127.1``, ``0x7f.1``, ``2130706433``, ``::ffff:7f00:1``.
    """
    host = host.partition("%")[0].removesuffix(".")
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            return None
        return address.ipv4_mapped or address
    # inet_aton alone would take "1.2.3.4 and more" too.
    if not re.fullmatch(r"[0-9A-Fa-fxX.]+", host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_localhost(name: str) -> bool:
    """Whether a ``name`` in lower case, without a dot at its end, is this machine's by RFC 6761, 6.3, whoever asks."""
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(host: str) -> bool:
    """Whether ``host`` means this machine alone, in any spelling; the unspecified address counts: it connects here."""
    host = unquote(host).lower().strip("[]").removesuffix(".")
    if is_localhost(host) or host in _LOCAL_NAMES:
        return True
    address = ip_address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_host(host: str) -> bool:
    """Whether ``host`` (an IPv6 address without brackets) is an address or a name that could be looked up."""
    if ip_address(host) is not None:
        return True
    # A last label of digits makes it an IPv4 address (WHATWG URL, 3.5), which it is not.
    last = host.removesuffix(".").rpartition(".")[2]
    return len(host) <= 254 and _NAME.fullmatch(host) is not None and not last.isdigit()


def in_url(host: str) -> str:
    """``host`` as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def punycode_hint(host: str) -> str | None:
    """The ASCII form of an international ``host``, if there is one, and it is certain.

    Python's codec follows IDNA 2003, which maps some letters that IDNA 2008 keeps (German sharp s): those do not
    come back unchanged, and are not guessed at.
    """
    try:
        ascii_form = host.encode("idna").decode("ascii")
        certain = ascii_form.encode("ascii").decode("idna") == host.lower()
    except UnicodeError:
        return None
    return ascii_form if certain and is_host(ascii_form) else None


def split_url(url: str) -> SplitResult | None:
    """``url`` in its parts, or None if it is not an absolute http(s) URL with a valid host and port."""
    if any(character <= " " for character in url):  # urlsplit would drop some of them
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    valid = parts.scheme in DEFAULT_PORTS and parts.hostname and is_host(parts.hostname) and port != 0
    return parts if valid else None
