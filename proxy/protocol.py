"""Our limits on uvicorn's HTTP/1.1 protocol, and the truth about endings that it does not tell.

Written against uvicorn 0.54, whose `HttpToolsProtocol` it extends. What differs, and why:

* Request trailers stay out of ``scope["headers"]``, where uvicorn's parser callbacks would add them.
* Only an exact ``Transfer-Encoding: chunked`` is accepted: the header is hop-by-hop, so another coding would be lost.
* A request target is never rewritten: no fragment is cut off, no authority dropped unseen.
* A refusal has our error shape, and is never written into the middle of an answer.
* An answer has exactly one ``Date``; 304 may state a length; HTTP/1.0 clients get no chunks (RFC 9112, 6.1).
* A request that asks for an upgrade keeps its body, and its connection goes on.
* A client that leaves is noticed in every phase, also while nothing is read from it.
* An application that cannot complete its answer cuts the connection, without a traceback.
"""

import asyncio
import enum
import logging
import re
import select
import socket
import struct
from urllib.parse import unquote

import httptools
from starlette.types import Message
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from proxy.errors import (
    ClientLeft,
    HeadTooLarge,
    Malformed,
    ProxyError,
    ResponseCut,
    TargetTooLong,
    UnknownCoding,
    error_response,
)
from proxy.headers import HeaderList

log = logging.getLogger("proxy")

_MAX_FIELDS = 128
_MAX_HEAD = 64 * 1024  # bytes
_MAX_TARGET = 16 * 1024  # bytes
_NOTICE_WITHIN = 0.6  # seconds for an application to see by itself that its client has left
_FLUSH_WITHIN = 5.0  # seconds for a client to take what was written before its connection was cut

_HANG_UP: int | None = getattr(select, "POLLRDHUP", None)  # Linux

# RFC 9112, 3.2.1 and 3.2.2. In absolute form the authority is the client's word for us, as `Host` is.
_TARGET = re.compile(rb"(?:[hH][tT][tT][pP][sS]?://[^/?#]*)?(?P<path>/[^?#]*)(?:\?(?P<query>[^#]*))?")


class Protocol(HttpToolsProtocol):
    """One client's connection."""

    cycle: "Cycle | None"  # type: ignore[assignment]  # uvicorn says it is never None; it is, before the first request
    _head_size = 0
    _refused = False
    _skip_head = False
    _task: asyncio.Task[None] | None = None

    def on_message_begin(self) -> None:
        if not self._skip_head:
            super().on_message_begin()
            self._head_size = 0

    def on_url(self, url: bytes) -> None:
        if self._skip_head:
            return
        super().on_url(url)
        if len(self.url) > _MAX_TARGET:
            raise TargetTooLong

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._skip_head:
            return
        self._head_size += len(name) + len(value) + 4
        if self._head_size > _MAX_HEAD or len(self.headers) >= _MAX_FIELDS:
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._skip_head:
            self._skip_head = False
            return
        self._check_framing()
        method: bytes = self.parser.get_method()
        version: str = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise Malformed
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self._set_target(method)
        self._head = self.headers
        self.headers = []  # from here on, header lines are trailers

        previous = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # Pipelined: its turn comes when the answer before it is complete.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _check_framing(self) -> None:
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (len(codings) > 1 or codings[0].lower().strip(b" \t") != b"chunked"):
            raise UnknownCoding
        if codings and self.parser.get_http_version() == "1.0":
            raise Malformed  # RFC 9112, 6.1: its framing is faulty

    def _set_target(self, method: bytes) -> None:
        match = _TARGET.fullmatch(self.url)
        if match is None and not (method == b"CONNECT" or self.url == b"*"):
            raise Malformed
        raw_path = match["path"] if match else b"*"
        self.scope["raw_path"] = raw_path
        self.scope["path"] = unquote(raw_path.decode("latin-1")) if match else "/"
        self.scope["query_string"] = match["query"] or b"" if match else b""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._task = task

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # An application that waits for the upstream to take more of a body does not listen to its client.
        if self._task is not None and not self._task.done():
            self.loop.call_later(_NOTICE_WITHIN, self._task.cancel, ClientLeft.REASON)

    def check_departure(self) -> None:
        """Close the connection if the client has closed it while we do not read from it, as the kernel knows."""
        if not self.flow.read_paused or _HANG_UP is None:
            return
        if sock := self.transport.get_extra_info("socket"):
            poll = select.poll()
            poll.register(sock.fileno(), _HANG_UP)
            if poll.poll(0):
                self.transport.abort()

    def close_after_answer(self) -> None:
        """Take no further request once the answer under way is complete."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refused:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._continue_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.refuse(cause if isinstance(cause, ProxyError) else Malformed())

    def on_message_complete(self) -> None:
        # llhttp takes a request that asks for an upgrade to have no body. Java's HttpClient sends such ones, with a
        # body, to every http:// URL (Upgrade: h2c); uvicorn 0.54 loses it.
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _continue_without_upgrade(self, rest: bytes) -> None:
        """Have the body, if any, and what follows parsed by a parser that does not know of the upgrade."""
        if self.scope["method"] == "CONNECT":
            self._refused = True  # what follows was meant for a tunnel
            self.close_after_answer()
            super().on_message_complete()
            return
        framing = [b"%b: %b\r\n" % line for line in self._head if line[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(self)
        self._skip_head = True
        self.data_received(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n", rest]))

    def refuse(self, error: ProxyError) -> None:
        """Stop reading this connection: nothing after a breach of the protocol can be trusted."""
        self._refused = True
        self.pipeline.clear()
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body:
                # The request under way was sound; what follows it is not. Answer it, then close.
                self.cycle.keep_alive = False
                return
            # Its body will never be complete: for the application, the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        headers, body = error_response(error, b"")
        headers += [*self.server_state.default_headers, (b"Connection", b"close")]
        self.transport.write(head(error.status, headers) + body)
        self.transport.close()


class Framing(enum.Enum):
    """What ends the body of an answer (RFC 9112, 6.3)."""

    NONE = enum.auto()  # there is no body, whatever the headers say
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


class Cycle(RequestResponseCycle):
    """One request on a client's connection, and its answer."""

    _framing = Framing.NONE
    _body_left = 0

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]
        except (ResponseCut, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - the connection ends, the process does not
            log.error("bug outside of the application: %s", type(error).__qualname__)  # noqa: TRY400 - no text: secrets
        finally:
            self.on_response = lambda: None
        if not self.response_complete and not self.disconnected:
            self.cut()

    def cut(self) -> None:
        """End the connection so that the client sees that its answer is not complete."""
        if self._framing is Framing.CLOSE:
            # Where the end of the connection is the proper end of a body, only a reset tells.
            if sock := self.transport.get_extra_info("socket"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_WITHIN, self.transport.abort)

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
        names = {name.lower(): value for name, value in headers}
        if self.scope["method"] == "HEAD" or status in (204, 304):
            self._framing = Framing.NONE
        elif (length := names.get(b"content-length")) is not None:
            self._framing = Framing.LENGTH
            self._body_left = int(length)
        elif self.scope["http_version"] == "1.1":
            self._framing = Framing.CHUNKED
            headers.append((b"Transfer-Encoding", b"chunked"))
        else:
            self._framing = Framing.CLOSE
            self.keep_alive = False
        if b"date" not in names:
            headers += self.default_headers  # RFC 9110, 6.6.1
        if b"connection" in names:  # only answers of our own have it, and they say close
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"Connection", b"close"))
        self.transport.write(head(status, headers))
        self.response_started = True
        self.waiting_for_100_continue = False

    def _send_body(self, body: bytes, *, more_body: bool) -> None:
        if self._framing is Framing.CHUNKED:
            if body:
                self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
            if not more_body:
                self.transport.write(b"0\r\n\r\n")
        elif self._framing is not Framing.NONE and body:
            self._body_left -= len(body)
            self.transport.write(body)
        if self._framing is Framing.LENGTH and (self._body_left < 0 or (self._body_left and not more_body)):
            raise RuntimeError("the body is not as long as Content-Length says")
        if not more_body:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


_CONTROL = re.compile(rb"[\x00\r\n]")


def head(status: int, headers: HeaderList) -> bytes:
    """An answer's head as it goes out; raises ValueError for a line break inside a header."""
    for name, value in headers:
        if _CONTROL.search(name) or _CONTROL.search(value):
            raise ValueError("line break or NUL in a response header")
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"])
