"""The client's side of an exchange: its body, and the news that it has left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx2 as httpx
from starlette.types import Message, Receive

from proxy.errors import ClientLeft


class Inbound(httpx.AsyncByteStream):
    """Owns ``receive`` for as long as the ``async with`` block lasts; iterating over it gives the request's body.

    When the client leaves, the task in the block is cancelled, wherever it waits, and the block raises `ClientLeft`.
    One message at most is held ahead of the reader, so that the client feels the upstream's back-pressure.

    ``on_sent`` is called when the body's last byte has been taken, ``patience`` says for how many seconds the block
    may go on without the client: more than none only once the answer is all but complete.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)
        self._owner: asyncio.Task[object]
        self._watch: asyncio.Task[None]
        self._cancelling = 0
        self._cancelled = False
        self._cancel_later: asyncio.TimerHandle | None = None
        self.left = False
        self.patience = 0.0
        self.on_sent: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        owner = asyncio.current_task()
        assert owner is not None
        self._owner = owner
        self._cancelling = owner.cancelling()
        self._watch = asyncio.create_task(self._receive_all())  # noqa: TID251 - owned: __aexit__ ends it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cancel_later is not None:
            self._cancel_later.cancel()
        if not self._watch.done():
            self._watch.cancel()
            await asyncio.wait([self._watch])
        # As `asyncio.timeout` does it: only a cancellation that is ours alone becomes an exception of ours.
        if self._cancelled and self._owner.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientLeft from None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more_body = True
        while more_body:
            message = await self._messages.get()
            more_body = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body
        self.on_sent()

    async def _receive_all(self) -> None:
        while (message := await self._receive())["type"] == "http.request":
            await self._messages.put(message)
        self.left = True
        if self.patience:
            self._cancel_later = asyncio.get_running_loop().call_later(self.patience, self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        self._cancelled = True
        self._owner.cancel()
