"""The event loop of everything that measures or is measured against: uvloop, and no pauses of its own making."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

try:
    from uvloop import new_event_loop
except ImportError:  # where there is none, the harness costs more, and the figures at high rates say less
    from asyncio import new_event_loop  # type: ignore[assignment]


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run ``main`` to its end, without pauses for garbage collection, which would be taken for the proxy's."""
    gc.disable()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
