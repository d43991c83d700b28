"""Opening a connection: a route, and TLS on it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

import httpx2 as httpx

_P = TypeVar("_P", bound=asyncio.Protocol)


class Route(Protocol):
    """How a TCP connection to the upstream is made: `Direct`, or through a `Tunnel`."""

    host: str
    """The upstream's name, by which TLS knows it."""

    async def connect(self) -> socket.socket:
        """A connected socket that does not block; raises `OSError`, or `httpx.ProxyError`."""
        ...


def tls_context() -> ssl.SSLContext:
    """Trust as httpx2 has it: the system's store, or ``SSL_CERT_FILE``, or ``SSL_CERT_DIR``."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE would lay bare every key (bpo-34271)
    return context


async def open_connection(
    route: Route, context: ssl.SSLContext | None, make: Callable[[], _P], limit: float | None
) -> _P:
    """A connected protocol made by ``make``, within ``limit`` seconds for everything together.

    Raises `httpx.ConnectTimeout`, `httpx.ProxyError`, or `httpx.ConnectError` with the reason as its ``__cause__``.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            sock = await route.connect()
            try:
                server_hostname = route.host if context is not None else None
                _, protocol = await loop.create_connection(
                    make, sock=sock, ssl=context, server_hostname=server_hostname
                )
            except BaseException:
                sock.close()
                raise
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except (OSError, ssl.SSLError) as error:
        raise httpx.ConnectError("no connection") from error
    return protocol
