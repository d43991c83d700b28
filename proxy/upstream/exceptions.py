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


class CannotLookUp(OSError):
    """No thread could be started in which to look up a name."""


class NotThisMachine(OSError):
    """A name below ``localhost``, which is to be called in clear, leads to another machine."""


# First match counts: what the exception was caused by, then what it is.
_BY_CAUSE: list[tuple[type[Exception], type[ProxyError]]] = [
    (ssl.SSLError, UpstreamUntrusted),
    (socket.gaierror, UpstreamUnknown),
    (NotThisMachine, UpstreamUnreachable),
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
    """What to tell the client when no answer came because of ``error``, and the log as its reason."""
    by_cause = [] if isinstance(error, httpx.ProxyError) else _BY_CAUSE  # there, it is not the upstream's name
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return Overloaded()
        if isinstance(cause, CannotLookUp):
            return Overloaded(Overloaded.no_thread)
        for kind, ours in by_cause:
            if isinstance(cause, kind):
                told = ours()
                told.reason = _reason(cause)
                return told
    return next(ours() for kind, ours in _BY_TYPE if isinstance(error, kind))


def _reason(error: BaseException) -> str | None:
    """Why, in the words of OpenSSL or of ours. Names nothing but the upstream's own name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "verify_message", None)  # there is one if OpenSSL has made it
    if isinstance(error, ssl.SSLError):
        reason: str | None = getattr(error, "reason", None)
        return reason.replace("_", " ").lower() if reason else None
    return str(error) if isinstance(error, NotThisMachine) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
