"""What happens, as server-sent events (HTML, 9.2): how the proxy is set up, then changes, five times a second."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.errors import Overloaded, ResponseCut
from proxy.lifecycle import Lifecycle
from proxy.observe.feed import Feed, Viewer

_TICK = 0.2  # seconds
_SIGN_OF_LIFE_AFTER = 10.0  # seconds without any change; then whoever is between keeps the connection open
_MOST_VIEWERS = 32
_COME_BACK_AFTER = 1000  # milliseconds


class EventStream:
    """An ASGI endpoint that tells each viewer what goes on in ``feed``, until either side leaves.

    What a viewer does not read stays unsent, and what it misses meanwhile is counted: the traffic never waits.
    """

    def __init__(self, feed: Feed, lifecycle: Lifecycle, setup: Callable[[], dict[str, Any]]) -> None:
        self.feed = feed
        self.lifecycle = lifecycle
        self.setup = setup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.feed.viewers >= _MOST_VIEWERS:
            raise Overloaded("Too many pages show what the proxy does. Close one of them, then try again.")
        headers = [
            (b"Content-Type", b"text/event-stream; charset=utf-8"),
            (b"X-Accel-Buffering", b"no"),
        ]
        with self.feed.viewer() as viewer:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async with asyncio.TaskGroup() as group:
                leaving = group.create_task(_left(receive))
                telling = group.create_task(self._tell(viewer, send))
                while not self.lifecycle.stopping and not leaving.done():
                    await asyncio.wait([leaving], timeout=_TICK)
                telling.cancel()
                leaving.cancel()
            try:
                async with asyncio.timeout(_TICK):
                    await send({"type": "http.response.body"})
            except TimeoutError:  # it does not read, and holds up the end of the process no longer
                raise ResponseCut from None

    async def _tell(self, viewer: Viewer, send: Send) -> None:
        """Send what changes, until cancelled."""
        clock = asyncio.get_running_loop().time
        await _send(send, f"retry: {_COME_BACK_AFTER}\n".encode() + _event("setup", self.setup()))
        sent_at = clock()
        while True:
            if changes := viewer.take():
                await _send(send, _event("changes", changes))
                sent_at = clock()
            elif clock() - sent_at > _SIGN_OF_LIFE_AFTER:
                await _send(send, b":\n\n")
                sent_at = clock()
            await asyncio.sleep(_TICK)


async def _left(receive: Receive) -> None:
    """Return when the viewer has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _event(name: str, data: dict[str, Any]) -> bytes:
    # JSON in ASCII: no line break in it that the format would take for one of its own.
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")
