"""One request on a client's connection, and its answer: ASGI on one side, HTTP/1.1 on the other.

* An answer has exactly one ``Date``; 304 may state a length; HTTP/1.0 clients get no chunks (RFC 9112, 6.1).
* The first message to the application has what came with the head, and an answer's head goes out with the first
  message of its body: so most requests and answers are one write each.
* An application that cannot complete its answer cuts the connection, without a traceback.
* Its owner, the connection, decides what follows an answer.
"""

import asyncio
import enum
import http
import logging
import socket
import struct
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Scope

from proxy.error_answers import error_response
from proxy.errors import ProxyError, ResponseCut
from proxy.headers import HeaderList, serialized, without
from proxy.lifecycle import Cancellation
from proxy.server.flow import Flow
from proxy.server.request_head import Head

log = logging.getLogger("proxy")

_HIGH_WATER = 64 * 1024  # bytes of body held for a slow application before the client is left unread
_FLUSH_WITHIN = 5.0  # seconds for a client to take what was written before its connection was cut

# RFC 9110, 15.5, has new names for four of them; Python has them since 3.13.
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
_PHRASES = {int(status): status.phrase for status in http.HTTPStatus} | _RENAMED
_STATUS_LINES = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}".encode() for code in range(200, 600)}


class Framing(enum.Enum):
    """What ends the body of an answer (RFC 9112, 6.3)."""

    NONE = enum.auto()  # there is no body, whatever the headers say
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


# Looked up in its class, a member of an enum costs ten times as much (CPython 3.11, enum.EnumType.__getattr__).
NONE, LENGTH, CHUNKED, CLOSE = Framing


class Exchange:
    """One request on a client's connection, and its answer.

    ``keep_alive`` says whether another request may follow, and is final once the answer is complete; then the owner is
    told by ``on_answered``.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_body_comes",
        "_body_left",
        "_body_size",
        "_date",
        "_end_told",
        "_expects_continue",
        "_flow",
        "_framing",
        "_gone",
        "_head",
        "_news",
        "_on_answered",
        "_started",
        "_transport",
        "answered",
        "cancellation",
        "keep_alive",
        "scope",
        "task",
    )

    task: asyncio.Task[None]  # that runs it; the owner says so
    cancellation: Cancellation  # what the application is told if it ends early; by the owner too

    def __init__(
        self, request: Head, scope: Scope, flow: Flow, date: HeaderList, on_answered: Callable[[], None]
    ) -> None:
        self.scope = scope
        self.keep_alive = request.keep_alive
        self.answered = False  # to the end
        self._transport = flow.transport
        self._flow = flow
        self._date = date
        self._on_answered = on_answered
        # The request
        self._body: list[bytes] = []  # received, and not yet asked for
        self._body_size = 0  # bytes of it
        self._body_comes = request.body is not None  # more of it
        self._expects_continue = request.expects_continue and self._body_comes
        self._asked = False  # for the body
        self._end_told = False  # of the body
        self._gone = False  # for the application, the client is
        self._news: asyncio.Event | None = None
        # The answer
        self._started = False
        self._framing = NONE
        self._body_left = 0  # bytes, where there is a length
        self._head = b""  # kept back until the first bytes of the body, which may be none, join it in one write

    # For the owner

    async def run(self, app: ASGIApp, running: set[asyncio.Task[None]]) -> None:
        """Let ``app`` answer; until then the task is one of those that are ``running``."""
        try:
            await app(self.scope, self.receive, self.send)
        except (ResponseCut, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - the connection ends, the process does not
            log.error("bug outside of the application: %s", type(error).__qualname__)  # noqa: TRY400 - no text: secrets
        finally:
            self._on_answered = _nothing  # the owner and this refer to each other
            running.discard(self.task)  # for less than a callback of each task would cost
        if not self.answered and not self._gone:
            self._cut()

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client's body is held back until we say that it is wanted."""
        return self._expects_continue

    def take(self, piece: bytes, *, last: bool) -> None:
        """The next ``piece`` of the request's body, which may be none of it; whether it is the ``last``."""
        if piece:
            self._expects_continue = False  # the client did not wait
            self._body.append(piece)
            self._body_size += len(piece)
            if self._body_size > _HIGH_WATER:
                self._flow.pause_reading()
        self._body_comes = not last
        if piece or last:
            self._wake()

    def leave(self) -> None:
        """For the application, the client is gone from now on."""
        self._gone = True
        self._wake()

    def _cut(self) -> None:
        """End the connection so that the client sees that its answer is not complete."""
        if self._framing is CLOSE:
            # Where the end of the connection is the proper end of a body, only a reset tells.
            if sock := self._transport.get_extra_info("socket"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_WITHIN, self._transport.abort)

    # ASGI

    async def receive(self) -> Message:
        """As ASGI has it; the first message has what came with the head, which may be nothing, and never waits."""
        if self._expects_continue and not self._gone and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        while self._asked and not self._has_news():
            self._flow.resume_reading()
            if self._news is None or self._news.is_set():
                self._news = asyncio.Event()
            await self._news.wait()
        self._asked = True
        if self._gone or self.answered:
            return {"type": "http.disconnect"}
        self._flow.resume_reading()
        body, self._body, self._body_size = self._body, [], 0
        self._end_told = not self._body_comes
        return {
            "type": "http.request",
            "body": body[0] if len(body) == 1 else b"".join(body),
            "more_body": self._body_comes,
        }

    def _has_news(self) -> bool:
        return bool(self._body) or self._gone or self.answered or not (self._body_comes or self._end_told)

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()

    async def send(self, message: Message) -> None:
        if self._flow.write_paused and not self._gone:
            await self._flow.drain()
        if self._gone:
            return
        if not self._started:
            self._send_head(message["status"], list(message["headers"]))
        elif self.answered:
            raise RuntimeError(f"{message['type']} after the end of the response")
        elif self._framing is CHUNKED and not self._head and (body := message.get("body")) and message.get("more_body"):
            self._transport.write(b"%x\r\n%b\r\n" % (len(body), body))  # as below, for most pieces of a stream
        else:
            self._send_body(message.get("body", b""), more_body=message.get("more_body", False))

    def _send_head(self, status: int, headers: HeaderList) -> None:
        if self._expects_continue:
            self.keep_alive = False  # RFC 9110, 10.1.1: whether the body still comes, nobody can know
        if status == 204:
            headers = without(headers, {b"content-length"})  # RFC 9110, 8.6: it must not have one
        names = {name.lower(): value for name, value in headers}
        if self.scope["method"] == "HEAD" or status in (204, 304):
            self._framing = NONE
        elif (length := names.get(b"content-length")) is not None:
            self._framing = LENGTH
            self._body_left = int(length)
        elif self.scope["http_version"] == "1.1":
            self._framing = CHUNKED
            headers.append((b"Transfer-Encoding", b"chunked"))
        else:
            self._framing = CLOSE
            self.keep_alive = False
        if b"date" not in names:
            headers += self._date  # RFC 9110, 6.6.1
        if b"connection" in names:  # only answers of our own have it, and they say close
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"Connection", b"close"))
        self._head = head(status, headers)
        self._started = True
        self._expects_continue = False

    def _send_body(self, body: bytes, *, more_body: bool) -> None:
        data = self._head
        self._head = b""
        if self._framing is CHUNKED:
            if body:
                data += b"%x\r\n%b\r\n" % (len(body), body)
            if not more_body:
                data += b"0\r\n\r\n"
        elif self._framing is not NONE and body:
            self._body_left -= len(body)
            if self._framing is LENGTH and self._body_left < 0:
                raise RuntimeError("the body is longer than Content-Length says")
            data += body
        if data:
            self._transport.write(data)
        if self._framing is LENGTH and self._body_left and not more_body:
            raise RuntimeError("the body is shorter than Content-Length says")
        if not more_body:
            self.answered = True
            self._wake()
            self._on_answered()


def _nothing() -> None:
    pass


def head(status: int, headers: HeaderList) -> bytes:
    """An answer's head as it goes out; raises ValueError for a line break inside a header."""
    return serialized(_STATUS_LINES[status], headers)


def refusal(error: ProxyError, path: bytes, date: HeaderList) -> bytes:
    """A whole answer that needs no application, and is the last on its connection."""
    headers, body = error_response(error, path)
    return head(error.status, [*headers, *date, (b"Connection", b"close")]) + body
