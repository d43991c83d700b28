"""One client's connection: our limits on uvicorn's HTTP/1.1 protocol.

Written against uvicorn 0.54, whose `HttpToolsProtocol` it extends. What differs, and why:

* A head is collected until it is complete, checked (see request_head.py), and then parsed by llhttp in one piece, each
  by a parser of its own. So nothing depends on how a request was cut into pieces, and no byte of a body ever meets a
  parser of heads: not behind ``Upgrade`` either, which uvicorn takes to end the body.
* A body is delimited by us (see request_body.py), and trailers are dropped.
* A pipelined request is left unread until the answer before it is complete.
* A refusal has our error shape, is logged as any request, and is never written into the middle of an answer.
* The target is never rewritten: no fragment is cut off, and an authority counts as ``Host``.
* The request of a client that leaves is cancelled, in every phase. A client that does not send what is its turn to send
  is noticed as well.
* Connections beyond the cap get a 503.

Time is kept by the server's tick: no request pays for a timer.
"""

import asyncio
import enum
import logging
import re
import select
from contextlib import suppress
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from proxy.errors import ClientLeft, HeadTooLarge, Malformed, Overloaded, ProxyError, RequestTimedOut, UnknownMethod
from proxy.resource_limits import Capacity
from proxy.server.exchange import Cycle, refusal
from proxy.server.request_body import Body
from proxy.server.request_head import MAX_FIELDS, Head, head_length, read_head

log = logging.getLogger("proxy")

# Seconds.
HEAD_WITHIN = 30.0  # from the connection, or from a later request's first byte, to the end of its head
# Longer than the pools of usual clients keep a connection, so that it is they who close it, and never in the moment
# in which they send the next request (openai-python 5 s, Node 5 s, Go 90 s).
REQUEST_WITHIN = 120.0
LINGER = 10.0  # for a client to take its last answer, while what it still sends is thrown away
_TELL_EVERY = 60.0  # between two lines in the log about the same overload

_HANG_UP: int | None = getattr(select, "POLLRDHUP", None)  # Linux
_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")
_METHOD_SO_FAR = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |\Z)")
_LINE_TO_LOG = re.compile(rb"([!-~]{1,32}) ([!-~]{1,256})")


class State(ServerState):
    """What all connections of a server share.

    ``idle_timeout`` is the longest silence within an upload, in seconds, or None.
    """

    def __init__(self, capacity: Capacity, idle_timeout: float | None) -> None:
        super().__init__()
        self.capacity = capacity
        self.idle_timeout = idle_timeout
        self._turned_away: dict[Protocol, None] = {}  # those that are still open, the oldest first
        self._told_at = float("-inf")

    def is_full(self, now: float) -> bool:
        """Whether the newest connection is one too many."""
        served = self.capacity.served
        if served is None or len(self.connections) - len(self._turned_away) <= served:
            return False
        self.tell_overload(now, f"{served} connections are open, further ones get a 503")
        return True

    def tell_overload(self, now: float, what: str) -> None:
        """Tell the log, but not every time."""
        if now - self._told_at > _TELL_EVERY:
            self._told_at = now
            log.warning("overloaded: %s", what)

    def turn_away(self, connection: "Protocol") -> None:
        """Make room for ``connection`` until it has been told: where they are many, the oldest one knows by now."""
        if len(self._turned_away) >= self.capacity.turned_away:
            for oldest in self._turned_away:
                if not oldest.transport.is_closing():
                    oldest.transport.abort()
                    break
        self._turned_away[connection] = None

    def forget(self, connection: "Protocol") -> None:
        self._turned_away.pop(connection, None)


class Owed(enum.Enum):
    """What is the client's turn to do."""

    NOTHING = enum.auto()
    REQUEST = enum.auto()
    HEAD = enum.auto()  # a request has begun, or the connection has
    BODY = enum.auto()
    GOODBYE = enum.auto()  # its last answer is on the way


class Protocol(HttpToolsProtocol):
    """Takes one request after the other, and gives each its answer before it looks at the next."""

    server_state: State
    cycle: Cycle | None  # type: ignore[assignment]  # uvicorn says it is never None; it is, before the first request
    _held = b""  # received, and not yet looked at
    _seen = 0  # how much of it was there when the head was last found incomplete
    _scout: httptools.HttpRequestParser | None = None
    _body: Body | None = None  # of the last request, if not all of it has come
    _keep_alive = False
    _deaf = False  # to whatever else the client says
    _ended = False  # its half of the connection
    _lingering = False
    _task: asyncio.Task[None] | None = None
    _owed = Owed.HEAD
    _since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        state = self.server_state
        if state.is_full(self.loop.time()):
            state.turn_away(self)
            transport.write(refusal(Overloaded(), b"", state.default_headers))
            self._linger()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that ends its half has left (as most do: it closes both), whether or not it has read its answer."""
        self._ended = True
        if self._deaf and self._answering:
            return True  # it is being refused, and that it gets to hear
        if self._answering:
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering:
            self._abandon()
        super().connection_lost(exc)
        self.server_state.forget(self)

    def _abandon(self) -> None:
        """End the request whose client has left, wherever it waits: no application needs to listen for that.

        Not at once: a task that is cancelled before its first step never runs, and leaves no line in the log.
        """
        if self._task is not None:
            self.loop.call_soon(self._task.cancel, ClientLeft.REASON)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            while data:
                if self._body is not None:
                    data = self._take_body(self._body, data)
                elif self._answering:
                    self.flow.pause_reading()  # pipelined
                    break
                elif data.startswith(b"\r\n"):  # RFC 9112, 2.2
                    data = _EMPTY_LINES.sub(b"", data)
                    self._seen, self._scout = 0, None
                elif length := head_length(data, self._seen):
                    self._take_head(data[:length])
                    data = data[length:]
                else:
                    self._look_ahead(data)
                    break
            self._held = data
        except ProxyError as error:
            self.refuse(error, data)

    def _look_ahead(self, data: bytes) -> None:
        """Refuse at once what will never be a head: who speaks TLS to us, say, would wait for an answer."""
        if self._scout is None:
            self._scout = httptools.HttpRequestParser(None)
        try:
            self._scout.feed_data(data[self._seen :])
        except httptools.HttpParserInvalidMethodError:
            if not _METHOD_SO_FAR.match(data):
                raise Malformed from None
        except httptools.HttpParserError:
            raise Malformed from None
        self._seen = len(data)

    def _take_head(self, data: bytes) -> None:
        self._seen = 0
        self._scout = None
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # not ours to make: the request is served as if it had not asked
        except httptools.HttpParserInvalidMethodError:
            raise UnknownMethod from None
        except httptools.HttpParserError:
            raise Malformed from None
        if len(self.headers) > MAX_FIELDS:
            raise HeadTooLarge
        method: bytes = self.parser.get_method()
        version: str = self.parser.get_http_version()
        headers = [(name.lower(), value.rstrip(b" \t")) for name, value in self.headers]
        head = read_head(method, self.url, version, headers)
        self.scope["http_version"] = version
        # Behind a CONNECT there may be bytes for the tunnel that it does not get: they are not read as requests.
        keep_alive = version == "1.1" and method != b"CONNECT" and self._keep_alive
        self._begin(method, head, keep_alive=keep_alive)

    # llhttp's callbacks, beside uvicorn's `on_message_begin` and `on_url`. None may raise: what httptools makes of it
    # loses the reason when another exception is being handled, as when an answer of ours is just complete.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._keep_alive = self.parser.should_keep_alive()  # which llhttp forgets when the message is complete

    def on_body(self, body: bytes) -> None:
        raise AssertionError("llhttp gets heads only")

    def on_message_complete(self) -> None:
        pass

    def _begin(self, method: bytes, head: Head, *, keep_alive: bool) -> None:
        self._since = None
        self._body = head.body
        self.scope["method"] = method.decode("ascii")
        self.scope["raw_path"] = head.path
        self.scope["path"] = unquote(head.path.decode("latin-1"))
        self.scope["query_string"] = head.query
        self.scope["headers"] = head.headers
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue and head.body is not None,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        self.cycle.tasks = self.tasks
        if head.body is None:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        # With a name, as asyncio makes one up for each task that has none.
        self._task = self.cycle.task = self.loop.create_task(self.cycle.run_asgi(self.app), name="request")
        self.tasks.add(self._task)

    def _take_body(self, body: Body, data: bytes) -> bytes:
        """Pass on what of ``data`` belongs to the body; the rest of it."""
        assert self.cycle is not None
        self._since = None
        piece, rest = body.feed(data)
        if body.complete:
            self._body = None
        if piece:
            self.cycle.waiting_for_100_continue = False  # it did not wait
        if not self.cycle.response_complete:  # else nobody wants it any more
            self.cycle.body += piece
            self.cycle.more_body = not body.complete
            if len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            if piece or body.complete:
                self.cycle.message_event.set()
        return rest

    def on_response_complete(self) -> None:
        assert self.cycle is not None
        self.server_state.total_requests += 1
        if not self.cycle.keep_alive:
            self._close()
        elif not self.transport.is_closing():
            self.flow.resume_reading()
            if self._held:
                self.data_received(b"")

    def refuse(self, error: ProxyError, data: bytes = b"") -> None:
        """Answer ``data``, or the request whose body is not complete, with ``error``, and close.

        Nothing after a breach of the protocol can be trusted.
        """
        self._deaf = True
        if self._answering:
            assert self.cycle is not None
            self.cycle.refuse(error)
            self._abandon()
            self._close()
        elif self._body is not None:
            self._close()  # it was answered already
        else:
            line = _LINE_TO_LOG.match(data)
            method, target = line.groups() if line else (b"-", b"-")
            self.on_message_begin()
            self.scope["state"]["refusal"] = error
            self._begin(method, Head([], target.partition(b"?")[0], b"", None, False), keep_alive=False)  # noqa: FBT003

    # Endings

    def close_after_answer(self) -> None:
        """Take no further request once the answer under way is complete."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _close(self) -> None:
        if not self._ended and (self._deaf or self._held or self._body is not None):
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close so that the last answer arrives: closing with unread bytes would reset it away (RFC 9112, 9.6)."""
        self._deaf = True
        self._held = b""
        if not self.transport.is_closing():
            self._lingering = True
            with suppress(OSError):  # it has left
                self.transport.write_eof()
            self.flow.resume_reading()

    def tick(self, now: float) -> None:
        """Look for what no event tells. ``now`` is the loop's time; called some times a second."""
        if self.flow.read_paused:
            self._look_for_departure()
        owed = self._what_is_owed()
        if owed is not self._owed or self._since is None:
            self._owed = owed
            self._since = now
        elif now - self._since > self._patience(owed):
            self._lose_patience(owed)

    def _what_is_owed(self) -> Owed:
        if self._lingering:
            return Owed.GOODBYE
        if self._body is not None:
            ours = self.flow.read_paused or (self.cycle is not None and self.cycle.waiting_for_100_continue)
            return Owed.NOTHING if ours else Owed.BODY
        if self._answering:
            return Owed.NOTHING
        return Owed.HEAD if self.cycle is None or self._held else Owed.REQUEST

    def _patience(self, owed: Owed) -> float:
        limits = {
            Owed.REQUEST: REQUEST_WITHIN,
            Owed.HEAD: HEAD_WITHIN,
            Owed.BODY: self.server_state.idle_timeout,
            Owed.GOODBYE: LINGER,
        }
        limit = limits.get(owed)
        return float("inf") if limit is None else limit

    def _lose_patience(self, owed: Owed) -> None:
        if owed is Owed.GOODBYE:
            self.transport.abort()
        elif owed is Owed.BODY or self._held:
            self.refuse(RequestTimedOut(), self._held)
        else:
            self.transport.close()

    def _look_for_departure(self) -> None:
        """Close the connection if the client has closed it while we do not read from it, as the kernel knows."""
        if _HANG_UP is None:
            return
        if sock := self.transport.get_extra_info("socket"):
            poll = select.poll()
            poll.register(sock.fileno(), _HANG_UP)
            if poll.poll(0):
                self.transport.abort()
