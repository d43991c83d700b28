"""The imitation as an ASGI application: the record of each request, the paths, who may call."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from proxy.imitation import chat, messages, responses
from proxy.imitation.endpoints import Dialect, Endpoint, Endpoints, Refused, exchange_of
from proxy.imitation.exchange import EXTENSION, Exchange
from proxy.imitation.ledger import REMEMBERED, Ledger
from proxy.imitation.reply import HTML, JSON, Answer, Pace, Reply
from proxy.imitation.scenes import Fault
from proxy.imitation.turn import dumps

_NOT_FOUND_PAGE = b"<!DOCTYPE html><html><head><title>404 | OpenRouter</title></head><body>Not Found</body></html>"


async def at_once() -> None:
    """The pace of an imitation that never waits."""


def create_imitation(
    *,
    pace: Pace = at_once,
    clock: Callable[[], float] = time.time,
    record_delay: float = 0.4,
    on_end: Callable[[Exchange], None] | None = None,
) -> "Imitation":
    """An imitation without memory of any other one: the same requests get the same answers, byte for byte.

    Args:
        pace: awaited before each piece of a body.
        clock: the Unix time in seconds, for dates, ids and the age of records.
        record_delay: seconds until ``/generation`` knows a generation.
        on_end: called with each exchange once it is over.
    """
    return Imitation(pace, clock, record_delay, on_end)


class Imitation:
    """The ASGI application; ``exchanges`` holds what arrived last, oldest first. See `create_imitation`."""

    def __init__(
        self,
        pace: Pace,
        clock: Callable[[], float],
        record_delay: float,
        on_end: Callable[[Exchange], None] | None = None,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self._arrived = 0
        self._on_end = on_end
        self._arrival = asyncio.Condition()
        self._pace = pace
        self._clock = clock

        api = Endpoints(Ledger(record_delay), clock)
        paths: list[tuple[str, str, Endpoint]] = [
            ("POST", "/chat/completions", api.generation(chat)),
            ("POST", "/messages", api.generation(messages)),
            ("POST", "/responses", api.generation(responses)),
            ("POST", "/embeddings", api.embeddings),
            ("POST", "/audio/speech", api.speech),
            ("POST", "/audio/transcriptions", api.transcription),
            ("POST", "/files", api.upload),
            ("GET", "/files/{file_id}/content", api.download),
            ("GET", "/generation", api.generation_record),
            ("GET", "/models", api.models),
            ("GET", "/key", api.key),
            ("GET", "/credits", api.credits),
        ]
        self._app = Starlette(
            routes=[Route(f"/api/v1{path}", self._answering(call), methods=[method]) for method, path, call in paths],
            exception_handlers={404: self._unknown_path, 405: self._wrong_method},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and remember it."""
        exchange = Exchange(self._arrived, scope["extensions"][EXTENSION])
        self._arrived += 1
        async with self._arrival:
            self.exchanges.append(exchange)
            del self.exchanges[:-REMEMBERED]
            self._arrival.notify_all()

        async def recorded_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                exchange.take(message.get("body", b""))
                exchange.body_complete = not message.get("more_body", False)
            else:
                exchange.left = not exchange.finished
            return message

        async def recorded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif message.get("body"):
                exchange.give(message["body"])
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                exchange.finished = not exchange.left

        try:
            await self._app({**scope, "exchange": exchange}, recorded_receive, recorded_send)
        except ClientDisconnect:
            exchange.left = True  # in the middle of an upload
        finally:
            exchange.ended.set()
            if self._on_end is not None:
                self._on_end(exchange)

    async def exchange(self, number: int) -> Exchange:
        """The exchange with this number (from 0), as soon as its head has arrived."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.exchanges) > number)
        return self.exchanges[number]

    def _answering(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answering(request: Request) -> Response:
            try:
                _authorise(request)
                answer = await endpoint(request)
            except Refused as refusal:
                answer = _refusal(request, refusal.fault)
            return self._reply(request, answer)

        return answering

    def _reply(self, request: Request, answer: Answer) -> Response:
        return Reply(answer, exchange_of(request), self._pace, self._clock())

    async def _unknown_path(self, request: Request, _error: Exception) -> Response:
        if not request.url.path.startswith("/api/"):
            return self._reply(request, Answer(HTML, [_NOT_FOUND_PAGE], 404))
        if request.method == "OPTIONS":
            return _preflight(request)
        return self._reply(request, _refusal(request, Fault(404, "Not Found")))

    async def _wrong_method(self, request: Request, _error: Exception) -> Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        return self._reply(request, _refusal(request, Fault(405, "Method Not Allowed")))


def _authorise(request: Request) -> None:
    """Any key of OpenRouter's form will do; the list of models is public."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key", "")
    if key.startswith("sk-or-") or request.url.path == "/api/v1/models":
        return
    raise Refused(Fault(401, "User not found." if key else "No cookie auth credentials found"))


def _refusal(request: Request, fault: Fault) -> Answer:
    dialect: Dialect = messages if request.url.path == "/api/v1/messages" else chat
    return Answer(JSON, [dumps(dialect.error(fault))], fault.status, fault.headers)


def _preflight(request: Request) -> Response:
    response = Response(status_code=204)
    response.raw_headers = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"GET,OPTIONS,PATCH,DELETE,POST,PUT"),
        (b"access-control-allow-headers", request.headers.get("access-control-request-headers", "*").encode()),
        (b"server", b"cloudflare"),
    ]
    return response
