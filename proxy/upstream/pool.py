"""The upstream connections that are open, and which of them are free."""

import asyncio
import ssl

from proxy.upstream.connect import Route, open_connection
from proxy.upstream.connection import Connection

_IDLE_EXPIRY = 60.0  # seconds; below what servers and NATs on the way are known to allow


class Pool:
    """Connections to one origin. The last one used is the next one used, so that surplus ones can expire."""

    def __init__(self, route: Route, context: ssl.SSLContext | None) -> None:
        self._route = route
        self._context = context
        self._connections: set[Connection] = set()
        self._idle: dict[Connection, asyncio.TimerHandle] = {}  # in the order of release

    def idle(self) -> Connection | None:
        """The free connection used last, if any. Closed ones are not among them: their close event removed them."""
        while self._idle:
            connection, expiry = self._idle.popitem()
            expiry.cancel()
            if not connection.stale():
                return connection
            connection.close()
        return None

    async def connect(self, limit: float | None) -> Connection:
        """A new connection, within ``limit`` seconds; raises as `open_connection` does."""
        connection = await open_connection(self._route, self._context, lambda: Connection(self._forget), limit)
        if not connection.closed:
            self._connections.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back what `idle` or `connect` gave."""
        if connection.release():
            loop = asyncio.get_running_loop()
            self._idle[connection] = loop.call_later(_IDLE_EXPIRY, connection.close)

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if expiry := self._idle.pop(connection, None):
            expiry.cancel()
