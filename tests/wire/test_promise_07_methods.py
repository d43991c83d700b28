"""Promise 7: methods cross unchanged; TRACE, CONNECT and upgrades end here."""

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.marks import reaches_no_upstream
from tests.support.proxies import STAMP
from tests.support.secrets import KEY


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "SEARCH"])
async def test_unchanged(through: Through, method: str) -> None:
    """Promise 7: U gets the client's method."""
    client, upstream, _ = await through()
    await client.send(get(method=method))
    assert (await client.answer(method.encode())).status == 200
    assert upstream.requests[0].method == method.encode()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "GET"])
async def test_a_body_with_any_method(through: Through, method: str) -> None:
    """Promise 7: a body crosses with any method."""
    client, upstream, _ = await through()
    request = message(f"{method} /api/v1/x HTTP/1.1", "Host: localhost", "Content-Length: 3", body=b"abc")
    assert (await client.ask(request)).status == 200
    [got] = upstream.requests
    assert (got.method, bytes(got.body)) == (method.encode(), b"abc")


@pytest.mark.parametrize(
    "request_",
    [
        get(method="TRACE"),
        get(method="TRACE", target="/"),
        message("CONNECT openrouter.ai:443 HTTP/1.1", "Host: openrouter.ai:443"),
        get(method="CONNECT"),
    ],
)
@reaches_no_upstream
async def test_refused(through: Through, request_: bytes) -> None:
    """Promise 7: TRACE and CONNECT are 405, and reach nobody."""
    client, upstream, _ = await through()
    response = await client.ask(request_)
    assert (response.status, response.values("x-proxy-error")) == (405, [b"method-not-allowed"])
    assert b"GET" in response.values("allow")[0]
    assert not upstream.connections


async def test_nothing_is_read_behind_a_connect(through: Through) -> None:
    """Promise 7: what follows it may be meant for the tunnel that it did not get: it is no request, and is not read."""
    client, upstream, _ = await through()
    connect = message("CONNECT openrouter.ai:443 HTTP/1.1", "Host: localhost")
    response = await client.ask(connect + get(target="/api/v1/smuggled"))
    assert (response.status, response.values("connection")) == (405, [b"close"])
    assert await client.rest() == b""
    assert not upstream.connections


HANDSHAKE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["own keys", "configured key"])
async def test_a_websocket_handshake(through: Through, upgrade: str, settings: dict[str, str]) -> None:
    """Promise 7: a WebSocket handshake is 426 and says what to speak in its place; U, which has none, gets nothing."""
    client, upstream, proxy = await through(**settings)
    lines = [line.replace("websocket", upgrade) if line.startswith("Upgrade") else line for line in HANDSHAKE]
    response = await client.ask(get(*lines, target="/api/v1/responses"))
    assert (response.status, response.values("x-proxy-error")) == (426, [b"websocket"])
    assert response.values("upgrade") == [b"HTTP/1.1"]
    assert response.values("connection") == [b"upgrade, close"]
    assert await client.ended()
    assert (await proxy.record()).error == "websocket"
    assert not upstream.connections


UPGRADES = [
    [line for line in HANDSHAKE if "Key" not in line],
    [line for line in HANDSHAKE if not line.startswith("Upgrade")],
    ["Connection: keep-alive, Upgrade", "Upgrade: h2c"],
    # Java's HttpClient, on every plain-text connection.
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"],
    ["Connection: upgrade", "Upgrade: TLS/1.0"],
]


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("request_", [get, post])
async def test_an_upgrade_is_answered_as_if_it_had_not_been_asked_for(
    through: Through, upgrade: list[str], request_: object
) -> None:
    """Promise 7: `Upgrade` is neither forwarded nor answered with 101; request and body arrive, and nothing hangs."""
    make = post if request_ is post else get
    client, upstream, _ = await through()
    response = await client.ask(make(*upgrade))
    assert (response.status, bytes(response.body), response.interim) == (200, b"ok", [])
    [request] = upstream.requests
    assert bytes(request.body) == (b"{}" if make is post else b"")
    assert not {b"upgrade", b"connection", b"http2-settings"} & {name for name, _ in request.fields}
    assert request.headers[-len(STAMP) :] == STAMP
    # The connection serves the next request, or says that it will not.
    if response.values("connection") == [b"close"]:
        assert await client.rest() == b""
    else:
        assert (await client.ask(get())).status == 200


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["without a key", "with one"])
async def test_a_question_about_the_server_itself(through: Through, settings: dict[str, str]) -> None:
    """Promise 7: `OPTIONS *` is answered here, with what methods there are, and the connection goes on."""
    client, upstream, proxy = await through(**settings)
    response = await client.ask(get(method="OPTIONS", target="*"))
    assert (response.status, response.values("allow")) == (204, [b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"])
    assert not response.body
    assert not response.values("content-length")
    assert not response.values("x-proxy-error")
    assert (await client.ask(get(target="/healthz"))).status == 200
    assert not upstream.requests
    assert ((await proxy.record()).status, proxy.records[0].error) == (204, None)


async def test_a_strange_host_learns_nothing_of_it(through: Through) -> None:
    """Promise 7: nor is it for pages that have pointed a name of their own here."""
    client, *_ = await through()
    assert (await client.ask(message("OPTIONS * HTTP/1.1", "Host: evil.example"))).status == 421
