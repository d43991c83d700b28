"""Opening a connection: a route, and TLS on it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import httpx2 as httpx

from proxy.upstream.tls import TlsTransport, can_watch_sockets, shake_hands

_P = TypeVar("_P", bound=asyncio.Protocol)


class Route(Protocol):
    """How a TCP connection to the upstream is made: `Direct`, or through a `Tunnel`."""

    host: str
    """The upstream's name, by which TLS knows it."""

    async def connect(self) -> socket.socket:
        """A connected socket that does not block; raises `OSError`, or `httpx.ProxyError`."""
        ...


async def open_connection(
    route: Route, context: ssl.SSLContext | None, make: Callable[[], _P], limit: float | None
) -> _P:
    """A connected protocol made by ``make``, within ``limit`` seconds for everything together.

    Raises `httpx.ConnectTimeout`, `httpx.ProxyError`, or `httpx.ConnectError` with the reason as its ``__cause__``.
    """
    name = route.host.removesuffix(".")  # the dot is for look-ups only (RFC 6066, 3; RFC 5890, 2.3.2.1)
    try:
        async with asyncio.timeout(limit):
            sock = await route.connect()
            if context is None or not can_watch_sockets(asyncio.get_running_loop()):
                return await _over_the_loop(sock, context, name, make)
            secured = await shake_hands(sock, context, name)
            protocol = make()
            TlsTransport(secured, protocol)
            return protocol
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except OSError as error:  # TLS's are part of it
        raise httpx.ConnectError("no connection") from error


async def _over_the_loop(sock: socket.socket, context: ssl.SSLContext | None, host: str, make: Callable[[], _P]) -> _P:
    """A protocol made by ``make`` on the loop's own transport, which owns ``sock`` from now on."""
    server_hostname = host if context is not None else None
    try:
        _, protocol = await asyncio.get_running_loop().create_connection(
            make, sock=sock, ssl=context, server_hostname=server_hostname
        )
    except BaseException:
        # The loop closes it. Closed here, under the loop's transport, its number could be another socket's by the time
        # that the loop stops watching it, and that one would hang. But asyncio waits up to half a minute for the other
        # side's close_notify: this is an end that it sees at once.
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        raise
    return protocol
