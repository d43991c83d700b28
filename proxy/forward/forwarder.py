"""Relays a request to the upstream and its answer back.

ASGI on one side, `httpx.AsyncBaseTransport` on the other. It never uses httpx's client, which adds headers of its own,
shares one cookie jar among all callers, follows redirects and decodes bodies.

A body that is all there is an `httpx.ByteStream`, on either side, and goes out in one piece with its head. For any
other, the head goes first, and then each piece at once.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import httpx2 as httpx
from starlette.types import Receive, Scope, Send

from proxy.errors import ClientLeft, IdleTimedOut, ResponseCut
from proxy.forward.disconnect import until_disconnect
from proxy.forward.last_event import LastEvent
from proxy.forward.upload import upload
from proxy.headers import Fields, body_framing, fields_of
from proxy.lifecycle import Cancellation, cancellation_of
from proxy.observe.record import Record, record_of
from proxy.openrouter.api import generation_id, spelled_out
from proxy.settings.addresses import Upstream
from proxy.upstream.exceptions import proxy_error
from proxy.upstream.messages import RawRequest

_UPSTREAM_ENDS_WITHIN = 0.4  # seconds after a client left with the last event; then its connection can serve others


class Forwarder:
    """An ASGI application that answers with what ``upstream`` answers.

    The ``timeouts`` are for the transport, which keeps them: in seconds, by the names of its extension ``timeout``.
    There is never a limit on the whole: answers may stream for hours.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, upstream: Upstream, timeouts: Mapping[str, float | None]
    ) -> None:
        self.transport = transport
        self.timeouts = timeouts
        self.origin = httpx.URL(upstream.origin)
        self.host_header = (b"Host", upstream.authority.encode("ascii"))
        self.prefix = upstream.prefix.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cancellation = cancellation_of(scope)
        if cancellation is None:
            await until_disconnect(self, scope, receive, send)
            return
        record = record_of(scope)
        # No name for the body: what is sent is not to be kept for as long as the answer lasts.
        request = self._request(scope, upload(await receive(), receive, record))
        try:
            response = await self.transport.handle_async_request(request)
        except httpx.TransportError as error:
            ours = proxy_error(error)
            record.reason = ours.reason
            try:
                raise ours from error
            finally:
                del ours  # its traceback refers to this frame, and so to the whole request
        del request
        headers = response.headers.raw
        fields: Fields = response.extensions.get("fields") or Fields.spelled_anyhow(headers)
        if generation_ids := fields[b"x-generation-id"]:
            record.generation_id = generation_id(generation_ids[-1])
        if _is_event_stream(fields) and not fields[b"x-accel-buffering"]:
            # nginx-like proxies in front of us would hold events back, where the upstream does not say so itself.
            headers = [*headers, (b"X-Accel-Buffering", b"no")]
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        answer = response.stream
        if isinstance(answer, httpx.ByteStream):
            await send(start)
            await send({"type": "http.response.body", "body": b"".join(answer)})
        else:
            assert isinstance(answer, httpx.AsyncByteStream)
            try:
                await send(start)
                # A server may keep the head back until there is a body (ASGI, "Response Start"): there is, of no bytes.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                await _relay_body(answer, fields, send, record, cancellation)
            finally:
                await answer.aclose()
        record.ended_by = "upstream"

    def _request(self, scope: Scope, body: httpx.AsyncByteStream) -> httpx.Request:
        return RawRequest(
            scope["method"],
            self.origin,
            [self.host_header, *scope["headers"]],
            body,
            {
                "target": self.prefix + upstream_target(scope["raw_path"], scope["query_string"]),
                "framing": body_framing(fields_of(scope)),
                "timeout": self.timeouts,
            },
        )


async def _relay_body(
    body: httpx.AsyncByteStream, fields: Fields, send: Send, record: Record, cancellation: Cancellation
) -> None:
    """Each piece as it comes. Raises `ResponseCut` when the upstream does not end its message properly."""
    is_event_stream = _is_event_stream(fields)
    # In a compressed stream it cannot be seen: what ends right after the client has left, was its end.
    may_be_whole = is_event_stream and bool(fields[b"content-encoding"])
    is_readable = is_event_stream and not may_be_whole
    last_event = LastEvent()
    try:
        async for piece in body:
            if is_readable:
                last_event.pass_by(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        record.had_last_event = last_event.has_passed()
    except httpx.TimeoutException as error:  # of either direction: an upload may still be on its way
        raise IdleTimedOut from error
    except httpx.TransportError as error:
        raise ResponseCut from error
    except asyncio.CancelledError:
        if isinstance(cancellation.reason, ClientLeft):
            record.had_last_event = last_event.has_passed()
            if (record.had_last_event or may_be_whole) and await _ends(body):
                record.had_last_event = True
        raise
    await send({"type": "http.response.body"})


async def _ends(body: httpx.AsyncByteStream) -> bool:
    """Whether the rest of an all but complete body comes in a moment: its connection can then serve others."""
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(_UPSTREAM_ENDS_WITHIN):
            async for _ in body:
                pass
        return True
    return False


def upstream_target(raw_path: bytes, query: bytes) -> bytes:
    """The request target as the client sent it; only the alias ``/v1/`` is spelled out."""
    path = spelled_out(raw_path)
    return b"%b?%b" % (path, query) if query else path


def _is_event_stream(fields: Fields) -> bool:
    types = fields[b"content-type"]
    return any(each.partition(b";")[0].strip().lower() == b"text/event-stream" for each in types)
