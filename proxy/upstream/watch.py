"""Looking after the connections that carry an exchange, for what no event tells."""

import asyncio
from collections.abc import Callable, Iterable

from proxy.upstream import tcp_info
from proxy.upstream.connection import Connection
from proxy.upstream.tcp_info import TcpInfo

_EVERY = 1.0  # seconds
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

    Without TCP_INFO (macOS, Windows), a path that is gone is found by the timeouts only.
    """

    def __init__(self, busy: Callable[[], Iterable[Connection]], on_gone: Callable[[], None]) -> None:
        self._busy = busy
        self._on_gone = on_gone
        self._timer: asyncio.TimerHandle | None = None

    def run(self) -> None:
        """Look from now on, until nobody is busy."""
        if self._timer is None and tcp_info.IS_THERE:
            self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        busy = list(self._busy())
        for connection in busy:
            try:
                info = tcp_info.tcp_info(connection.socket)
            except OSError:  # closed by now
                continue
            if info.closed:
                connection.read_on()
                continue
            connection.unheard_since = unheard_since(connection.unheard_since, info, now)
            if is_gone(connection.unheard_since, info, now):
                connection.give_up()
                self._on_gone()
        if busy:
            self.run()
