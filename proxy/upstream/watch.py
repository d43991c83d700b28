"""Looking after the connections that carry an exchange, for what no event tells."""

import asyncio
from collections.abc import Callable, Iterable

import httpx2 as httpx

from proxy.upstream import tcp_info
from proxy.upstream.connection import Connection
from proxy.upstream.tcp_info import TcpInfo

_EVERY = 0.25  # seconds
_AGAIN = 0.01  # seconds; where a wait seems to have lasted too long
_KERNEL_ASKED_EVERY = 1.0  # seconds
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


def waits_since(before: float | None, limit: float | None, now: float, *, moved: bool) -> float | None:
    """Since when nothing has moved where the upstream is waited for, for no longer than ``limit``; None if it is not.

    ``before`` is the result of the last look. To ask the clock for each piece of a stream would cost more, so the end
    of a wait is found up to half a second late.
    """
    if limit is None:
        return None
    return now if moved or before is None else before


class Watch:
    """Looks at the connections that are ``busy``, all by one clock, which runs only while there are any.

    It ends waits that have lasted too long, and exchanges whose path is gone. Without TCP_INFO (macOS, Windows), the
    latter are found by the former.
    """

    def __init__(self, busy: Callable[[], Iterable[Connection]], on_gone: Callable[[], None]) -> None:
        self._busy = busy
        self._on_gone = on_gone
        self._timer: asyncio.TimerHandle | None = None
        self._kernel_asked_at = float("-inf")

    def run(self) -> None:
        """Look from now on, until nobody is busy."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)

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
        now = loop.time()
        again = _EVERY
        for connection in busy:
            if self._is_suspect(connection, now):
                again = _AGAIN
        if tcp_info.IS_THERE and now - self._kernel_asked_at >= _KERNEL_ASKED_EVERY:
            self._kernel_asked_at = now
            for connection in busy:
                self._ask_kernel(connection, now)
        self._timer = loop.call_later(again, self._look)

    def _is_suspect(self, connection: Connection, now: float) -> bool:
        """End a wait that has lasted too long; whether one seems to, and a second look is needed.

        A process that was stopped, or starved, sees its timers before what has arrived meanwhile.
        """
        limit, moved, connection.moved = connection.limit, connection.moved, False
        since = connection.waits_since = waits_since(connection.waits_since, limit, now, moved=moved)
        if since is None or limit is None or now - since < limit:
            return False
        if connection.suspect_since == since:
            connection.fail(httpx.ReadTimeout("the upstream has been silent for too long"))
            return False
        connection.suspect_since = since
        return True

    def _ask_kernel(self, connection: Connection, now: float) -> None:
        try:
            info = tcp_info.tcp_info(connection.socket)
        except OSError:  # closed by now
            return
        if info.closed:
            connection.read_on()
            return
        connection.unheard_since = unheard_since(connection.unheard_since, info, now)
        if is_gone(connection.unheard_since, info, now):
            connection.give_up()
            self._on_gone()
