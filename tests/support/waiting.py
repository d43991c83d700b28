"""Waits that end with the event, and fail by name when it does not come."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a wait that should have ended long ago fails. Generous: it is paid only by a failing test."""


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
        try:
            async with asyncio.timeout(within):
                while not (value := ready()):
                    await self._changed.wait()
                return value
        except TimeoutError:
            pass
        raise AssertionError(f"waited {within} s for {what}; there is: {state()}")


async def eventually(ready: Callable[[], bool], what: Callable[[], str], *, within: float = PATIENCE) -> None:
    """Bounded polling, for the state of kernel and interpreter that no event announces (descriptors, tasks, RSS)."""
    deadline = asyncio.get_running_loop().time() + within
    while not ready():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited {within} s for {what()}")
        await asyncio.sleep(0.005)
