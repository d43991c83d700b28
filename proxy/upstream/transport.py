"""An `httpx.AsyncBaseTransport` for one origin, whose cost is that of relaying bytes."""

import ssl

import httpx2 as httpx

from proxy.upstream.connect import Route
from proxy.upstream.exchange import Exchange
from proxy.upstream.pool import Pool

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})  # they cost nothing when they are served twice


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests to one origin, by that route and no other, whatever host their URL names.

    Of `httpx.Request` it reads method, header list (which must state the body's framing), stream, and the extensions
    ``target`` (the raw request target) and ``timeout`` (``connect`` and ``write``, in seconds).
    """

    def __init__(self, route: Route, context: ssl.SSLContext | None) -> None:
        self._pool = Pool(route, context)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = self._pool.idle()
        if connection is not None:
            exchange = Exchange(connection, self._pool, request)
            try:
                return await self._answer(exchange)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # Closed by the upstream just as it was used (RFC 9112, 9.3.1).
                if connection.heard or not _repeatable(request):
                    raise
        limit: float | None = request.extensions.get("timeout", {}).get("connect")
        exchange = Exchange(await self._pool.connect(limit), self._pool, request)
        return await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> httpx.Response:
        try:
            status, headers = await exchange.start()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=exchange)

    async def aclose(self) -> None:
        self._pool.close()


def _repeatable(request: httpx.Request) -> bool:
    return request.method in _REPEATABLE and not any(
        name.lower() in (b"content-length", b"transfer-encoding") for name, _ in request.headers.raw
    )
