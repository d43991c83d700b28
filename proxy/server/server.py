"""The process: ticks, signals, and an orderly end."""

import asyncio
import gc
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from proxy.lifecycle import Lifecycle
from proxy.observe.handler import PatientHandler
from proxy.observe.metrics import Metrics
from proxy.resource_limits import capacity, files_are_left, open_file_limit, raise_file_limit
from proxy.server.connection import Connection
from proxy.server.connections import Connections
from proxy.server.sockets import Address, CannotListen, address_of, inherited_sockets, open_sockets
from proxy.server.workers import ONE_WISH, Job, Link, Supervisor
from proxy.settings.model import Settings

log = logging.getLogger("proxy")

_TICK = 0.25  # seconds
_LATE = 2 * _TICK
_DRAIN_TICK = 0.05
_FIRST_REQUEST_WITHIN = 0.5  # seconds for who has connected just before the end
_LAST_WORDS_WITHIN = 0.25  # seconds for clients to take what their requests were cut with


class Application(Protocol):
    """What is served."""

    @property
    def lifecycle(self) -> Lifecycle: ...

    @property
    def metrics(self) -> Metrics | None: ...

    @property
    def handler(self) -> ASGIApp: ...


class Server(uvicorn.Server):
    """uvicorn's server, with our way of stopping.

    The first SIGTERM or SIGINT closes the listening sockets and lets answers under way run on, for ``grace`` seconds
    at most; requests on connections that are still open get a 503. The second signal cuts everything at once, unless it
    comes so soon that it is the same wish.

    With sockets that it ``inherits``, from a service manager that keeps them for its successor, nobody is refused: who
    has connected already, and not sent a request yet, is served.
    """

    server_state: Connections

    def __init__(
        self, app: Application, settings: Settings, on_ready: Callable[[], None], *, inherits: bool = False
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app.handler,
                http=Connection,
                ws="none",
                interface="asgi3",
                lifespan="on",
                log_config=None,
                log_level="warning",  # its lines at lower levels repeat ours, or hold a client's address
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )
        self.lifecycle = app.lifecycle
        self.server_state = Connections(capacity(open_file_limit()), settings.idle_timeout, self.lifecycle)
        self.grace = settings.shutdown_grace
        self.on_ready = on_ready
        self.inherits = inherits
        self.forced_by: int | None = None
        self._signalled = asyncio.Event()
        self._signalled_at: float | None = None

    def stop(self) -> None:
        self.lifecycle.stopping = not self.inherits  # there, once the last that has connected is served
        self.should_exit = True
        self._signalled.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # In a signal handler: the loop may be asleep, and must be woken.
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
        elif now - self._signalled_at > ONE_WISH:
            self.forced_by = sig
        asyncio.get_running_loop().call_soon_threadsafe(self.stop)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def main_loop(self) -> None:
        loop = asyncio.get_running_loop()
        looked_at, was_late = loop.time(), False
        while not self.should_exit:
            await self.on_tick(0)  # the current Date
            now = loop.time()
            late = now - looked_at > _LATE
            if not late or was_late:  # else, what clients have sent while the process was stopped is seen first
                for connection in list(self.server_state.open):
                    connection.tick(now)
            looked_at, was_late = now, late
            if not files_are_left():  # whom the event loop cannot accept, it hangs up on, and tells nobody
                self.server_state.tell_overload(now, "no file can be opened, new connections are closed")
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._signalled.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        if self.inherits and self.grace:
            await self._let_newcomers_begin()
        self.lifecycle.stopping = True
        if (waiting := len(self.server_state.requests)) and self.grace and self.forced_by is None:
            log.info(
                "stopping: waiting for %s, for %g s at most; a second Ctrl+C cuts at once",
                _counted(waiting),
                self.grace,
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace):
                await self._drain()
        await self._cut()
        await self.lifespan.shutdown()

    async def _let_newcomers_begin(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_REQUEST_WITHIN):
                await asyncio.sleep(_DRAIN_TICK)  # what is accepted, and not yet made a connection
                await self._until(lambda: not any(each.is_new for each in self.server_state.open))

    async def _drain(self) -> None:
        """Let answers under way run on to their end, unless a second signal comes."""
        for connection in list(self.server_state.open):
            connection.close_after_answer()
        await self._until(lambda: not self.server_state.requests or self.forced_by is not None)
        if self.forced_by is None:
            self._close_connections()
            await self._until(lambda: not self.server_state.open or self.forced_by is not None)

    async def _cut(self) -> None:
        if tasks := list(self.server_state.requests):
            log.warning("stopping: %s cut", _counted(len(tasks)))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        self._close_connections()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_WITHIN):
                await self._until(lambda: not self.server_state.open)
        for connection in list(self.server_state.open):
            connection.abort()

    def _close_connections(self) -> None:
        """Close each, once its client has taken what was written."""
        for connection in list(self.server_state.open):
            connection.close()

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():  # noqa: ASYNC110 - nobody tells when a set is empty
            await asyncio.sleep(_DRAIN_TICK)


def _counted(requests: int) -> str:
    return "1 request" if requests == 1 else f"{requests} requests"


@asynccontextmanager
async def running(
    app: Application, settings: Settings, sockets: list[socket.socket] | None = None
) -> AsyncIterator[Address]:
    """Serve ``app`` in this loop for as long as the block lasts.

    Listens on ``sockets`` if there are some already, which are then closed as well. Raises `CannotListen`.
    """
    sockets = sockets or open_sockets(settings.listen)
    ready = asyncio.Event()
    server = Server(app, settings, ready.set)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server._serve(sockets))  # noqa: SLF001 - `serve` takes the signals
        await ready.wait()
        try:
            yield address_of(settings.listen, sockets)
        finally:
            server.stop()
            await asyncio.wait([serving])


def run(app: Application, settings: Settings, *, on_ready: Callable[[Address], None], inherited: int = 0) -> int:
    """Serve ``app`` until a signal, in as many processes as the settings say; the process's exit code.

    ``inherited`` is how many listening sockets a service manager has passed. Raises `CannotListen` and `TooFewFiles`.
    """
    raise_file_limit()
    sockets = inherited_sockets(inherited, settings.listen) if inherited else open_sockets(settings.listen)
    address = address_of(settings.listen, sockets)
    if settings.workers == 1:

        def ready() -> None:
            on_ready(address)
            _spare_the_collector()

        return _serve(Server(app, settings, ready, inherits=bool(inherited)), sockets)
    if not hasattr(os, "fork"):
        raise CannotListen("OPENROUTER_WORKERS needs a system that can fork processes: leave it out, or set it to 1")

    def close_sockets() -> None:
        for each in sockets:
            each.close()

    def work(link: Link) -> int:
        return _work(app, settings, sockets, link, inherits=bool(inherited))

    def ended(number: int) -> None:
        if app.metrics is not None:
            app.metrics.end(number)

    job = Job(work, ready=lambda: on_ready(address), stop=close_sockets, ended=ended)
    _spare_the_collector()  # and so the workers share the pages of what there is: no collection writes to them
    return Supervisor(job, settings.workers, settings.shutdown_grace).run()


def _serve(server: Server, sockets: list[socket.socket]) -> int:
    """Let ``server`` have the process; its exit code."""
    server.run(sockets)
    return 0 if server.forced_by is None else 128 + server.forced_by


def _spare_the_collector() -> None:
    # What a start makes lives as long as the process: 40,000 objects that each full collection would walk through,
    # for 5 ms in which nothing is relayed. It is not walked through here, either: that would hold up the first request
    # for 20 ms, to find 700 objects.
    gc.freeze()
    # Requests leave no garbage that only the collector finds (tests/test_garbage.py), but what some dozen of them
    # hold at a time would set it off, at Python's threshold of 700 objects, over and over.
    gc.set_threshold(20_000, 10, 10)


def _work(app: Application, settings: Settings, sockets: list[socket.socket], link: Link, *, inherits: bool) -> int:
    """Serve as one of several processes, for as long as the supervisor is there."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PatientHandler):
            handler.share()
    app.lifecycle.starting = True
    if app.metrics is not None:
        app.metrics.become(link.number)

    def ready() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(link.all_started, all_started)
        loop.add_reader(link.supervisor, left_alone)
        link.tell_started()

    def all_started() -> None:
        asyncio.get_running_loop().remove_reader(link.all_started)
        app.lifecycle.starting = False

    def left_alone() -> None:
        asyncio.get_running_loop().remove_reader(link.supervisor)
        server.stop()

    server = Server(app, settings, ready, inherits=inherits)
    return _serve(server, sockets)
