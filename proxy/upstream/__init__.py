"""Everything that talks outward. The rest of the proxy knows `httpx.AsyncBaseTransport` and `open_transport`."""

import httpx2 as httpx

from proxy.settings import Settings
from proxy.upstream.connect import tls_context
from proxy.upstream.transport import UpstreamTransport

_READY_WITHIN = 10.0  # seconds, if there is no limit for requests: what nobody waits for must not hang for ever


def open_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """The transport that ``settings`` ask for. It opens no connection before it is entered."""
    upstream = settings.upstream_url
    if upstream.scheme == "http":  # on this machine: nothing is gained by connecting early
        return UpstreamTransport(upstream.host, upstream.port, None)
    return UpstreamTransport(
        upstream.host,
        upstream.port,
        tls_context(),
        ready=settings.warm_connections,
        ready_within=settings.connect_timeout or _READY_WITHIN,
    )
