"""Network addresses as settings: where the proxy listens, and which upstream it calls."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from proxy.faults import Faulty, may_be_secret, quoted

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")
# A prefix that the paths of the API themselves start with: the base URL of a tool, taken for the upstream.
_API_PREFIX = re.compile(r"(?:^|/)(?:api|api/v1|v1)$")

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


def is_loopback(host: str) -> bool:
    """Whether ``host`` means this machine alone, in any spelling; the unspecified address counts: it connects here."""
    host = unquote(host).lower().strip("[]").removesuffix(".")
    if host in _LOCAL_NAMES or host.endswith(".localhost"):  # RFC 6761, 6.3
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


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the proxy listens. ``host`` is a name or an address, without brackets; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``host:port``; raises `Faulty`."""
        if listen := cls._parsed(text):
            return listen
        head, _, tail = text.rpartition(":")
        bare = text.partition("://")[2].rstrip("/")
        everywhere = text.replace("*", "0.0.0.0")  # noqa: S104 -- it is what the user asks for
        near = [f"127.0.0.1:{text}", f"127.0.0.1{text}", everywhere, bare, f"[{head}]:{tail}"]
        near += [f"{text}:6767", f"[{text}]:6767"]
        meant = next((candidate for candidate in near if cls._parsed(candidate)), None)
        hint = (
            f"write {meant}"
            if meant and not may_be_secret(meant)
            else "for example 127.0.0.1:6767 (this machine only) or 0.0.0.0:6767 (every network)"
        )
        raise Faulty(f"must be host:port with a port from 0 to 65535, not {quoted(text)}; {hint}")

    @classmethod
    def _parsed(cls, text: str) -> Self | None:
        match = _HOST_PORT.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            return None
        host = match["ipv6"] or match["name"]
        valid = is_host(host) and (":" in host) == (match["ipv6"] is not None)
        return cls(host, int(match["port"])) if valid else None

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        address = ip_address(self.host)
        return is_loopback(self.host) and not (address is not None and address.is_unspecified)

    def meets(self, host: str, port: int) -> bool:
        """Whether a connection to ``host`` and ``port`` would arrive here, as far as the spelling tells."""
        if port != self.port:
            return False
        here, there = ip_address(self.host), ip_address(host)
        if not (is_loopback(self.host) and is_loopback(host)):
            return self.host.lower() == host or (here is not None and here == there)
        # Two loopback addresses may differ (127.0.0.1, 127.0.0.2); a name, or the unspecified address, is any of them.
        specific = here is not None and there is not None and not here.is_unspecified and not there.is_unspecified
        return here == there or not specific

    def __str__(self) -> str:
        return f"{in_url(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """What the proxy calls. ``host`` has no brackets; ``prefix`` is ``""`` or ``/path`` without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From an origin with an optional path prefix; raises `Faulty`, whose text never shows a user or password."""
        must = "must be an origin such as https://openrouter.ai, with an optional path prefix"
        try:
            netloc = urlsplit(text).netloc
        except ValueError:
            netloc = ""
        if "@" in netloc:
            raise Faulty("holds a user name or password, which the proxy would not send: write the URL without them")
        if not text.isascii():
            host = urlsplit(text).hostname if netloc else None
            hint = punycode_hint(host) if host and not host.isascii() else None
            raise Faulty(f"holds non-ASCII characters: write {f'the host as {hint}' if hint else 'it in ASCII'}")
        if (parts := split_url(text)) is None or parts.hostname is None:
            raise Faulty(f"{must}, not {quoted(text)}")
        if "?" in text or "#" in text:
            raise Faulty(f"{must}, and no query or fragment")
        prefix = parts.path.rstrip("/")
        if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(unquote(prefix).split("/")):
            raise Faulty(f'{must}; the path may not hold empty segments, ".", "..", blanks or control characters')
        upstream = cls(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], prefix)
        if upstream.host == "openrouter.ai" and _API_PREFIX.search(prefix):
            raise Faulty(f"must not end with {prefix}: the tools' own paths have it already; write {upstream.origin}")
        return upstream

    @property
    def is_in_clear(self) -> bool:
        """Whether what is sent there can be read on a network."""
        return self.scheme == "http" and not is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as a ``Host`` header has them: the scheme's own port is left out."""
        host = in_url(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port (RFC 6454), without the prefix."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return self.origin + self.prefix

    def warnings(self) -> list[str]:
        """What is allowed, and probably not meant."""
        if _API_PREFIX.search(self.prefix):
            return [f"ends with {self.prefix}, and the tools' own paths begin so too: requests go to {self}/api/v1/..."]
        return []

    def reaches(self, listen: Listen) -> bool:
        """Whether a connection to this upstream would arrive at ``listen``, as far as the spelling tells."""
        return listen.meets(self.host, self.port)
