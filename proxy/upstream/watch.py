"""Looking after the connections that carry an exchange, for what no event tells."""

import asyncio
from collections.abc import Callable, Iterable

import httpx2 as httpx

from proxy.upstream import tcp_info
from proxy.upstream.connection import Connection
from proxy.upstream.tcp_info import TcpInfo

_EVERY = 1.0  # seconds
_OFTEN = 0.25  # seconds; in its place where a wait may last no longer than `_SHORT`
_SHORT = 30.0  # seconds
_AGAIN = 0.01  # seconds; where a wait seems to have lasted too long
_GONE_AFTER = 20.0  # seconds of repeating in vain; the user is told within half a minute
_REPEATED = 3  # at least: how often it is repeated in 20 s depends on the round trip (6 times at 100 ms, 4 at 500)


def unheard_since(before: float | None, info: TcpInfo, now: float) -> float | None:
    """Since when what was sent has been repeated in vain, or None; ``before`` is the result of the last look.

    An upstream that does not read is not gone: it acknowledges what it has room for, and the kernel sends no more.
    (TCP_USER_TIMEOUT would end both: Linux, `tcp_probe_timer`.)
    """
    if not info.unacknowledged or not info.repeated:
        return None
    return now if before is None else before


def is_gone(since: float | None, info: TcpInfo, now: float) -> bool:
    """Whether the path to the other side must be taken for gone: Wi-Fi, a VPN, a NAT's memory."""
    return since is not None and now - since >= _GONE_AFTER and info.repeated >= _REPEATED


class Watch:
    """Looks at the connections that are ``busy``, all by one clock, which runs only while there are any.

    It ends waits that have lasted too long, and exchanges whose path is gone. Without TCP_INFO (macOS, Windows), the
    latter are found by the former.
    """

    def __init__(self, busy: Callable[[], Iterable[Connection]], on_gone: Callable[[], None]) -> None:
        self._busy = busy
        self._on_gone = on_gone
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # of the timer, which ends with it

    def run(self) -> None:
        """Look from now on, until nobody is busy."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(_OFTEN, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        busy = list(self._busy())
        if not busy:
            return
        loop = asyncio.get_running_loop()
        now, soonest = loop.time(), _EVERY
        try:
            if tcp_info.IS_THERE:
                for connection in busy:
                    self._ask_kernel(connection, now)
            soonest = min([self._end_if_overdue(connection, now) for connection in busy])
        finally:  # whatever becomes of this look, there is another
            self._timer = loop.call_later(soonest, self._look)

    def _end_if_overdue(self, connection: Connection, now: float) -> float:
        """End a wait that has lasted for too long; in how many seconds to look again.

        To ask the clock for each piece of a stream would cost more: that something has moved is seen from look to look,
        so a wait ends up to two looks late. A process that was stopped, or starved, sees its timers before what has
        arrived meanwhile: no wait ends before a second look.
        """
        limit = connection.limit
        if limit is None:
            connection.waits_since = None
            return _EVERY
        again = _OFTEN if limit <= _SHORT else _EVERY
        if connection.moved or connection.waits_since is None:
            connection.moved = False
            connection.waits_since = now
        elif now - connection.waits_since >= limit:
            if connection.suspect_since == connection.waits_since:
                connection.fail(
                    httpx.ReadTimeout("the upstream has been silent for too long")
                    if connection.request_sent
                    else httpx.WriteTimeout("the upstream does not take the request's body")
                )
            else:
                connection.suspect_since = connection.waits_since
                again = _AGAIN
        return again

    def _ask_kernel(self, connection: Connection, now: float) -> None:
        if connection.closed:
            return
        try:
            info = tcp_info.tcp_info(connection.socket)
        except OSError:  # closed by now
            return
        if connection.taken != info.taken:  # some of an upload, of which the loop tells only when there is room again
            connection.taken = info.taken
            connection.moved = True
        if info.closed:
            connection.read_on()
            return
        connection.unheard_since = unheard_since(connection.unheard_since, info, now)
        if is_gone(connection.unheard_since, info, now):
            connection.give_up()
            self._on_gone()
