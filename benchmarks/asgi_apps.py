"""The applications of `peers.asgi`, made in the virtual environments of their libraries."""

import importlib
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.traffic import STAMP

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

_STAMP = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in STAMP]
_NAMES = {name for name, _ in _STAMP}


def stamped(app: App) -> App:
    """``app``, told that its client sent the attribution."""

    async def middleware(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            kept = [line for line in scope["headers"] if line[0] not in _NAMES]
            scope = {**scope, "headers": [*kept, *_STAMP]}
        await app(scope, receive, send)

    return middleware


def fastapi_proxy_lib() -> App:
    """Its reverse proxy, with an httpx client that allows as many connections as there are."""
    httpx = importlib.import_module("httpx")
    library = importlib.import_module("fastapi_proxy_lib.fastapi.app")
    client = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
        timeout=600,
    )
    return stamped(library.reverse_http_app(client, base_url=f"{os.environ['UPSTREAM']}/"))


def openai_forward() -> App:
    """The application that ``FORWARD_CONFIG`` describes."""
    return stamped(importlib.import_module("openai_forward.app").app)
