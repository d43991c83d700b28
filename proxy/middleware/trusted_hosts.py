"""By which names this proxy lets itself be called.

A web page may point a name of its own at 127.0.0.1 and so become "the same origin" as a program there (DNS
rebinding). It cannot keep its name out of ``Host``. So only names are answered to that no attacker can own: IP
literals are not looked up at all, ``localhost`` is loopback by RFC 6761, 6.3, and public DNS has no ``.internal``.

A name without a dot, or below ``.svc``, is an honest one where containers call each other. On loopback it has no honest
caller, and whoever answers the names of a LAN owns it: ``wpad``, ``free-wifi`` (CVE-2021-22884).
"""

import functools
import re
from collections.abc import Collection

from starlette.types import Scope

from proxy.errors import UntrustedHost
from proxy.headers import fields_of
from proxy.host_names import ip_address, is_localhost
from proxy.middleware.rules import Rule

# The names by which containers call their host: docker's, podman's, lima's, k3d's, minikube's, and the next one's.
_HOST_OF_CONTAINERS = re.compile(r"(?:host|gateway)\.[a-z0-9-]+\.internal")
_IN_A_CLUSTER = ("*.svc", "*.svc.cluster.local")  # Kubernetes' services

_HOST = re.compile(rb"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?)\]|(?P<name>[A-Za-z0-9_.-]+))(?::[0-9]{0,5})?")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


def host_name(value: bytes) -> str | None:
    """The name or address in a ``Host`` header, plain and without a port; None if it has no valid form."""
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    if match["ipv6"]:
        address = match["ipv6"].decode("ascii")
        return address if ip_address(address) is not None else None
    name = match["name"].decode("ascii").lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def is_trusted(name: str, allowed: Collection[str] = (), *, beyond_loopback: bool = False) -> bool:
    """Whether the proxy may be called by this name, as `host_name` gives it.

    ``allowed`` are further names, and patterns in which ``*.`` stands for one or more labels. ``beyond_loopback`` says
    whether more than this machine's programs reach the listener.
    """
    if is_localhost(name) or ip_address(name) is not None:
        return True
    if _HOST_OF_CONTAINERS.fullmatch(name) or any(matches(name, each) for each in allowed):
        return True
    return beyond_loopback and ("." not in name or any(matches(name, each) for each in _IN_A_CLUSTER))


def matches(name: str, pattern: str) -> bool:
    """Whether ``name`` is what ``pattern`` says; both in lower case."""
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def refuse_untrusted_hosts(allowed: Collection[str], *, beyond_loopback: bool) -> Rule:
    """A rule: a request for another host than `is_trusted` knows is 421. Every ``Host`` line counts.

    A client without any (HTTP/1.0) is no browser: nobody's page has rebound a name.
    """

    @functools.lru_cache(64)  # most clients use the same one or two
    def trusted(value: bytes) -> bool:
        name = host_name(value)
        return name is not None and is_trusted(name, allowed, beyond_loopback=beyond_loopback)

    def refused(scope: Scope) -> None:
        for value in fields_of(scope)[b"host"]:
            if not trusted(value):
                raise UntrustedHost

    return refused
