"""Network addresses as settings: where the proxy listens, and which upstream it calls."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from proxy.faults import Faulty, may_be_secret, quoted
from proxy.host_names import DEFAULT_PORTS, in_url, ip_address, is_host, is_loopback, punycode_hint, split_url
from proxy.openrouter.api import ends_as_base_url

_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


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

    @property
    def reached_at(self) -> str:
        """The host by which a program on this machine reaches what listens here.

        No name for one address: it may have another one too, on which somebody else listens, who is then given the key.
        """
        address = ip_address(self.host)
        if address is None or not address.is_unspecified:
            return self.host
        return "127.0.0.1" if address.version == 4 else "localhost"

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
        if upstream.host == "openrouter.ai" and ends_as_base_url(prefix):
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
        if ends_as_base_url(self.prefix):
            return [f"ends with {self.prefix}, and the tools' own paths begin so too: requests go to {self}/api/v1/..."]
        return []

    def reaches(self, listen: Listen) -> bool:
        """Whether a connection to this upstream would arrive at ``listen``, as far as the spelling tells."""
        return listen.meets(self.host, self.port)
