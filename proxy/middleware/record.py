"""Keeps a record of each request, and shows it to whoever observes: the access log, and what comes beside it."""

import functools
from collections.abc import Awaitable, Sequence
from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.observe.record import Observer, Record
from proxy.observe.redaction import HIDDEN, Redaction


class RecordMiddleware:
    """Opens a record, watches the answer go by, and ends it."""

    def __init__(self, app: ASGIApp, redaction: Redaction, observers: Sequence[Observer]) -> None:
        self.app = app
        self.redaction = redaction
        self.observers = tuple(observers)
        self.shown = functools.lru_cache(64)(self._shown)  # nearly all requests are for the same few paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = Record(scope["method"], self.shown(scope["raw_path"]))
        has_body = record.method != "HEAD"

        # No coroutine of its own: whoever waits resumes through one frame less, for each piece of each stream.
        def send_recorded(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.begin_answer(message["status"], message["headers"])
            elif has_body:
                record.sent_bytes += len(message.get("body", b""))
            return send(message)

        for observer in self.observers:
            observer.began(record)
        try:
            await self.app({**scope, "state": {**scope.get("state", {}), "record": record}}, receive, send_recorded)
        finally:
            record.end()
            for observer in self.observers:
                observer.ended(record)

    def _shown(self, raw_path: bytes) -> str:
        """The path as it may stand in a log line: nothing that a terminal would obey, and no key."""
        if self.redaction.finds(unquote_to_bytes(raw_path).decode("latin-1")):
            return HIDDEN
        # Percent-encoded once more where needed.
        return quote(raw_path, safe="/%:;~@!$&'()*+,=-._\\|^[]{}")
