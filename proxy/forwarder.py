"""The last station: relays a request to the upstream and its answer back.

ASGI on one side, `httpx.AsyncBaseTransport` on the other. It never uses httpx's client, which adds headers of its own,
shares one cookie jar among all callers, follows redirects and decodes bodies.
"""

import asyncio
import functools
import re
from dataclasses import dataclass

import httpx2 as httpx
from starlette.types import Receive, Scope, Send

from proxy.addresses import Upstream
from proxy.errors import ClientLeft, IdleTimedOut, ResponseCut, ResponseTimedOut
from proxy.headers import HeaderList, values
from proxy.inbound import Inbound
from proxy.observe.record import CLIENT_LEFT, Record, record_of
from proxy.upstream.exceptions import proxy_error
from proxy.watch import Watch

# Most clients hang up as soon as they have seen the last event (openai-python: [DONE]; Codex: response.completed).
# In an event's data, line breaks are escaped: a line that starts so is the event itself, never a model's words.
_LAST_EVENT = re.compile(
    rb"^(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|failed|incomplete))\b)", re.MULTILINE
)
_UPSTREAM_ENDS_WITHIN = 0.4  # seconds after such a hang-up; then its connection can serve the next request


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, or None for no limit. There is never a limit on the whole: answers may stream for hours."""

    connect: float | None
    response: float | None  # from the request's last byte to the answer's head
    idle: float | None  # between two pieces of a body, in either direction

    @property
    def shortest(self) -> float | None:
        """The shorter one of those that are kept here; the transport keeps ``connect``."""
        return min((limit for limit in (self.response, self.idle) if limit is not None), default=None)


class Forwarder:
    """An ASGI application that answers with what ``upstream`` answers."""

    def __init__(self, transport: httpx.AsyncBaseTransport, upstream: Upstream, timeouts: Timeouts) -> None:
        self.transport = transport
        self.timeouts = timeouts
        self.origin = httpx.URL(upstream.origin)
        self.host_header = (b"Host", upstream.authority.encode("ascii"))
        self.prefix = upstream.prefix.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = record_of(scope)
        try:
            with Watch(self.timeouts.shortest) as watch:
                async with Inbound(receive, watch) as inbound:
                    await self._relay(scope, inbound, send, watch, record)
                    record.ended_by = "client" if inbound.left else "upstream"
        except ClientLeft:
            record.ended_by = "client"
            if not record.had_last_event:
                record.status = CLIENT_LEFT
        except IdleTimedOut:
            record.ended_by, record.error = "proxy", "idle-timeout"
            raise
        except asyncio.CancelledError as cancelled:
            if ClientLeft.REASON in cancelled.args:
                record.ended_by, record.status = "client", CLIENT_LEFT
            raise

    async def _relay(self, scope: Scope, inbound: Inbound, send: Send, watch: Watch, record: Record) -> None:
        response = await self._answer_to(self._request(scope, inbound), inbound, watch)
        try:
            headers = response_headers(response.headers.raw)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await self._relay_body(response, inbound, send, watch, record)
        finally:
            await response.aclose()
        await send({"type": "http.response.body"})

    async def _answer_to(self, request: httpx.Request, inbound: Inbound, watch: Watch) -> httpx.Response:
        """The answer's head, in time. Raises `ProxyError`."""
        wait = functools.partial(watch.limit, self.timeouts.response, ResponseTimedOut)
        if request.stream is inbound:
            inbound.on_sent = wait
        else:
            wait()
        try:
            return await self.transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise proxy_error(error) from error
        finally:
            inbound.on_sent = None  # the answer may have come early, and the upload may go on
            watch.limit(None, ResponseTimedOut)

    async def _relay_body(
        self, response: httpx.Response, inbound: Inbound, send: Send, watch: Watch, record: Record
    ) -> None:
        """Each piece as it comes. Raises `ResponseCut` when the upstream does not end its message properly."""
        assert isinstance(response.stream, httpx.AsyncByteStream)
        is_event_stream = _is_event_stream(response.headers.raw)
        is_compressed = bool(values(response.headers.raw, b"content-encoding"))  # its events cannot be seen
        try:
            watch.limit(self.timeouts.idle, IdleTimedOut)
            async for piece in response.stream:
                watch.limit(None, IdleTimedOut)  # while the client takes it, the upstream is not idle
                if is_event_stream:
                    record.had_last_event = _LAST_EVENT.search(piece) is not None
                    inbound.patience = _UPSTREAM_ENDS_WITHIN if record.had_last_event or is_compressed else 0.0
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                watch.limit(self.timeouts.idle, IdleTimedOut)
            watch.limit(None, IdleTimedOut)
        except httpx.TransportError as error:
            record.ended_by, record.error = "upstream", "response-cut"
            raise ResponseCut from error

    def _request(self, scope: Scope, inbound: Inbound) -> httpx.Request:
        headers: HeaderList = scope["headers"]
        has_body = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)
        return httpx.Request(
            scope["method"],
            self.origin,
            headers=[self.host_header, *headers],
            stream=inbound if has_body else httpx.ByteStream(b""),
            extensions={
                "target": self.prefix + upstream_target(scope["raw_path"], scope["query_string"]),
                "timeout": {"connect": self.timeouts.connect, "write": self.timeouts.idle, "read": None, "pool": None},
            },
        )


def upstream_target(raw_path: bytes, query: bytes) -> bytes:
    """The request target as the client sent it; only the alias ``/v1/`` is spelled out."""
    path = b"/api" + raw_path if raw_path.startswith(b"/v1/") else raw_path
    return b"%b?%b" % (path, query) if query else path


def response_headers(headers: HeaderList) -> HeaderList:
    """Asks nginx-like proxies in front of us not to hold events back, where the upstream does not say so itself."""
    if _is_event_stream(headers) and not values(headers, b"x-accel-buffering"):
        return [*headers, (b"X-Accel-Buffering", b"no")]
    return headers


def _is_event_stream(headers: HeaderList) -> bool:
    types = (value.partition(b";")[0] for value in values(headers, b"content-type"))
    return any(kind.strip().lower() == b"text/event-stream" for kind in types)
