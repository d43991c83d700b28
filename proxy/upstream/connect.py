"""Opening a connection: name, address, TCP, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import httpx2 as httpx
from aiohappyeyeballs import start_connection

from proxy.upstream.resolve import Resolver
from proxy.upstream.tls import TlsTransport, can_watch_sockets, shake_hands

_P = TypeVar("_P", bound=asyncio.Protocol)

_NEXT_ADDRESS_AFTER = 0.25  # seconds, RFC 8305, section 5: a dead IPv6 path must not cost the connect timeout
_KEEP_ALIVE = [  # a model may think for minutes; NAT tables forget silent connections sooner
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
]


def tls_context() -> ssl.SSLContext:
    """Trust as httpx2 has it: the system's store, or ``SSL_CERT_FILE``, or ``SSL_CERT_DIR``."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE would lay bare every key (bpo-34271)
    return context


async def open_connection(
    resolver: Resolver, context: ssl.SSLContext | None, make: Callable[[], _P], limit: float | None
) -> _P:
    """A connected protocol made by ``make``, within ``limit`` seconds for everything together.

    Raises `httpx.ConnectTimeout`, or `httpx.ConnectError` with the reason as its ``__cause__``.
    """
    try:
        async with asyncio.timeout(limit):
            sock = await start_connection(await resolver.addresses(), happy_eyeballs_delay=_NEXT_ADDRESS_AFTER)
            try:
                for level, name, value in _KEEP_ALIVE:
                    if hasattr(socket, name):
                        sock.setsockopt(level, getattr(socket, name), value)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException:
                sock.close()
                raise
            if context is None or not can_watch_sockets(asyncio.get_running_loop()):
                return await _over_the_loop(sock, context, resolver.host, make)
            protocol = make()
            TlsTransport(await shake_hands(sock, context, resolver.host), protocol)
            return protocol
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except (OSError, ssl.SSLError) as error:
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
