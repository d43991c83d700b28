"""What the connections of a server share: how many there may be, and who goes first where they are too many."""

import logging
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

from proxy.lifecycle import Lifecycle
from proxy.resource_limits import Capacity

if TYPE_CHECKING:
    import asyncio

    from proxy.server.connection import Connection

log = logging.getLogger("proxy")

_TELL_EVERY = 60.0  # seconds between two lines in the log about the same


class Connections(ServerState):
    """All connections of a server, and the requests on them.

    uvicorn hands it to each connection, and keeps the ``Date`` of the answers in its ``default_headers``.
    ``idle_timeout`` is the longest silence within an upload, in seconds, or None.
    """

    def __init__(self, capacity: Capacity, idle_timeout: float | None, lifecycle: Lifecycle) -> None:
        super().__init__()
        self.lifecycle = lifecycle
        self.capacity = capacity
        self.idle_timeout = idle_timeout
        self.open: set[Connection] = set()
        self.requests: set[asyncio.Task[None]] = set()
        self.idle: dict[Connection, None] = {}  # those that wait for another request, the longest first
        self._turned_away: dict[Connection, None] = {}  # those that are still open, the oldest first
        self._told_at: dict[str, float] = {}

    def admit(self, connection: "Connection", now: float) -> bool:
        """Take the newest connection in; whether it can be served, or is one too many.

        Where all places are taken, the client that has been idle for the longest gives way: it loses nothing.
        """
        self.open.add(connection)
        served = self.capacity.served
        if served is None or len(self.open) - len(self._turned_away) <= served or self._make_room():
            return True
        self.tell_overload(now, f"{served} connections are open, further ones get a 503")
        self._turn_away(connection)
        return False

    def _make_room(self) -> bool:
        for oldest in self.idle:
            if oldest.give_way():
                self.forget(oldest)
                return True
        return False

    def _turn_away(self, connection: "Connection") -> None:
        """Make room for ``connection`` until it has been told: where they are many, the oldest one knows by now."""
        if len(self._turned_away) >= self.capacity.turned_away:
            for oldest in self._turned_away:
                if oldest.abort():
                    break
        self._turned_away[connection] = None
        self.lifecycle.turned_away += 1

    def forget(self, connection: "Connection") -> None:
        """``connection`` is closed, or as good as."""
        self.open.discard(connection)
        self.idle.pop(connection, None)
        self._turned_away.pop(connection, None)

    def tell_overload(self, now: float, what: str) -> None:
        self.tell(now, "overloaded", what, logging.WARNING)

    def tell(self, now: float, about: str, what: str, level: int = logging.INFO) -> None:
        """Tell the log ``what``, but not every time that there is something to be said ``about`` it."""
        if now - self._told_at.get(about, float("-inf")) > _TELL_EVERY:
            self._told_at[about] = now
            log.log(level, "%s: %s", about, what)
