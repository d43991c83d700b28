"""One client's HTTP/1.1 connection, given to uvicorn as its protocol class. states.py draws its life.

* The request of a client that leaves is cancelled, in every state and wherever it waits. A client that does not send
  what is its turn to send is noticed as well.
* A body is delimited by us (see request_body.py), and trailers are dropped.
* A pipelined request is left unread until the answer before it is complete.
* A fault is a breach of HTTP, or a deadline that has passed. Its refusal has our error shape, is logged as any request,
  and is never written into the middle of an answer.
* Connections beyond the cap get a 503, if none is idle that gives way.
* The target is never rewritten: no fragment is cut off, and an authority counts as ``Host``.

Time is kept by the server's tick: no request pays for a timer.
"""

import asyncio
import re
import select
from contextlib import suppress
from typing import Any, cast
from urllib.parse import unquote

import uvicorn

from proxy.errors import ClientLeft, Overloaded, ProxyError, RequestTimedOut, TlsSpoken
from proxy.headers import Fields
from proxy.lifecycle import CANCELLATION, Cancellation
from proxy.server.connections import Connections
from proxy.server.exchange import Exchange, refusal
from proxy.server.flow import Flow
from proxy.server.head_reader import HeadReader, begun
from proxy.server.request_body import Body
from proxy.server.request_head import Head
from proxy.server.states import (
    ANSWERED,
    ANSWERING,
    BODY_ENDS,
    CLOSED,
    DISCARDING,
    FAULT,
    GONE,
    HEAD,
    HEAD_BEGINS,
    IDLE,
    LAST_ANSWERED,
    LINGERING,
    RECEIVING,
    REFUSING,
    REQUEST,
    TRANSITIONS,
    TURNED_AWAY,
    UPLOAD,
    Event,
    deadline,
)

_HANG_UP: int | None = getattr(select, "POLLRDHUP", None)  # Linux
_READABLE: int | None = getattr(select, "POLLIN", None)  # not on Windows
_LINE_TO_LOG = re.compile(rb"([!-~]{1,32}) ([!-~]{1,16384})")  # shortened only after it was searched for secrets


class Connection(asyncio.Protocol):
    """Takes one request after the other, and gives each its answer before it looks at the next.

    uvicorn makes it, with these arguments by name.
    """

    _transport: asyncio.Transport
    _flow: Flow
    _state = HEAD
    _since: float | None = None  # when the client's turn began, as the tick has seen it
    _held = b""  # received, and not yet looked at
    _body: Body | None = None  # of the present request, while it comes
    _exchange: Exchange | None = None  # the present one, while it is not complete
    _half_closed = False  # by the client

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = config.loaded_app
        self._all = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._reader = HeadReader()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._flow = Flow(self._transport)
        self._client = _host_and_port(transport.get_extra_info("peername"))
        self._server = _host_and_port(transport.get_extra_info("sockname"))
        if not self._all.admit(self, self._loop.time()):
            self._transport.write(refusal(Overloaded(), b"", self._all.default_headers))
            self._happens(TURNED_AWAY)

    def data_received(self, data: bytes) -> None:
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            while data:
                state = self._state
                if state is RECEIVING or state is DISCARDING:
                    data = self._take_body(data)
                elif state is HEAD or state is IDLE:
                    head, data = self._reader.read(data)
                    if head is None:
                        if state is IDLE and begun(data):
                            self._happens(HEAD_BEGINS)
                        break
                    self._begin(head)
                elif state is ANSWERING:
                    self._flow.pause_reading()  # pipelined
                    break
                else:
                    return  # whatever else it says is thrown away
            self._held = data
        except ProxyError as error:
            self._refuse(error, data)

    def eof_received(self) -> bool:
        """A client that ends its half has left (as most do: it closes both), whether or not it has read its answer."""
        self._half_closed = True
        if self._state is REFUSING:
            return True  # that it gets to hear
        if self._exchange is not None:
            self._transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.leave()
            self._cancel(exchange, ClientLeft())
        self._happens(GONE)

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()

    # Requests

    def _begin(self, head: Head, refused: ProxyError | None = None) -> None:
        """Let the application answer, with ``refused`` if that is not None."""
        cancellation = Cancellation(refused)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.version,
            "method": head.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(head.path.decode("latin-1")),
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "fields": head.fields,
            "client": self._client,
            "server": self._server,
            "state": self._app_state.copy(),
            "extensions": {CANCELLATION: cancellation},
        }
        self._body = head.body
        self._exchange = exchange = Exchange(head, scope, self._flow, self._all.default_headers, self._answered)
        exchange.cancellation = cancellation
        # With a name, as asyncio makes one up for each task that has none.
        exchange.task = self._loop.create_task(exchange.run(self._app, self._all.requests), name="request")
        self._all.requests.add(exchange.task)
        if refused is not None:
            self._happens(FAULT)
        else:
            self._happens(REQUEST if head.body is None else UPLOAD)

    def _take_body(self, data: bytes) -> bytes:
        """Pass on what of ``data`` belongs to the body; the rest of it."""
        body = self._body
        assert body is not None
        self._since = None
        piece, rest = body.feed(data)
        if self._exchange is not None:  # else nobody wants it any more
            self._exchange.take(piece, last=body.complete)
        if body.complete:
            self._happens(BODY_ENDS)
        elif self._state is DISCARDING:
            # Once in a turn of the loop: libuv reads up to 32 times in a row, and a body that nobody wants, in chunks
            # of a byte each, would take a tenth of a second each time, while all others wait.
            self._flow.pause_reading()
            self._loop.call_soon(self._discard_on)
        return rest

    def _discard_on(self) -> None:
        if self._state is DISCARDING and not self._transport.is_closing():
            self._flow.resume_reading()

    def _answered(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._happens(ANSWERED if exchange.keep_alive else LAST_ANSWERED)
        if self._held and not self._transport.is_closing():
            self.data_received(b"")

    def _refuse(self, error: ProxyError, data: bytes) -> None:
        """Answer ``data``, or the request whose body is not complete, with ``error``, and close.

        Nothing after a breach of the protocol can be trusted.
        """
        if isinstance(error, TlsSpoken):
            self._all.tell(self._loop.time(), "TLS to a plain HTTP port", "use http:// in the tool's base URL")
        if self._state is HEAD or self._state is IDLE:
            line = _LINE_TO_LOG.match(data.lstrip(b"\r\n"))
            method, target = line.groups() if line else (b"-", b"-")
            path = target.partition(b"?")[0]
            self._begin(
                Head(method, "1.1", [], Fields([]), path, b"", None, expects_continue=False, keep_alive=False), error
            )
            return
        if self._exchange is not None:
            self._exchange.keep_alive = False
            self._cancel(self._exchange, error)
        self._happens(FAULT)

    def _cancel(self, exchange: Exchange, reason: ClientLeft | ProxyError) -> None:
        """End a request, wherever it waits, unless that is on its way: the application answers with the ``reason``.

        Not at once: a task that is cancelled before its first step never runs, and leaves no line in the log.
        """
        if exchange.cancellation.reason is None:
            exchange.cancellation.reason = reason
            self._loop.call_soon(exchange.task.cancel)

    # The automaton

    def _happens(self, event: Event) -> None:
        """Make the step that is drawn above."""
        before = self._state
        self._state = state = TRANSITIONS[before][event]
        self._since = None
        if before is IDLE:
            self._all.idle.pop(self, None)
        if state is not RECEIVING and state is not DISCARDING:
            self._body = None
        if state is IDLE or state is DISCARDING:
            if not self._transport.is_closing():
                self._flow.resume_reading()
                if state is IDLE:
                    self._all.idle[self] = None
        elif state is LINGERING:
            self._linger(unread=before is not ANSWERING or bool(self._held))
        elif state is CLOSED:
            self._flow.resume_writing()
            self._all.forget(self)

    def _linger(self, *, unread: bool) -> None:
        """Close so that the last answer arrives: closing with unread bytes would reset it away (RFC 9112, 9.6)."""
        self._held = b""
        if self._half_closed or not unread:
            self._transport.close()
        elif not self._transport.is_closing():
            with suppress(OSError):  # it has left
                self._transport.write_eof()
            self._flow.resume_reading()

    # For the server

    def tick(self, now: float) -> None:
        """Look for what no event tells. ``now`` is the loop's time; called some times a second."""
        if self._flow.read_paused:
            self._look_for_departure()
        if self._since is None or self._is_our_turn():
            self._since = now
            return
        limit = deadline(self._state, self._all.idle_timeout)
        if limit is not None and now - self._since > limit:
            self._lose_patience()

    def _is_our_turn(self) -> bool:
        """Whether the client's body is not read now, or not asked for yet."""
        if self._state is not RECEIVING and self._state is not DISCARDING:
            return False
        return self._flow.read_paused or (self._exchange is not None and self._exchange.waits_for_continue)

    def _lose_patience(self) -> None:
        if self._state is LINGERING:
            self._transport.abort()
        elif self._state is IDLE or (self._state is HEAD and not self._held):
            self._transport.close()
        else:
            self._refuse(RequestTimedOut(), self._held)

    def _look_for_departure(self) -> None:
        """Close the connection if the client has closed it while we do not read from it, as the kernel knows."""
        if _HANG_UP is not None and self._kernel_knows(_HANG_UP):
            self._transport.abort()

    def _kernel_knows(self, of: int) -> bool:
        """Whether one of the events ``of`` the kernel (`select.poll`) has happened that the loop need not have seen."""
        sock = self._transport.get_extra_info("socket")
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), of)
        return bool(poll.poll(0))

    def give_way(self) -> bool:
        """Close an idle connection; False if the client has just sent its next request, or has left."""
        if self._transport.is_closing() or (_READABLE is not None and self._kernel_knows(_READABLE)):
            return False
        self._transport.close()
        return True

    @property
    def is_new(self) -> bool:
        """Whether it has not brought a whole head yet, or a later one has begun."""
        return self._state is HEAD

    def close_after_answer(self) -> None:
        """Take no further request once the answer under way is complete."""
        if self._exchange is not None:
            self._exchange.keep_alive = False

    def close(self) -> None:
        """Close once the client has taken what was written."""
        self._transport.close()

    def abort(self) -> bool:
        """Close at once; whether it was open."""
        if self._transport.is_closing():
            return False
        self._transport.abort()
        return True


def _host_and_port(address: Any) -> tuple[str, int] | None:
    """What ASGI's scope tells of an IP address as the system gives it."""
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
