"""Keeps a record of each request, and shows it to whoever observes: the access log, and what comes beside it."""

import asyncio
import functools
import re
from collections.abc import Awaitable, Sequence
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.headers import Fields
from proxy.observe.record import Observer, Record, UnderWay
from proxy.observe.redaction import HIDDEN, Redaction

_LONGEST_PATH = 256  # characters of it in a log line, of which one client could fill 95 MB a second otherwise
_MORE = "..."
_PRODUCT = re.compile(rb"[A-Za-z0-9._/-]{1,64}")


class RecordMiddleware:
    """Opens a record, watches the answer go by, and ends it."""

    def __init__(self, app: ASGIApp, redaction: Redaction, observers: Sequence[Observer], under_way: UnderWay) -> None:
        self.app = app
        self.redaction = redaction
        self.observers = tuple(observers)
        self.under_way = under_way
        self.count = 0
        self.ended: list[Record] = []  # in this turn of the loop
        self.told_by: asyncio.AbstractEventLoop | None = None  # at the end of its turn
        self.shown = functools.lru_cache(64)(self._shown)  # nearly all requests are for the same few paths
        self.tool = functools.lru_cache(64)(self._tool)  # by the same few tools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = Record(scope["method"], self.shown(scope["raw_path"]))
        fields: Fields | None = scope.get("fields")  # as our server has found them
        if fields is None or not fields.are_of(scope["headers"]):  # what is in front of us may have changed the list
            fields = Fields(scope["headers"])
        if agents := fields[b"user-agent"]:
            record.tool = self.tool(agents[-1])
        has_body = record.method != "HEAD"

        # No coroutine of its own: whoever waits resumes through one frame less, for each piece of each stream.
        def send_recorded(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.begin_answer(message["status"])
            elif has_body:
                record.sent_bytes += len(message.get("body", b""))
            return send(message)

        self.count += 1
        record.number = self.count
        self.under_way[record.number] = record
        try:
            await self.app({**scope, "record": record, "fields": fields}, receive, send_recorded)
        finally:
            record.end()
            self._tell_soon(record)

    def _tell_soon(self, record: Record) -> None:
        """Tell the observers at the end of the loop's turn, of all that have ended in it.

        One after the other, they cost each request 5 µs more with 32 clients (`python -m benchmarks --only cpu`). Where
        no other request is under way, they are told now: with one client, another turn costs 5 µs as well.
        """
        self.ended.append(record)
        if len(self.ended) == len(self.under_way):
            self._tell()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # it has ended, and a request is thrown away that was still under way
            self._tell()
            return
        if self.told_by is not loop:  # or one that has ended before it could
            self.told_by = loop
            loop.call_soon(self._tell)

    def _tell(self) -> None:
        self.told_by = None
        if not self.ended:  # told by now, as no other was under way
            return
        ended, self.ended = self.ended, []
        for record in ended:
            del self.under_way[record.number]
        for observer in self.observers:
            observer.ended(ended)

    def _shown(self, raw_path: bytes) -> str:
        """The path as it may stand in a log line: nothing that a terminal would obey, and no key."""
        if self.redaction.finds_in_path(raw_path):
            return HIDDEN
        # Percent-encoded once more where needed; then each byte may be three.
        shown = quote(raw_path[:_LONGEST_PATH], safe="/%:;~@!$&'()*+,=-._\\|^[]{}")
        whole = len(raw_path) <= _LONGEST_PATH and len(shown) <= _LONGEST_PATH
        return shown if whole else shown[: _LONGEST_PATH - len(_MORE)] + _MORE

    def _tool(self, agent: bytes) -> str | None:
        """The first product of a ``User-Agent`` (RFC 9110, 10.1.5), as far as it may stand in a log line."""
        match = _PRODUCT.match(agent)
        if match is None:
            return None
        return HIDDEN if self.redaction.finds(agent.decode("latin-1")) else match[0].decode("ascii")
