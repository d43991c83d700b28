"""What metrics tell of a transport."""

import httpx2 as httpx

from proxy.observe.metrics import Reading
from proxy.observe.rows import COUNTER, GAUGE
from proxy.upstream.transport import UpstreamTransport


def readings(transport: httpx.AsyncBaseTransport) -> list[Reading]:
    """The numbers of our own transport; another keeps its own."""
    if not isinstance(transport, UpstreamTransport):
        return []
    counts = transport.counts
    return [
        Reading(
            GAUGE,
            "upstream_connections",
            "Open connections to the upstream: active (in a request), idle (used before), warm (made ahead of need).",
            transport.connections,
            label="state",
        ),
        Reading(
            COUNTER,
            "upstream_handshakes",
            "Connections made to the upstream, TLS included.",
            lambda: counts.handshakes,
        ),
        Reading(
            COUNTER,
            "upstream_failed_handshakes",
            "Connections to the upstream that could not be made.",
            lambda: counts.failed_handshakes,
        ),
        Reading(COUNTER, "upstream_reuses", "Requests on a connection that was there already.", lambda: counts.reuses),
        Reading(
            COUNTER,
            "upstream_retries",
            "Requests sent once more, because their connection was closed just as it was used.",
            lambda: counts.retries,
        ),
        Reading(
            COUNTER,
            "upstream_dead_paths",
            "Requests given up because the network path to the upstream was gone.",
            lambda: counts.dead_paths,
        ),
    ]
