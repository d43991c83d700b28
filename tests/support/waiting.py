"""Waits that end with the event, and fail by name when it does not come."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a wait that should have ended long ago fails. Generous: it is paid only by a failing test."""

_AT_ONCE = 0.2
"""Seconds that one step of a wait counts at most. A busy machine leaves this process out for longer, and with it the
upstream, the client and often the proxy: nobody could have done meanwhile what is waited for."""


class News:
    """Wakes every waiter whenever something has changed; each decides for itself whether that is what it waits for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(
        self,
        ready: Callable[[], T | None],
        what: str,
        *,
        within: float = PATIENCE,
        state: Callable[[], object] = lambda: "nothing",
    ) -> T:
        """Returns the first true value of `ready`; `what` and `state` make the message of a failure."""
        time = asyncio.get_running_loop().time
        left = within
        while not (value := ready()):
            if left <= 0:
                raise AssertionError(f"waited {within} s for {what}; there is: {state()}")
            began = time()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _AT_ONCE)):
                    await self._changed.wait()
            left -= min(time() - began, _AT_ONCE)
        return value


async def eventually(ready: Callable[[], bool], what: Callable[[], str], *, within: float = PATIENCE) -> None:
    """Bounded polling, for the state of kernel and interpreter that no event announces (descriptors, tasks, RSS)."""
    time = asyncio.get_running_loop().time
    left = within
    while not ready():
        if left <= 0:
            raise AssertionError(f"waited {within} s for {what()}")
        began = time()
        await asyncio.sleep(0.005)
        left -= min(time() - began, _AT_ONCE)
