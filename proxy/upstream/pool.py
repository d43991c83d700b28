"""The upstream connections that are open, and which of them are free."""

import asyncio
import ssl
from time import time as wall_clock

from proxy.upstream.backoff import Backoff
from proxy.upstream.connect import Route, open_connection
from proxy.upstream.connection import Connection
from proxy.upstream.counts import Counts
from proxy.upstream.demand import Demand
from proxy.upstream.idle import Decision, Times, decide
from proxy.upstream.watch import Watch

_IDLE_EXPIRY = 60.0  # seconds; below what servers and NATs on the way are known to allow
_OLDEST = 3600.0  # seconds since it was opened; by then, the name may have moved to another address
_OVERSLEPT = 150.0  # seconds; more than any connection is idle on a machine that is awake, see `idle`
_READY_AT_MOST = 16  # what a polite client keeps open for nothing but speed
_IN_USE_FOR = 300.0  # seconds after the start, or after the end of the last request


class Pool:
    """Connections to one origin. The last one used is the next one used, so that surplus ones can expire.

    While it is in use, ``ready`` idle ones are wanted, whoever opened them; None stands for as many as are missing to
    those that were in use at once during the last minutes, at most 16, and for one in any case. The pool tells when
    there may be fewer (``short``), and when a new one for a request shows that the upstream can be reached
    (``reached``); `Warmer` acts.
    """

    def __init__(self, route: Route, context: ssl.SSLContext | None, ready: int | None = 0) -> None:
        self._route = route
        self._context = context
        self._connections: set[Connection] = set()
        self._idle: dict[Connection, Times] = {}  # in the order of release, by the loop's clock
        # The next look for the expired. A timer for each release would cost more than all else that is done then.
        self._look: asyncio.TimerHandle | None = None
        self._look_at = float("inf")
        self._ready = ready
        self._least = 1 if ready is None else ready
        self._demand = Demand()
        self._connecting = 0
        self._used_at = float("-inf")
        self.short = asyncio.Event()
        self.reached = asyncio.Event()
        self.backoff = Backoff()  # of `prepare`
        self.counts = Counts()
        self._watch = Watch(self._busy, self._close_all_idle)

    # For requests

    def idle(self) -> Connection | None:
        """The free connection used last, if any. Closed ones are not among them: their close event removed them."""
        found = None
        # The loop's clock stands still while a laptop sleeps, and so do the timers of the expiry: as in Go's
        # net/http (golang/go#29308), the wall clock has a say.
        oldest = wall_clock() - _OVERSLEPT
        for connection in reversed(self._idle):
            if connection.idle_since < oldest:
                self._close_idle([each for each in self._idle if each.idle_since < oldest])
                break
            # What has arrived on it is its end, or TLS 1.3's session tickets, which come just after the handshake:
            # the loop will tell.
            if self._idle[connection].ends_at <= (now := connection.loop.time()):
                self._close_idle([each for each, times in self._idle.items() if times.ends_at <= now])
                return self.idle()
            if not connection.stale():
                found = connection
                del self._idle[connection]
                self.counts.reuses += 1
                self._demand.note(self._in_use(), connection.loop.time())
                break
        if len(self._idle) < self._least:
            self.short.set()
        self._watch.run()
        return found

    async def connect(self, limit: float | None) -> Connection:
        """A new connection, within ``limit`` seconds; raises as `open_connection` does."""
        self._used_at = now = asyncio.get_running_loop().time()
        self._connecting += 1
        try:
            self._demand.note(self._in_use(), now)
            connection = await self._open(limit)
        finally:
            self._connecting -= 1
        self.backoff.worked()
        self.reached.set()
        self._watch.run()
        return connection

    def release(self, connection: Connection) -> None:
        """Take back what `idle` or `connect` gave."""
        now = self._used_at = connection.loop.time()
        if connection.release():
            if connection.exchanges == 1:  # it was new, and good
                self.backoff.worked()
            self._park(connection, now)

    # For the warmer

    def begin(self) -> None:
        """Be in use from now on."""
        self._used_at = asyncio.get_running_loop().time()
        self.short.set()

    def is_short(self) -> bool:
        """Whether one more idle connection is wanted now."""
        return self._decide().missing > 0

    async def prepare(self, limit: float) -> None:
        """Add an idle connection, within ``limit`` seconds; raises as `open_connection` does."""
        try:
            connection = await self._open(limit)
        except Exception:
            self._failed()
            self._close_idle(self._decide(wanted=0).close)  # no successor can be had
            raise
        if connection.closed:
            self._failed()
        else:
            self._park(connection, asyncio.get_running_loop().time())

    def retire(self) -> None:
        """Close the expired connections that have successors now, or need none."""
        self._close_idle(self._decide().close)

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()
        self._watch.close()
        if self._look is not None:
            self._look.cancel()
            self._look, self._look_at = None, float("inf")

    def states(self) -> dict[str, int]:
        """How many connections are open, by what they are for."""
        warm = sum(not connection.exchanges for connection in self._idle)
        idle = len(self._idle)
        return {"active": max(len(self._connections) - idle, 0), "idle": idle - warm, "warm": warm}

    async def _open(self, limit: float | None) -> Connection:
        try:
            connection = await open_connection(self._route, self._context, lambda: Connection(self._forget), limit)
        except Exception:
            self.counts.failed_handshakes += 1
            raise
        self.counts.handshakes += 1
        if not connection.closed:
            self._connections.add(connection)
        return connection

    def _park(self, connection: Connection, now: float) -> None:
        usable_until = connection.usable_until
        ends_at = connection.opened_at + _OLDEST
        if usable_until is not None:
            ends_at = min(ends_at, usable_until)
        if ends_at <= now:
            connection.close()
            return
        connection.idle_since = wall_clock()
        self._idle[connection] = Times(now + _IDLE_EXPIRY, ends_at)
        self._look_no_later_than(min(now + _IDLE_EXPIRY, ends_at))

    def _wanted(self) -> int:
        """How many idle ones there should be now."""
        now, in_use = asyncio.get_running_loop().time(), self._in_use()
        if not in_use and now - self._used_at >= _IN_USE_FOR:
            return 0
        if self._ready is not None:
            return self._ready
        return max(min(self._demand.recent(now), _READY_AT_MOST) - in_use, 1)

    def _in_use(self) -> int:
        """How many connections carry a request, or are being opened for one."""
        return len(self._connections) - len(self._idle) + self._connecting

    def _decide(self, wanted: int | None = None) -> Decision[Connection]:
        wanted = self._wanted() if wanted is None else wanted
        return decide(self._idle, wanted, asyncio.get_running_loop().time())

    def _look_no_later_than(self, when: float) -> None:
        if when < self._look_at:
            if self._look is not None:
                self._look.cancel()
            self._look_at = when
            self._look = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        self._look, self._look_at = None, float("inf")
        close, missing, again_at = self._decide()
        now = asyncio.get_running_loop().time()
        if any(times.expires_at <= now and not connection.exchanges for connection, times in self._idle.items()):
            self.backoff.worked()  # the upstream took it, and has let it live
        self._close_idle(close)
        if missing:
            self.short.set()
        if again_at is not None:
            self._look_no_later_than(again_at)

    def _close_idle(self, connections: list[Connection]) -> None:
        for connection in connections:
            del self._idle[connection]
            connection.close()

    def _busy(self) -> list[Connection]:
        return [connection for connection in self._connections if connection not in self._idle]

    def _close_all_idle(self) -> None:
        """Their path is the same as that of one which is gone."""
        self.counts.dead_paths += 1
        self._close_idle(list(self._idle))
        self.short.set()

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:  # else it was closed by ourselves, or in an exchange
            del self._idle[connection]
            if not connection.exchanges:
                self._failed()
            self.short.set()

    def _failed(self) -> None:
        self.backoff.failed(asyncio.get_running_loop().time())
