"""Whether the upstream can be reached, step by step, for people who ask; no request is sent."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

import httpx2 as httpx

from proxy.errors import ProxyError
from proxy.host_names import ip_address
from proxy.settings.model import Settings
from proxy.upstream.direct import Direct
from proxy.upstream.exceptions import proxy_error
from proxy.upstream.opening import route_for
from proxy.upstream.tls import shake_hands
from proxy.upstream.trust import tls_context

_WITHIN = 10.0  # seconds for a step, if the settings have no limit


class Step(NamedTuple):
    """What was tried, and what came of it: a line of text, and the error that ended it, if it failed."""

    name: str
    text: str
    error: ProxyError | None = None


async def probe(settings: Settings) -> AsyncGenerator[Step, None]:
    """Look up the name, connect and shake hands, as for a request; the first step that fails is the last."""
    name = "look-up"
    sock: socket.socket | None = None
    try:
        route = route_for(settings)
        async with asyncio.timeout(settings.connect_timeout or _WITHIN):
            if isinstance(route, Direct) and ip_address(route.host) is None:
                addresses = dict.fromkeys(str(each[4][0]) for each in await route.addresses())
                yield Step(name, f"{route.host} is {', '.join(addresses)}")
            name = "connection"
            began = perf_counter()
            sock = await route.connect()
            yield Step(name, f"{_far_end(sock, settings)}, in {1000 * (perf_counter() - began):.0f} ms")
            if settings.upstream_url.scheme == "https":
                name = "TLS"
                secured = await shake_hands(sock, tls_context(), route.host.removesuffix("."))
                yield Step(name, f"{secured.tls.version()}, {_certificate(secured.tls)}")
    except (OSError, httpx.TransportError) as error:  # TimeoutError is an OSError
        yield Step(name, "failed", proxy_error(_as_of_transport(error)))
    finally:
        if sock is not None:
            sock.close()


def _as_of_transport(error: OSError | httpx.TransportError) -> httpx.TransportError:
    """``error`` as `open_connection` raises it."""
    if isinstance(error, httpx.TransportError):
        return error
    told = httpx.ConnectTimeout("") if isinstance(error, TimeoutError) else httpx.ConnectError("")
    told.__cause__ = error
    return told


def _far_end(sock: socket.socket, settings: Settings) -> str:
    if settings.outbound is not None:
        return f"through {settings.outbound}"
    host, port, *_ = sock.getpeername()
    return f"to {host} port {port}"


def _certificate(tls: ssl.SSLObject) -> str:
    """By whom the upstream's certificate is, and until when: a company's inspection is seen here."""
    certificate: dict[str, Any] = tls.getpeercert() or {}
    issuer = {key: value for parts in certificate["issuer"] for key, value in parts}
    by = issuer.get("organizationName") or issuer.get("commonName") or "?"
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    return f"certificate by {by}, valid until {until:%Y-%m-%d}"
