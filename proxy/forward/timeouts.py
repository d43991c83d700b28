"""Blocks of code that end when they have waited for too long."""

import asyncio
from types import TracebackType
from typing import Self

_OFTEN = 16  # looks within the shortest limit
_AT_LEAST, _AT_MOST = 0.01, 1.0  # seconds between two looks
_SECOND_LOOK = 0.01  # seconds


class TimeLimits:
    """The limits of all requests of a loop, which share one timer; it runs only while there are any.

    A timer for each request would cost more than all that it would be moved for. ``shortest`` is the shortest limit
    that will be set, in seconds, or None if none will be; a block ends up to an eighth of it, or two seconds, late.
    """

    def __init__(self, shortest: float | None) -> None:
        self._every = None if shortest is None else min(max(shortest / _OFTEN, _AT_LEAST), _AT_MOST)
        self._open: set[TimeLimit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # of the timer, which ends with it

    def limit(self) -> "TimeLimit":
        """A new one, for a ``with`` block. Nothing limits it yet."""
        return TimeLimit(self, asyncio.get_running_loop())

    def add(self, limit: "TimeLimit") -> None:
        self._open.add(limit)
        if (self._timer is None or self._loop is not limit.loop) and self._every is not None:
            self._loop = limit.loop
            self._timer = limit.loop.call_later(self._every, self._look)

    def discard(self, limit: "TimeLimit") -> None:
        self._open.discard(limit)

    def _look(self) -> None:
        self._timer = None
        if not self._open or self._every is None:
            return
        loop = asyncio.get_running_loop()
        suspects = [limit.is_due(loop.time()) for limit in self._open]
        self._timer = loop.call_later(_SECOND_LOOK if any(suspects) else self._every, self._look)


class TimeLimit:
    """Cancels the task inside of its ``with`` block once the time is up, and lets the block raise the reason.

    As `asyncio.timeout` does it: only a cancellation that is ours alone becomes the reason.

    Between two pieces of a stream, its user says only that something has ``moved``, or that the limit is ``paused``:
    the time begins anew with the next look. To ask the clock for each piece would cost more.
    """

    __slots__ = (
        "_cancelling",
        "_deadline",
        "_limits",
        "_overdue",
        "_owner",
        "_reason",
        "_seconds",
        "_too_late",
        "loop",
        "moved",
        "paused",
    )

    def __init__(self, limits: TimeLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._limits = limits
        self._owner: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._too_late: Exception | None = None
        self._seconds: float | None = None
        self._deadline: float | None = None
        self.moved = False
        self.paused = False
        self._overdue: float | None = None
        self._reason: type[Exception] = TimeoutError

    def __enter__(self) -> Self:
        self._owner = asyncio.current_task(self.loop)
        assert self._owner is not None
        self._cancelling = self._owner.cancelling()
        self._limits.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limits.discard(self)
        owner, self._owner = self._owner, None  # so that nothing is left to the cyclic garbage collector
        too_late, self._too_late = self._too_late, None
        if too_late is None or owner is None:
            return
        if owner.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            try:
                raise too_late from None
            finally:
                # Its traceback refers to this frame, and by its context to all that was cancelled: TLS buffers, say,
                # for which the cyclic garbage collector must not be waited.
                del too_late, error, traceback

    def set(self, seconds: float | None, reason: type[Exception]) -> None:
        """From now on, end the block with ``reason`` if nothing moves for so many ``seconds``."""
        self._reason = reason
        self._seconds = seconds
        self._deadline = None if seconds is None else self.loop.time() + seconds
        self.moved = self.paused = False

    def move(self, reason: type[Exception]) -> None:
        """Begin anew, if ``reason`` is what the block would end with now."""
        self.moved = self.moved or self._reason is reason

    def is_due(self, now: float) -> bool:
        """End the block if its time is up; whether it seems to be, and a second look is needed.

        A process that was stopped, or starved, sees its timers before what has arrived meanwhile.
        """
        if self._deadline is None or self._seconds is None or self._owner is None or self.paused:
            return False
        if self.moved:
            self.moved = False
            self._deadline = now + self._seconds
        if now < self._deadline:
            return False
        if self._owner.cancelling() > self._cancelling:  # it is ending already
            return False
        if self._overdue != self._deadline:
            self._overdue = self._deadline
            return True
        self._too_late = self._reason()
        self._owner.cancel()
        return False
