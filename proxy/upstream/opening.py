"""From the settings to the transport that they ask for."""

import httpx2 as httpx

from proxy.host_names import is_loopback
from proxy.settings.model import Settings
from proxy.upstream.connect import Route
from proxy.upstream.direct import Direct
from proxy.upstream.transport import UpstreamTransport
from proxy.upstream.trust import tls_context

_READY_WITHIN = 10.0  # seconds, if there is no limit for requests: what nobody waits for must not hang for ever


def open_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """The transport that ``settings`` ask for. It opens no connection before it is entered."""
    upstream = settings.upstream_url
    route = route_for(settings)
    if upstream.scheme == "http":  # on this machine: nothing is gained by connecting early
        return UpstreamTransport(route, None)
    return UpstreamTransport(
        route,
        tls_context(),
        ready=None if settings.warm_connections == "auto" else settings.warm_connections,
        ready_within=settings.connect_timeout or _READY_WITHIN,
    )


def route_for(settings: Settings) -> Route:
    """How the upstream that ``settings`` name is reached."""
    host, port = settings.upstream_url.host, settings.upstream_url.port
    if settings.outbound is None:
        # What may go in clear because its name says that it stays here must stay here.
        in_clear = settings.upstream_url.scheme == "http" and not settings.allow_plaintext_upstream
        return Direct(host, port, here_only=in_clear and is_loopback(host))
    from proxy.upstream.tunnel import Tunnel  # noqa: PLC0415 - most need neither it nor its libraries

    return Tunnel(settings.outbound, host, port)
