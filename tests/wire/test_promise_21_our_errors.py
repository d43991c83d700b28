"""Promise 21: errors that are ours have a status, a slug and a shape that say whose they are and what to do."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import trustme

from tests.support.blackhole import black_hole
from tests.support.client import get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import Response, message
from tests.support.marks import reaches_no_upstream
from tests.support.ports import reserved
from tests.support.tls import bundle, server_context
from tests.support.upstream import UpstreamConnection, reply

PATHS = [
    "/api/v1/chat/completions",
    "/api/v1/messages",
    "/v1/messages",
    "/v1/messages?beta=true",
    "/api/v1/messages/count_tokens",
    "/v1/models",
]


def check(response: Response, status: int, slug: str, target: str) -> None:
    """An error of ours, whole, in the shape that clients of that path parse."""
    assert (response.status, response.values("x-proxy-error")) == (status, [slug.encode()])
    assert response.values("content-type") == [b"application/json"]
    assert response.values("content-length") == [str(response.length).encode()]
    assert bool(response.values("retry-after")) == (status == 503)
    body: Any = json.loads(response.body)
    if "/messages" in target:
        assert body.keys() == {"type", "error"}
        assert body["type"] == "error"
        assert body["error"].keys() == {"type", "message"}
    else:
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"code", "message", "metadata"}
        assert body["error"]["code"] == status
        assert isinstance(body["error"]["metadata"], dict)
    text: str = body["error"]["message"]
    assert text[0].isupper()
    assert text.count(". ") >= 1  # what happened, and what to do
    for secret in ("canary", "127.0.0.1", "localhost:", "Errno", "Traceback", "Error("):
        assert secret not in text


@pytest.mark.only_route("direct", reason="through an outbound proxy, it is that proxy which fails to connect")
@pytest.mark.parametrize("target", PATHS)
async def test_refused(proxy_for: StartProxy, connect: Connect, target: str) -> None:
    """Promise 21: when U refuses the connection, that is 502."""
    with reserved() as nobody:  # else the proxy itself may get that port, and call itself
        client = await connect(await proxy_for(f"http://{nobody}"))
        response = await client.ask(post("Authorization: Bearer sk-or-v1-canary", target=target))
    check(response, 502, "upstream-unreachable", target)


@pytest.mark.only_route("direct", reason="an outbound proxy looks the name up")
@pytest.mark.parametrize("target", PATHS[:2])
async def test_a_name_that_does_not_resolve(
    proxy_for: StartProxy, connect: Connect, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """Promise 21: when U's name does not resolve, that is 502."""
    resolve = socket.getaddrinfo

    def fail_for_the_upstream(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "upstream.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", fail_for_the_upstream)
    client = await connect(await proxy_for("https://upstream.invalid"))
    response = await client.ask(post(target=target))
    check(response, 502, "upstream-unknown", target)


@pytest.mark.parametrize("case", ["unknown authority", "another name", "no TLS at all", "cut handshake"])
@pytest.mark.parametrize("target", PATHS[:2])
async def test_tls_fails(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    *,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    case: str,
    target: str,
) -> None:
    """Promise 21: when U's certificate or handshake is not in order, that is 502, and nothing is sent."""

    async def answers_in_plain_text(connection: UpstreamConnection) -> None:
        await connection.take(1)
        await connection.send(message("HTTP/1.1 400 Bad Request", "Content-Length: 0"))

    async def hangs_up(connection: UpstreamConnection) -> None:
        await connection.take(1)

    trusted = trustme.CA() if case == "unknown authority" else authority
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(trusted, tmp_path)))
    match case:
        case "no TLS at all":
            behind = await upstream(answers_in_plain_text, raw=True)
        case "cut handshake":
            behind = await upstream(hangs_up, raw=True)
        case "another name":
            behind = await upstream(tls=server_context(authority, "other.example"))
        case _:
            behind = await upstream(tls=server_context(authority))
    client = await connect(await proxy_for(f"https://localhost:{behind.port}"))
    response = await client.ask(post("Authorization: Bearer sk-or-v1-canary", target=target))
    slug = "upstream-unreachable" if case == "cut handshake" else "upstream-untrusted"
    check(response, 502, slug, target)
    assert not behind.requests


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nX-Canary: canary\r\n"])
@pytest.mark.parametrize("target", PATHS[:2])
async def test_gone_before_the_head(
    through: Through, leave: Callable[[Connection], None], before: bytes, target: str
) -> None:
    """Promise 21: when U closes or resets before its head is whole, that is 502, and the request is not repeated."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(before)
        leave(connection)

    client, upstream, proxy = await through(script)
    response = await client.ask(post(target=target))
    check(response, 502, "upstream-broken", target)
    assert len(upstream.requests) == 1
    record = await proxy.record()
    assert (record.status, record.error) == (502, "upstream-broken")


@pytest.mark.parametrize("target", PATHS[:2])
async def test_slow(through: Through, target: str) -> None:
    """Promise 21: when U does not answer in time, that is 504."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.ended()

    client, *_ = await through(script, response_timeout=0.1)
    check(await client.ask(post(target=target)), 504, "response-timeout", target)


@pytest.mark.parametrize("target", PATHS[:2])
async def test_slow_to_connect(proxy_for: StartProxy, connect: Connect, target: str) -> None:
    """Promise 21: when U does not accept in time, that is 504."""
    with black_hole() as url:
        client = await connect(await proxy_for(url, connect_timeout=0.1))
        check(await client.ask(post(target=target)), 504, "connect-timeout", target)


class Faulty(httpx.AsyncBaseTransport):
    """A transport that fails with a text that must not get out."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self.error


CANARY = "canary: Bearer sk-or-v1-canary for 127.0.0.1"


def caused_by(error: httpx.TransportError, cause: Exception) -> httpx.TransportError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("target", PATHS[:2])
@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (httpx.ConnectError(CANARY), 502, "upstream-unreachable"),
        (caused_by(httpx.ConnectError(CANARY), socket.gaierror(-2, CANARY)), 502, "upstream-unknown"),
        (httpx.ConnectTimeout(CANARY), 504, "connect-timeout"),
        (httpx.ReadTimeout(CANARY), 504, "response-timeout"),
        (httpx.WriteTimeout(CANARY), 504, "upload-timeout"),
        (httpx.PoolTimeout(CANARY), 503, "overloaded"),
        (caused_by(httpx.ConnectError(CANARY), OSError(24, CANARY)), 503, "overloaded"),
        (httpx.ReadError(CANARY), 502, "upstream-broken"),
        (httpx.RemoteProtocolError(CANARY), 502, "upstream-broken"),
        (httpx.ProxyError(CANARY), 502, "outbound-proxy"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
@reaches_no_upstream
async def test_whatever_the_transport_raises(
    proxy_for: StartProxy, connect: Connect, *, error: httpx.TransportError, status: int, slug: str, target: str
) -> None:
    """Promise 21: messages are fixed texts; nothing of an exception, a key or an address gets out."""
    client = await connect(await proxy_for("http://127.0.0.1:9", Faulty(error)))
    check(await client.ask(post(target=target)), status, slug, target)


@pytest.mark.parametrize(
    ("target", "status", "slug"),
    [
        ("/api/v2/messages", 404, "unknown-path"),
        ("/nowhere", 404, "unknown-path"),
        ("/messages", 404, "unknown-path"),
        ("/v1/v1/messages", 404, "unknown-path"),
        ("/api/v1/../messages", 400, "bad-target"),
        ("/api/v1/x/../y", 400, "bad-target"),
    ],
)
@reaches_no_upstream
async def test_refusals_have_the_shape_too(through: Through, target: str, status: int, slug: str) -> None:
    """Promise 21: what we refuse carries the slug and the shape as well."""
    client, *_ = await through()
    check(await client.ask(get(target=target)), status, slug, target)


@pytest.mark.parametrize("status", [200, 429, 502, 503])
async def test_nobody_else_sends_our_header(through: Through, status: int) -> None:
    """Promise 21: an `X-Proxy-Error` that U sends is dropped, so that ours can be trusted."""
    answer = message(f"HTTP/1.1 {status} X", "X-Proxy-Error: theirs", "x-proxy-error: too", "Content-Length: 0")
    client, *_ = await through(reply(answer))
    response = await client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (status, [])


@pytest.mark.only_route("direct", reason="through an outbound proxy, it is that proxy which fails to connect")
async def test_head_gets_no_body(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 21: an error of ours to HEAD has the headers and no body, and the connection stays usable."""
    with reserved() as nobody:
        client = await connect(await proxy_for(f"http://{nobody}"))
        for _ in range(2):
            await client.send(get(method="HEAD"))
            response = await client.answer(b"HEAD")
            assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-unreachable"])
    assert (await client.ask(get(target="/healthz"))).status == 200


async def test_the_connection_stays_usable(through: Through) -> None:
    """Promise 21: an error of ours does not cost the client its connection, when its request was whole."""
    client, upstream, _ = await through()
    await upstream.stop()
    assert (await client.ask(post())).status == 502
    assert (await client.ask(get(target="/nowhere"))).status == 404
    await upstream.start()
    assert (await client.ask(post())).status == 200
