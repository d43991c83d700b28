"""The proxy of one ``run``: on a free port of this machine, in a thread, for whoever has the token and nobody else."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from proxy.openrouter.api import KEY_MARK
from proxy.settings.addresses import Listen
from proxy.settings.model import Settings

if TYPE_CHECKING:  # a third of a second to import, in which the command is already started
    from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = "127.0.0.1"
_BACKLOG = 2048
_KEY_MARK = KEY_MARK.encode()


class Visits:
    """What has come to the door: written by the proxy's thread, read when that has ended."""

    def __init__(self) -> None:
        self.with_token = 0
        self.with_own_key = 0
        self.without_token = 0

    @property
    def none_at_all(self) -> bool:
        """Whether nobody came."""
        return not (self.with_token or self.with_own_key or self.without_token)


class Door:
    """Listens from the start: what comes before `open` waits, and is served then. `close` must be called."""

    def __init__(self) -> None:
        self._socket = socket.create_server((_HOST, 0), backlog=_BACKLOG)
        # Accepted sockets inherit it: events do not wait for the acknowledgement of the one before.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.origin = f"http://{_HOST}:{self._socket.getsockname()[1]}"
        self.visits = Visits()
        self.failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._stop_loop: Callable[[], object] = lambda: None

    def open(self, settings: Settings, token: str) -> None:
        """Serve with ``settings``, whose key travels in place of ``token``. Returns at once."""
        narrowed = settings.model_copy(
            update={
                "access_token": SecretStr(token),
                "listen": Listen(_HOST, 0),
                "shutdown_grace": 0.0,  # the streams of a command that has ended are nobody's
                "allowed_hosts": (),
                "allowed_origins": (),
                # Pages about the traffic are for whoever runs the proxy; nobody looks at this one.
                "metrics": "off",
                "live_page": "off",
                **({"named": {}} if settings.profiles else {}),  # the command is one identity, and no other
            }
        )
        thread = threading.Thread(target=self._run, args=(narrowed, token.encode("ascii")), name="proxy")
        try:
            thread.start()
        except RuntimeError as error:  # no thread is to be had, and the command runs already
            self.failure = error
            self._socket.close()
        else:
            self._thread = thread

    def close(self) -> None:
        """Close the port and every connection, and wait until that is so."""
        self._stop.set()
        with suppress(RuntimeError):  # its loop has ended by itself
            self._stop_loop()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()

    def _run(self, settings: Settings, token: bytes) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve(settings, token))
        except Exception as error:  # noqa: BLE001 - told when the command has ended; until then it is refused
            self.failure = error
        finally:
            self._socket.close()

    async def _serve(self, settings: Settings, token: bytes) -> None:
        from proxy.app import create_app  # noqa: PLC0415 - while the command starts as well
        from proxy.resource_limits import raise_file_limit  # noqa: PLC0415
        from proxy.server.server import running  # noqa: PLC0415

        raise_file_limit()  # the command has been started with the limit that is the user's
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        app = create_app(settings)
        guarded = replace(app, handler=TokenOnly(app.handler, token, self.visits))
        async with running(guarded, settings, [self._socket]):
            self._stop_loop = lambda: loop.call_soon_threadsafe(stopped.set)
            if not self._stop.is_set():
                await stopped.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The same event loop as the proxy has otherwise."""
    try:
        import uvloop  # noqa: PLC0415 - it does not exist everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop


class TokenOnly:
    """Lets through what presents the token and nothing beside it; from anything else it takes whatever it presents.

    Without a credential the application's own guard of the token refuses it: 401. So no key but the configured one is
    ever used, and none that a tool has found elsewhere travels on.
    """

    def __init__(self, app: "ASGIApp", token: bytes, visits: Visits) -> None:
        self.app = app
        self.token = token
        self.visits = visits

    def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        from proxy.headers import CREDENTIALS, folded, presented  # noqa: PLC0415

        shown = {presented(value) for name, value in scope["headers"] if folded(name) in CREDENTIALS}
        if shown == {self.token}:
            self.visits.with_token += 1
            return self.app(scope, receive, send)
        if any(value.startswith(_KEY_MARK) for value in shown):
            self.visits.with_own_key += 1
        else:
            self.visits.without_token += 1
        kept = [line for line in scope["headers"] if folded(line[0]) not in CREDENTIALS]
        return self.app({**scope, "headers": kept}, receive, send)
