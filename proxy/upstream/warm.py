"""Keeping connections ready, so that a request does not have to wait for name, TCP and TLS."""

import asyncio
import logging
from contextlib import suppress

from proxy.upstream.pool import Pool

log = logging.getLogger("proxy")


class Warmer:
    """Sees to it that a pool has as many idle connections as it wants; owns the one task that does so.

    It opens one at a time. A request that finds none ready does not wait for the one that is being opened, which may
    hang, but opens its own; the other is then ready for the next.
    """

    def __init__(self, pool: Pool, limit: float) -> None:
        self._pool = pool
        self._limit = limit
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._pool.begin()
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - owned: see aclose

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        pool = self._pool
        while True:
            await pool.short.wait()
            pool.short.clear()
            while pool.is_short():
                await self._pause()
                if pool.is_short():
                    await self._prepare()
            pool.retire()

    async def _pause(self) -> None:
        """Wait for the end of the back-off, or for a request that has reached the upstream."""
        loop = asyncio.get_running_loop()
        while (until := self._pool.backoff.until) > loop.time():
            self._pool.reached.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._pool.reached.wait()

    async def _prepare(self) -> None:
        try:
            await self._pool.prepare(self._limit)
        except Exception as error:  # noqa: BLE001 - no thread, no memory: the next request will tell
            log.debug("no connection could be made ready: %s", type(error.__cause__ or error).__name__)
        else:
            self._pool.retire()
