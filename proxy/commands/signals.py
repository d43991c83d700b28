"""A command that goes on until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager


async def until_signal(work: Coroutine[None, None, int], *, ends_well: bool) -> int:
    """Return what ``work`` does; or, if SIGINT or SIGTERM ended it, 0 if that ``ends_well``, else the usual code."""
    loop = asyncio.get_running_loop()
    caught: list[int] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)

        def stop(number: int, _frame: object) -> None:
            caught.append(number)
            loop.call_soon_threadsafe(task.cancel)

        with _handled(stop):
            await asyncio.wait([task])
    if caught and task.cancelled():
        return 0 if ends_well else 128 + caught[0]
    return task.result()


@contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Both signals go to ``handler`` for as long as the block lasts."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
