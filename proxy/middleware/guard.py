"""Refuses methods, paths and times at which nothing may be forwarded. Decides on the path's raw bytes."""

import functools
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from proxy.errors import Answered, BadTarget, MethodNotAllowed, Stopping, UnknownPath, WebSocketRefused
from proxy.headers import NOT_EMBEDDABLE, list_members, values
from proxy.lifecycle import Lifecycle
from proxy.middleware.rules import Rule
from proxy.openrouter.api import below_prefix, is_forwarded
from proxy.openrouter.endpoints import is_pasted

_REFUSED_METHODS = frozenset({"TRACE", "CONNECT"})  # RFC 9110, 9.3.8 and 9.3.6: about this hop, or a tunnel


@functools.lru_cache(64)  # nearly all requests are for the same few paths
def has_dot_segment(path: bytes) -> bool:
    """Whether any segment is ``.`` or ``..`` once decoded, as a server behind us might see it.

    Encoded slashes and backslashes count as separators, because some servers treat them so.
    """
    segments = unquote_to_bytes(path).replace(b"\\", b"/").split(b"/")
    return b"." in segments or b".." in segments


def refuse_methods(scope: Scope) -> None:
    """A rule: methods that may not be forwarded are 405."""
    if scope["method"] in _REFUSED_METHODS:
        raise MethodNotAllowed


def answer_about_server(scope: Scope) -> None:
    """A rule: ``OPTIONS *`` asks about the server itself, and not about anything behind it (RFC 9110, 9.3.7)."""
    if scope["method"] == "OPTIONS" and scope["raw_path"] == b"*":
        raise Answered(204, [*MethodNotAllowed.headers, *NOT_EMBEDDABLE])


def refuse_dot_segments(scope: Scope) -> None:
    """A rule: a path that would change its meaning on the way is 400."""
    if has_dot_segment(scope["raw_path"]):
        raise BadTarget


def refuse_unknown_paths(scope: Scope) -> None:
    """A rule: a path that is not the API's is 404, and so is one endpoint behind another."""
    if not _is_known(scope["raw_path"]):
        raise UnknownPath


@functools.lru_cache(64)
def _is_known(raw_path: bytes) -> bool:
    return is_forwarded(raw_path) and not is_pasted(below_prefix(raw_path))


def refuse_websockets(scope: Scope) -> None:
    """A rule: a WebSocket handshake (RFC 6455, 4.1) is 426. Codex tries one first, and takes HTTP when told so."""
    if scope["method"] == "GET":
        headers = scope["headers"]
        if values(headers, b"sec-websocket-key") and b"websocket" in list_members(values(headers, b"upgrade")):
            raise WebSocketRefused


def refuse_when_stopping(lifecycle: Lifecycle) -> Rule:
    """A rule: a request that comes when the process stops is 503."""

    def refused(scope: Scope) -> None:
        if lifecycle.stopping:
            raise Stopping

    return refused
