"""The one table that makes a transport's exceptions ours."""

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx2 as httpx

from proxy.errors import (
    ConnectTimedOut,
    OutboundProxyFailed,
    Overloaded,
    ProxyError,
    ResponseTimedOut,
    UploadTimedOut,
    UpstreamBroken,
    UpstreamUnknown,
    UpstreamUnreachable,
    UpstreamUntrusted,
)

# First match counts: what the exception was caused by, then what it is.
_BY_CAUSE: list[tuple[type[Exception], type[ProxyError]]] = [
    (ssl.SSLError, UpstreamUntrusted),
    (socket.gaierror, UpstreamUnknown),
]
_BY_TYPE: list[tuple[type[httpx.TransportError], type[ProxyError]]] = [
    (httpx.ConnectTimeout, ConnectTimedOut),
    (httpx.PoolTimeout, Overloaded),
    (httpx.WriteTimeout, UploadTimedOut),
    (httpx.TimeoutException, ResponseTimedOut),
    (httpx.ConnectError, UpstreamUnreachable),
    (httpx.ProxyError, OutboundProxyFailed),
    (httpx.TransportError, UpstreamBroken),
]


def proxy_error(error: httpx.TransportError) -> ProxyError:
    """What to tell the client when no answer came because of ``error``."""
    by_cause = [] if isinstance(error, httpx.ProxyError) else _BY_CAUSE  # there, it is not the upstream's name
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return Overloaded()
        for kind, ours in by_cause:
            if isinstance(cause, kind):
                return ours()
    return next(ours() for kind, ours in _BY_TYPE if isinstance(error, kind))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
