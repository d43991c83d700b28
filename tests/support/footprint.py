"""What a test may not leave behind: sockets, tasks, errors that nobody saw."""

import asyncio
import logging
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually


def open_sockets() -> set[int]:
    """The inode of each internet socket that this process has open; the event loop's own sockets are of other kinds."""
    found = set()
    for name in [path.name for path in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the descriptor of this listing is closed by now
            state = os.fstat(int(name))
            if stat.S_ISSOCK(state.st_mode):
                with socket.socket(fileno=os.dup(int(name))) as duplicate:
                    if duplicate.family in (socket.AF_INET, socket.AF_INET6):
                        found.add(state.st_ino)
    return found


class Footprint:
    """Compares the process before and after; also listens for exceptions that end in the event loop or in the log.

    A test that provokes such a log line on purpose takes it out of `complaints`.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._sockets = open_sockets()
        self._tasks = asyncio.all_tasks()
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        self._handler = _Complaints(self.complaints)
        logging.getLogger().addHandler(self._handler)

    async def check(self, *, within: float = 3) -> None:
        try:
            await eventually(
                lambda: not self._leaked_tasks(), lambda: f"tasks to end: {self._leaked_tasks()}", within=within
            )
            await eventually(
                lambda: not self._leaked_sockets(), lambda: f"sockets to close: {self._leaked_sockets()}", within=within
            )
        finally:
            logging.getLogger().removeHandler(self._handler)
        assert not self.complaints, self.complaints

    def _leaked_tasks(self) -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return {task for task in asyncio.all_tasks() - self._tasks if task is not current}

    def _leaked_sockets(self) -> set[int]:
        return open_sockets() - self._sockets

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


class _Complaints(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("asyncio") or record.levelno >= logging.ERROR:
            self.complaints.append(self.format(record))
