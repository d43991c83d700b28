"""One request on a client's connection, and its answer: uvicorn's, with the truth about endings.

Written against uvicorn 0.54, whose `RequestResponseCycle` it extends. What differs, and why:

* An answer has exactly one ``Date``; 304 may state a length; HTTP/1.0 clients get no chunks (RFC 9112, 6.1).
* The first message to the application has what came with the head, and an answer's head goes out with the first
  message of its body: so most requests and answers are one write each.
* An application that cannot complete its answer cuts the connection, without a traceback.
* Its owner, the connection, decides what follows an answer.
"""

import asyncio
import enum
import logging
import socket
import struct

from starlette.types import Message
from uvicorn._types import ASGI3Application, ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.errors import ClientLeft, ProxyError, ResponseCut, error_response
from proxy.headers import SEAL, HeaderList, serialized, without

log = logging.getLogger("proxy")

_FLUSH_WITHIN = 5.0  # seconds for a client to take what was written before its connection was cut


class Framing(enum.Enum):
    """What ends the body of an answer (RFC 9112, 6.3)."""

    NONE = enum.auto()  # there is no body, whatever the headers say
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


# Looked up in its class, a member of an enum costs ten times as much (CPython 3.11, enum.EnumType.__getattr__).
NONE, LENGTH, CHUNKED, CLOSE = Framing


class Cycle(RequestResponseCycle):
    """One request on a client's connection, and its answer."""

    task: asyncio.Task[None]  # that runs it, and is one of
    tasks: set[asyncio.Task[None]]  # until it ends: for less than a callback of each task would cost
    _framing = NONE
    _body_left = 0
    _asked = False  # for the body
    _head = b""  # kept back until the first bytes of the body, which may be none, join it in one write

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]
        except (ResponseCut, ClientLeft, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - the connection ends, the process does not
            log.error("bug outside of the application: %s", type(error).__qualname__)  # noqa: TRY400 - no text: secrets
        finally:
            self.on_response = _nothing
            self.tasks.discard(self.task)
        if not self.response_complete and not self.disconnected:
            self.cut()

    def refuse(self, error: ProxyError) -> None:
        """End this request before its body is complete: with ``error`` or, if an answer has begun, with a cut."""
        if self.response_started:
            self.cut()
        else:
            answer = refusal(error, self.scope["raw_path"], self.default_headers, self.scope["method"])
            self.transport.write(answer)
        self.scope["state"]["refusal"] = error  # for the record
        self.disconnected = True  # for the application, the client is gone
        self.message_event.set()

    def cut(self) -> None:
        """End the connection so that the client sees that its answer is not complete."""
        if self._framing is CLOSE:
            # Where the end of the connection is the proper end of a body, only a reset tells.
            if sock := self.transport.get_extra_info("socket"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_WITHIN, self.transport.abort)

    async def receive(self) -> ASGIReceiveEvent:
        """As uvicorn's; but the first message has what came with the head, which may be nothing, and never waits."""
        if self._asked or self.waiting_for_100_continue or self.disconnected:
            if not self._asked:
                self.message_event.set()
            self._asked = True
            return await super().receive()
        self._asked = True
        self.message_event.clear()
        self.flow.resume_reading()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:  # type: ignore[override]
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._send_head(message["status"], list(message["headers"]))
        elif not self.response_complete:
            self._send_body(message.get("body", b""), more_body=message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} after the end of the response")

    def _send_head(self, status: int, headers: HeaderList) -> None:
        if self.waiting_for_100_continue:
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
            headers += self.default_headers  # RFC 9110, 6.6.1
        if b"connection" in names:  # only answers of our own have it, and they say close
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"Connection", b"close"))
        self._head = head(status, headers)
        self.response_started = True
        self.waiting_for_100_continue = False

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
            data += body
        if data:
            self.transport.write(data)
        if self._framing is LENGTH and (self._body_left < 0 or (self._body_left and not more_body)):
            raise RuntimeError("the body is not as long as Content-Length says")
        if not more_body:
            self.response_complete = True
            self.message_event.set()
            self.on_response()


def _nothing() -> None:
    pass


def head(status: int, headers: HeaderList) -> bytes:
    """An answer's head as it goes out; raises ValueError for a line break inside a header."""
    return serialized(STATUS_LINE[status], headers)


def refusal(error: ProxyError, path: bytes, default_headers: HeaderList, method: str = "GET") -> bytes:
    """A whole answer that needs no application, and is the last on its connection.

    Sealed in any case: whether the application would seal it is not known here, and it does no harm.
    """
    headers, body = error_response(error, path)
    answer = head(error.status, [*headers, *SEAL, *default_headers, (b"Connection", b"close")])
    return answer if method == "HEAD" else answer + body
