"""What the connections of a server share: how many there may be, and who goes first where they are too many."""

import logging
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

from proxy.resource_limits import Capacity

if TYPE_CHECKING:
    import asyncio

    from proxy.server.connection import Connection

log = logging.getLogger("proxy")

_TELL_EVERY = 60.0  # seconds between two lines in the log about the same overload


class Connections(ServerState):
    """All connections of a server, and the requests on them.

    uvicorn hands it to each connection, and keeps the ``Date`` of the answers in its ``default_headers``.
    ``idle_timeout`` is the longest silence within an upload, in seconds, or None.
    """

    def __init__(self, capacity: Capacity, idle_timeout: float | None) -> None:
        super().__init__()
        self.capacity = capacity
        self.idle_timeout = idle_timeout
        self.open: set[Connection] = set()
        self.requests: set[asyncio.Task[None]] = set()
        self._turned_away: dict[Connection, None] = {}  # those that are still open, the oldest first
        self._told_at = float("-inf")

    def admit(self, connection: "Connection", now: float) -> bool:
        """Take the newest connection in; whether it can be served, or is one too many."""
        self.open.add(connection)
        served = self.capacity.served
        if served is None or len(self.open) - len(self._turned_away) <= served:
            return True
        self.tell_overload(now, f"{served} connections are open, further ones get a 503")
        self._turn_away(connection)
        return False

    def _turn_away(self, connection: "Connection") -> None:
        """Make room for ``connection`` until it has been told: where they are many, the oldest one knows by now."""
        if len(self._turned_away) >= self.capacity.turned_away:
            for oldest in self._turned_away:
                if oldest.abort():
                    break
        self._turned_away[connection] = None

    def forget(self, connection: "Connection") -> None:
        """``connection`` is closed."""
        self.open.discard(connection)
        self._turned_away.pop(connection, None)

    def tell_overload(self, now: float, what: str) -> None:
        """Tell the log, but not every time."""
        if now - self._told_at > _TELL_EVERY:
            self._told_at = now
            log.warning("overloaded: %s", what)
