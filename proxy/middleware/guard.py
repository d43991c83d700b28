"""The station that refuses what must not come in."""

import functools
from collections.abc import Awaitable, Collection
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import BadTarget, MethodNotAllowed, Stopping, UnknownPath, UntrustedHost
from proxy.lifecycle import Lifecycle
from proxy.middleware.trusted_hosts import host_name, is_trusted
from proxy.openrouter.api import is_forwarded

_REFUSED_METHODS = frozenset({"TRACE", "CONNECT"})  # RFC 9110, 9.3.8 and 9.3.6: about this hop, or a tunnel


def has_dot_segment(path: bytes) -> bool:
    """Whether any segment is ``.`` or ``..`` once decoded, as a server behind us might see it.

    Encoded slashes and backslashes count as separators, because some servers treat them so.
    """
    if b"." not in path and b"%" not in path:
        return False
    segments = unquote_to_bytes(path).replace(b"\\", b"/").split(b"/")
    return b"." in segments or b".." in segments


class GuardMiddleware:
    """Refuses methods, hosts, paths and times at which nothing may be forwarded. Decides on the path's raw bytes."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, allowed_hosts: Collection[str] = ()) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.allowed_hosts = tuple(allowed_hosts)
        self.is_trusted_host = functools.lru_cache(64)(self._is_trusted_host)  # most clients use the same one or two

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            self.check(scope)
        return self.app(scope, receive, send)

    def check(self, scope: Scope) -> None:
        if scope["method"] in _REFUSED_METHODS:
            raise MethodNotAllowed
        for name, value in scope["headers"]:
            if name == b"host" and not self.is_trusted_host(value):  # ASGI's names are in lower case
                raise UntrustedHost
        if has_dot_segment(scope["raw_path"]):
            raise BadTarget
        if not is_forwarded(scope["raw_path"]):
            raise UnknownPath
        if self.lifecycle.stopping:
            raise Stopping

    def _is_trusted_host(self, host: bytes) -> bool:
        """For each ``Host`` line; a client without any (HTTP/1.0) is no browser: nobody's page has rebound a name."""
        name = host_name(host)
        return name is not None and is_trusted(name, self.allowed_hosts)
