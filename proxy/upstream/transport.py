"""An `httpx.AsyncBaseTransport` for one origin, whose cost is that of relaying bytes."""

import ssl
from typing import Self

import httpx2 as httpx

from proxy.upstream.connect import Route
from proxy.upstream.counts import Counts
from proxy.upstream.exchange import Exchange
from proxy.upstream.pool import Pool
from proxy.upstream.warm import Warmer

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})  # they cost nothing when they are served twice


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests to one origin, by that route and no other, whatever host their URL names.

    Of `httpx.Request` it reads method, header list (which must state the body's framing), stream, and these extensions:
    ``target``, the raw request target; ``framing``, the length that the header list states, and whether it says
    chunked (where this is not given, the list is searched); and ``timeout``, in seconds: httpx's ``connect`` and
    ``write``; ``response``, from the request's last byte to the answer's head, and ``read``, for its body (and for its
    head, where there is no ``response``). A body that is all there is an `httpx.ByteStream`, in either direction. An
    `httpx.Response` has the extension ``fields``: its header lines by name, as `proxy.headers.Fields`.

    From its start until it is closed, it keeps ``ready`` idle connections, each opened within ``ready_within`` seconds;
    None stands for as many as were in use at once lately.
    """

    def __init__(
        self, route: Route, context: ssl.SSLContext | None, *, ready: int | None = 0, ready_within: float = 10.0
    ) -> None:
        self._pool = Pool(route, context, ready)
        self._warmer = Warmer(self._pool, ready_within) if ready != 0 else None

    @property
    def counts(self) -> Counts:
        """What its connections have gone through."""
        return self._pool.counts

    def connections(self) -> dict[str, int]:
        """How many are open: ``active``, ``idle`` and ``warm``."""
        return self._pool.states()

    async def __aenter__(self) -> Self:
        if self._warmer is not None:
            self._warmer.start()
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = self._pool.idle()
        if connection is not None:
            try:
                return await Exchange(connection, self._pool, request).answer()
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # Closed by the upstream just as it was used (RFC 9112, 9.3.1).
                if connection.heard or not _repeatable(request):
                    raise
                self.counts.retries += 1
        limit: float | None = request.extensions.get("timeout", {}).get("connect")
        return await Exchange(await self._pool.connect(limit), self._pool, request).answer()

    async def aclose(self) -> None:
        try:
            if self._warmer is not None:
                await self._warmer.aclose()
        finally:
            self._pool.close()


def _repeatable(request: httpx.Request) -> bool:
    return request.method in _REPEATABLE and not any(
        name.lower() in (b"content-length", b"transfer-encoding") for name, _ in request.headers.raw
    )
