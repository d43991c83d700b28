"""A block of code that ends when something happens elsewhere: the client leaves, or too much time goes by."""

import asyncio
from types import TracebackType
from typing import Self

_SECOND_LOOK = 0.01  # seconds


class Watch:
    """Cancels the task inside of its ``with`` block, and lets the block raise the reason for it.

    As `asyncio.timeout` does it: only a cancellation that is ours alone becomes the reason.

    A time limit costs one timer for the whole block, however often it is moved: the timer fires early, and looks.
    ``shortest`` is the shortest limit that will be set, in seconds.
    """

    def __init__(self, shortest: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._shortest = shortest
        self._owner: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._reason: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._interruption: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._overdue: float | None = None
        self._too_late: type[Exception] = TimeoutError

    def __enter__(self) -> Self:
        self._owner = asyncio.current_task()
        assert self._owner is not None
        self._cancelling = self._owner.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for timer in (self._timer, self._interruption):
            if timer is not None:
                timer.cancel()
        owner, self._owner = self._owner, None  # so that nothing is left to the cyclic garbage collector
        reason, self._reason = self._reason, None
        if reason is None or owner is None:
            return
        if owner.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            try:
                raise reason from None
            finally:
                # Its traceback refers to this frame, and by its context to all that was cancelled: a TLS handshake has
                # buffers of hundreds of kilobytes, for which the cyclic garbage collector must not be waited.
                del reason, error, traceback

    def interrupt(self, reason: Exception, *, after: float = 0) -> None:
        """End the block with ``reason``, wherever it waits, unless it has ended ``after`` so many seconds.

        Only the first reason counts.
        """
        if self._owner is None or self._reason is not None:
            return
        if after:
            self._interruption = self._loop.call_later(after, self.interrupt, reason)
        else:
            self._reason = reason
            self._owner.cancel()

    def limit(self, seconds: float | None, reason: type[Exception]) -> None:
        """From now on, end the block with ``reason`` if the next call does not come within ``seconds``."""
        self._too_late = reason
        self._deadline = None if seconds is None else self._loop.time() + seconds
        if self._timer is None and self._deadline is not None and self._shortest is not None:
            self._timer = self._loop.call_later(self._shortest, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self._shortest is None:
            return
        now = self._loop.time()
        if now >= self._deadline and self._overdue != self._deadline:
            # A process that was stopped, or starved, sees its timers before what has arrived meanwhile.
            self._overdue = self._deadline
            self._timer = self._loop.call_later(_SECOND_LOOK, self._look)
        elif now >= self._deadline:
            self.interrupt(self._too_late())
        else:
            self._timer = self._loop.call_at(min(self._deadline, now + self._shortest), self._look)
