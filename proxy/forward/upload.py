"""A request's body on its way from the client to the upstream."""

from typing import Self

import httpx2 as httpx
from starlette.types import Message, Receive

from proxy.errors import ClientLeft
from proxy.observe.record import Record


def upload(first: Message, receive: Receive, record: Record) -> httpx.AsyncByteStream:
    """The body that begins with the message ``first``: an `httpx.ByteStream` if that is all of it, else an `Upload`.

    ``record`` counts its bytes.

    Our server gives the first message without waiting, with what came together with the head: most bodies, whole.
    """
    if first["type"] == "http.request" and not first.get("more_body", False):
        body = first.get("body", b"")
        record.received_bytes = len(body)
        return httpx.ByteStream(body)
    return Upload(first, receive, record)


class Upload(httpx.AsyncByteStream):
    """The body that begins with the ASGI message ``first``; iterating over it raises `ClientLeft` if it is cut.

    The client feels the upstream's back-pressure: nothing is received before the reader asks for it.
    """

    def __init__(self, first: Message, receive: Receive, record: Record) -> None:
        self._first: Message | None = first
        self._receive = receive
        self._record = record
        self._ended = False

    # No generator: when one is left half-way, the loop closes it in a task that nobody owns.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            message, self._first = self._first, None
            if message is None:
                message = await self._receive()
            if message["type"] != "http.request":
                raise ClientLeft
            self._ended = not message.get("more_body", False)
            if body := message.get("body", b""):
                self._record.received_bytes += len(body)
                return body  # type: ignore[no-any-return]
        raise StopAsyncIteration
