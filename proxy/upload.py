"""A request's body on its way from the client to the upstream."""

from collections.abc import AsyncIterator, Callable

import httpx2 as httpx
from starlette.types import Message, Receive

from proxy.errors import ClientLeft


async def open_upload(receive: Receive) -> httpx.AsyncByteStream:
    """The body: an `httpx.ByteStream` if all of it is here, else an `Upload`.

    Our server gives the first message without waiting, with what came together with the head: most bodies, whole.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return httpx.ByteStream(message.get("body", b""))
    return Upload(message, receive)


class Upload(httpx.AsyncByteStream):
    """The body that begins with the ASGI message ``first``; iterating over it raises `ClientLeft` if it is cut.

    The client feels the upstream's back-pressure: nothing is received before the reader asks for it. ``on_sent`` is
    called when the body's last byte has been taken.
    """

    def __init__(self, first: Message, receive: Receive) -> None:
        self._first = first
        self._receive = receive
        self.on_sent: Callable[[], None] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        message = self._first
        while message["type"] == "http.request":
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                break
            message = await self._receive()
        else:
            raise ClientLeft
        if self.on_sent is not None:
            self.on_sent()
