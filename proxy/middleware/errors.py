"""Answers in place of the upstream: where a request is refused, nothing comes of it, or there is a bug in us.

An error is raised once, and told once: its object goes to the record, and makes the answer.
"""

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.error_answers import error_response
from proxy.errors import Answered, ClientLeft, Failure, InternalError, ProxyError, ResponseCut, Stopping
from proxy.headers import HeaderList
from proxy.lifecycle import cancellation_of
from proxy.middleware.sharing import permissions
from proxy.observe.record import Record, record_of

log = logging.getLogger("proxy")

_LAST_WORDS_WITHIN = 0.1  # seconds; a client that has not taken its previous answer will not take this one


class ErrorMiddleware:
    """Answers with what is raised behind it, or cuts an answer that has begun.

    ``shared`` gives the headers that let a page read an answer of ours, for a request's headers.
    """

    def __init__(self, app: ASGIApp, shared: Callable[[HeaderList], HeaderList]) -> None:
        self.app = app
        self.shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = record_of(scope)
        cancellation = cancellation_of(scope)
        refusal = None if cancellation is None else cancellation.reason
        try:
            try:
                if refusal is not None:  # what the server cannot take for a request goes the way of one
                    raise refusal
                await self.app(scope, receive, send)
            except Answered as answer:
                await self._send(answer.status, answer.headers, b"", scope, send)
            except Failure as failure:
                await self._end(failure, record, scope, send)
            except Exception as bug:  # noqa: BLE001 - whatever it is, the client gets an answer
                error_id = secrets.token_hex(4)
                log.error("bug %s: %s", error_id, _silent_traceback(bug))  # noqa: TRY400
                await self._end(InternalError(error_id), record, scope, send)
        except asyncio.CancelledError:  # from the upstream, or while an answer of ours is taken
            reason = None if cancellation is None else cancellation.reason
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_WITHIN):
                    await self._end(reason or Stopping(), record, scope, send)
            raise

    async def _end(self, failure: Failure, record: Record, scope: Scope, send: Send) -> None:
        """Note ``failure``, and answer with it; raise `ResponseCut` if an answer has begun already."""
        record.fail(failure)
        if isinstance(failure, ClientLeft):
            return
        if record.status is not None or not isinstance(failure, ProxyError):
            raise ResponseCut from None
        if self.shared(scope["headers"]) and (told := permissions(scope)) is not None:
            # To a page that asks first what it may send, an error would be one that it cannot read.
            await self._send(200, told, b"", scope, send)
            return
        headers, body = error_response(failure, scope["raw_path"])
        await self._send(failure.status, headers, body, scope, send)

    async def _send(self, status: int, headers: HeaderList, body: bytes, scope: Scope, send: Send) -> None:
        headers = [*headers, *self.shared(scope["headers"])]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _silent_traceback(error: BaseException) -> str:
    """Where ``error`` came from, without its text, which might quote a header."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(
        [type(error).__qualname__, *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))]
    )
