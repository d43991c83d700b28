"""What we rely on in the installed uvicorn and httptools, which neither promises: fails by name when it changes."""

import asyncio
import inspect
from importlib.metadata import version

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from proxy.resource_limits import capacity
from proxy.server.connection import Protocol, State
from proxy.server.exchange import Cycle

WRITTEN_AGAINST = "0.54."

# Overridden on purpose; the docstrings of proxy/server/connection.py and exchange.py say why.
OURS = {
    Protocol: {"connection_made", "connection_lost", "eof_received", "data_received"}
    | {"on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"},
    Cycle: {"run_asgi", "receive", "send"},
}
# Reached on the way of a request as uvicorn wrote them.
THEIRS = {
    Protocol: {
        "__init__",
        "on_message_begin",
        "on_url",
        "pause_writing",
        "resume_writing",
        "_unset_keepalive_if_required",
    },
    Cycle: {"__init__"},
}
# Never reached any more: what ours replace was all that called them.
IDLE = {
    Protocol: {"_get_upgrade", "_should_upgrade", "_should_upgrade_to_ws", "_unsupported_upgrade_warning"}
    | {"handle_websocket_upgrade", "send_400_response", "shutdown", "timeout_keep_alive_handler", "_start_asgi_task"},
    Cycle: {"send_500_response"},
}


def methods(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if inspect.isfunction(value)}


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_the_version() -> None:
    assert version("uvicorn").startswith(WRITTEN_AGAINST), "read uvicorn's changes of httptools_impl.py before this"


@pytest.mark.parametrize(("ours", "theirs"), [(Protocol, HttpToolsProtocol), (Cycle, RequestResponseCycle)])
def test_every_method_is_accounted_for(ours: type, theirs: type) -> None:
    """A method that uvicorn adds, or takes away, is one that somebody must look at."""
    assert methods(theirs) == OURS[ours] | THEIRS[ours] | IDLE[ours]
    assert methods(ours) >= OURS[ours]
    assert not methods(ours) & (THEIRS[ours] - {"__init__"})


def test_signatures() -> None:
    assert parameters(HttpToolsProtocol.__init__) == ["self", "config", "server_state", "app_state", "_loop"]
    assert parameters(RequestResponseCycle.__init__) == [
        *("self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
        *("message_event", "expect_100_continue", "keep_alive", "on_response"),
    ]
    assert parameters(RequestResponseCycle.run_asgi) == ["self", "app"]
    assert parameters(FlowControl.__init__) == ["self", "transport"]


async def test_attributes_of_a_connection() -> None:
    """What ours reads of the things that uvicorn's constructor sets."""
    config = uvicorn.Config(lambda scope: None, log_config=None)
    state = State(capacity(None), None)
    protocol = Protocol(config, state, {})
    assert protocol.app is config.loaded_app
    assert protocol.loop is asyncio.get_running_loop()
    assert (protocol.server_state, protocol.connections, protocol.tasks) == (state, state.connections, state.tasks)
    assert (protocol.access_log, protocol.app_state, protocol.cycle) == (protocol.access_logger.hasHandlers(), {}, None)
    assert (protocol.timeout_keep_alive_task, protocol.expect_100_continue) == (None, False)
    protocol.on_message_begin()
    protocol.on_url(b"/a")
    protocol.on_url(b"b")
    assert (protocol.url, protocol.headers) == (b"/ab", [])
    assert set(protocol.scope) == {
        *("type", "asgi", "http_version", "server", "client", "scheme", "root_path", "headers", "state"),
    }


def test_attributes_of_a_request() -> None:
    source = inspect.getsource(RequestResponseCycle)
    for name in (
        *(
            "scope",
            "transport",
            "flow",
            "default_headers",
            "message_event",
            "on_response",
            "disconnected",
            "keep_alive",
        ),
        *("waiting_for_100_continue", "body", "more_body", "response_started", "response_complete"),
    ):
        assert f"self.{name} = " in source, name


def test_the_shared_state() -> None:
    state = ServerState()
    assert (state.total_requests, state.connections, state.tasks, state.default_headers) == (0, set(), set(), [])
    assert HIGH_WATER_LIMIT == 65536
    assert set(STATUS_LINE) == set(range(100, 600))
    assert "self.server_state = ServerState()" in inspect.getsource(uvicorn.Server.__init__)
    assert "server_state=self.server_state" in inspect.getsource(uvicorn.Server.startup)


def test_llhttp_is_strict() -> None:
    """Each head gets a parser of its own, to which none of uvicorn's leniencies applies."""
    assert "set_dangerous_leniencies(lenient_data_after_close=True)" in inspect.getsource(httptools_impl)
    for faulty in (
        *(
            b"X : 1\r\n",
            b"X: 1\r\n 2\r\n",
            b"X: 1\n",
            b"X: \0\r\n",
            b"X: 1\rY: 2\r\n",
            b": 1\r\n",
            b"X\r\n",
            b"(: 1\r\n",
        ),
        *(b"Content-Length: +2\r\n", b"Content-Length: 2\r\nContent-Length: 2\r\n"),
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    ):
        with pytest.raises(httptools.HttpParserError):
            httptools.HttpRequestParser(None).feed_data(b"GET / HTTP/1.1\r\nHost: a\r\n" + faulty + b"\r\n")


def test_what_llhttp_lets_through() -> None:
    """The holes that proxy/server/request_head.py closes: when llhttp closes one itself, ours can go."""
    for head in (
        *(
            b"GET /\r\n",
            b"GET / HTTP/0.9\r\n",
            b"GET / HTTP/2.0\r\n",
            b"OPTIONS / RTSP/1.0\r\n",
            b"GET  / HTTP/1.1\r\n",
        ),
        *(b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", b"\nGET / HTTP/1.1\r\n"),
        *(b"POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"),
        b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n",
    ):
        httptools.HttpRequestParser(None).feed_data(head + b"\r\n")
