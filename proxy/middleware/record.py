"""The station that keeps the record, and writes one line when the request has ended."""

import asyncio
import functools
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable
from contextlib import suppress
from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import ClientLeft, InternalError, ProxyError, ResponseCut, Stopping, send_error
from proxy.observe.record import CLIENT_LEFT, Record
from proxy.observe.redaction import HIDDEN, Redaction

access_log = logging.getLogger("proxy.access")
log = logging.getLogger("proxy")

_LAST_WORDS_WITHIN = 0.1  # seconds; a client that has not taken its previous answer will not take this one
_PROBES = frozenset({b"/healthz", b"/readyz"})


class RecordMiddleware:
    """Opens a record, watches the answer go by, answers a bug with a 500, and logs the line."""

    def __init__(self, app: ASGIApp, redaction: Redaction) -> None:
        self.app = app
        self.redaction = redaction
        self.shown = functools.lru_cache(64)(self._shown)  # nearly all requests are for the same few paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        raw_path: bytes = scope["raw_path"]
        record = Record(scope["method"], self.shown(raw_path))
        state = scope.get("state", {})
        scope = {**scope, "state": {**state, "record": record}}
        has_body = record.method != "HEAD"

        def send_recorded(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                _note_start(record, message)
            elif has_body:
                record.sent_bytes += len(message.get("body", b""))
            return send(message)

        try:
            await self.app(scope, receive, send_recorded)
        except (ClientLeft, asyncio.CancelledError) as ended:
            if isinstance(ended, ClientLeft) or ClientLeft.REASON in ended.args:
                _note_departure(record)
            else:
                record.error = Stopping.slug
                await _say_that_it_stops(record, send_recorded, raw_path)
            raise
        except ResponseCut:
            raise
        except Exception as bug:  # noqa: BLE001 - whatever it is, the client gets an answer
            error_id = secrets.token_hex(4)
            log.error("bug %s: %s", error_id, _silent_traceback(bug))  # noqa: TRY400
            record.ended_by = "proxy"
            if record.status is not None:
                record.error = InternalError.slug
                raise ResponseCut from None
            await send_error(send_recorded, InternalError(error_id), raw_path)
        finally:
            _note_refusal(record, state.get("refusal"))
            record.ended_at = time.monotonic()
            access_log.log(logging.DEBUG if raw_path in _PROBES else logging.INFO, "request", extra={"record": record})

    def _shown(self, raw_path: bytes) -> str:
        """The path as it may stand in a log line: nothing that a terminal would obey, and no key."""
        if self.redaction.finds(unquote_to_bytes(raw_path).decode("latin-1")):
            return HIDDEN
        # Percent-encoded once more where needed.
        return quote(raw_path, safe="/%:;~@!$&'()*+,=-._\\|^[]{}")


async def _say_that_it_stops(record: Record, send: Send, path: bytes) -> None:
    if record.status is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_WITHIN):
                await send_error(send, Stopping(), path)


def _note_departure(record: Record) -> None:
    record.ended_by = "client"
    if not record.had_last_event:
        record.status = CLIENT_LEFT


def _note_refusal(record: Record, refusal: ProxyError | None) -> None:
    """The server may have refused the rest of a request; the stations then believe that the client has left."""
    if refusal is None:
        return
    record.ended_by, record.error = "proxy", refusal.slug
    if record.first_byte_at is None:
        record.status = refusal.status


def _note_start(record: Record, message: Message) -> None:
    record.status = message["status"]
    record.first_byte_at = time.monotonic()
    for name, value in message["headers"]:
        key = name.lower()
        if key == b"x-generation-id":
            record.generation_id = value.decode("ascii", "backslashreplace")
        elif key == b"x-proxy-error":
            record.error = value.decode("ascii")


def _silent_traceback(error: BaseException) -> str:
    """Where ``error`` came from, without its text, which might quote a header."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(
        [type(error).__qualname__, *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))]
    )
