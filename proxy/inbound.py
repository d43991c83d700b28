"""The client's side of an exchange: its body, and the news that it has left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx2 as httpx
from starlette.types import Message, Receive

from proxy.errors import ClientLeft
from proxy.watch import Watch


class Inbound(httpx.AsyncByteStream):
    """Owns ``receive`` for as long as the ``async with`` block lasts; iterating over it gives the request's body.

    One message at most is held ahead of the reader, so that the client feels the upstream's back-pressure.
    When the client leaves, it ends ``watch`` with `ClientLeft`, after ``patience`` seconds: more than none only once
    the answer is all but complete. ``on_sent`` is called when the body's last byte has been taken.
    """

    def __init__(self, receive: Receive, watch: Watch) -> None:
        self._receive = receive
        self._watch = watch
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)
        self._listener: asyncio.Task[None] | None = None
        self.left = False
        self.patience = 0.0
        self.on_sent: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        self._listener = asyncio.create_task(self._listen())  # noqa: TID251 - owned: __aexit__ ends it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It refers to us: without this, each request would leave its objects to the cyclic garbage collector.
        listener, self._listener = self._listener, None
        if listener is not None and not listener.done():
            listener.cancel()
            await asyncio.wait([listener])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more_body = True
        while more_body:
            message = await self._messages.get()
            more_body = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body
        if self.on_sent is not None:
            self.on_sent()

    async def _listen(self) -> None:
        while (message := await self._receive())["type"] == "http.request":
            await self._messages.put(message)
        self.left = True
        self._watch.interrupt(ClientLeft(), after=self.patience)
