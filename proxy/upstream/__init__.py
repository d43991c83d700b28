"""Everything that talks outward. The rest of the proxy knows `httpx.AsyncBaseTransport` and `open_transport`."""

import httpx2 as httpx

from proxy.settings import Settings
from proxy.upstream.connect import tls_context
from proxy.upstream.direct import Direct
from proxy.upstream.transport import UpstreamTransport
from proxy.upstream.tunnel import Tunnel


def open_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """The transport that ``settings`` ask for. It opens no connection before the first request."""
    upstream = settings.upstream_url
    context = tls_context() if upstream.scheme == "https" else None
    host, port = upstream.host, upstream.port
    route = Tunnel(settings.outbound, host, port) if settings.outbound else Direct(host, port)
    return UpstreamTransport(route, context)
