"""A block of code that ends when it has waited for too long."""

import asyncio
from types import TracebackType
from typing import Self

_SECOND_LOOK = 0.01  # seconds


class TimeLimit:
    """Cancels the task inside of its ``with`` block once the time is up, and lets the block raise the reason.

    As `asyncio.timeout` does it: only a cancellation that is ours alone becomes the reason. But one timer serves the
    whole block, however often the limit is moved: the timer fires early, and looks. ``shortest`` is the shortest limit
    that will be set, in seconds, or None if none will be.
    """

    def __init__(self, shortest: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._shortest = shortest
        self._owner: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._too_late: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._overdue: float | None = None
        self._reason: type[Exception] = TimeoutError

    def __enter__(self) -> Self:
        self._owner = asyncio.current_task(self._loop)
        assert self._owner is not None
        self._cancelling = self._owner.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        owner, self._owner = self._owner, None  # so that nothing is left to the cyclic garbage collector
        too_late, self._too_late = self._too_late, None
        if too_late is None or owner is None:
            return
        if owner.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise too_late from None

    def set(self, seconds: float | None, reason: type[Exception]) -> None:
        """From now on, end the block with ``reason`` if the next call does not come within ``seconds``."""
        self._reason = reason
        self._deadline = None if seconds is None else self._loop.time() + seconds
        if self._timer is None and self._deadline is not None and self._shortest is not None:
            self._timer = self._loop.call_later(self._shortest, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self._shortest is None or self._owner is None:
            return
        now = self._loop.time()
        if now < self._deadline:
            self._timer = self._loop.call_at(min(self._deadline, now + self._shortest), self._look)
        elif self._overdue != self._deadline:
            # A process that was stopped, or starved, sees its timers before what has arrived meanwhile.
            self._overdue = self._deadline
            self._timer = self._loop.call_later(_SECOND_LOOK, self._look)
        else:
            self._too_late = self._reason()
            self._owner.cancel()
