"""Clients that leave, under servers that tell so by a message and do not cancel: uvicorn's own, hypercorn."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import ClientLeft
from proxy.lifecycle import CANCELLATION, Cancellation


async def until_disconnect(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call ``app`` as a server that cancels does it. Raises `ClientLeft` as soon as the client has left.

    One message of the request is received ahead of ``app``: so a client that leaves is noticed while nothing more of
    its request is wanted; not while more than that is on the way, as the server has then stopped to read.
    """
    cancellation = Cancellation()
    scope = {**scope, "extensions": {**(scope.get("extensions") or {}), CANCELLATION: cancellation}}
    owner = asyncio.current_task()
    assert owner is not None
    cancelling = owner.cancelling()
    received: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
    complete = False

    async def listen() -> None:
        while (message := await receive())["type"] == "http.request":
            await received.put(message)
        if not complete:
            cancellation.reason = ClientLeft()
            owner.cancel()

    async def send_watched(message: Message) -> None:
        nonlocal complete
        complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        try:
            await send(message)
        except OSError:  # ASGI 2.4: as a server may tell it, too
            raise ClientLeft from None

    listener = asyncio.create_task(listen())  # noqa: TID251 - this function is its owner
    try:
        try:
            await app(scope, received.get, send_watched)
        finally:
            listener.cancel()
            await asyncio.wait([listener])
    except asyncio.CancelledError:
        if cancellation.reason is None or owner.uncancel() > cancelling:
            raise
        raise ClientLeft from None
