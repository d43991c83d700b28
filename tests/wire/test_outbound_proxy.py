"""Through an outbound proxy everything is as without one; and where it fails, the answer says so."""

import asyncio
import base64
import functools
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.blackhole import black_hole
from tests.support.client import Client, get, post
from tests.support.connection import Connection
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, StartProxy
from tests.support.http1 import message
from tests.support.outbound import (
    ESTABLISHED,
    GRANTED,
    Answer,
    Asked,
    connect_proxy,
    hang,
    leave,
    reset,
    saying,
    single_bytes,
    socks4_proxy,
    socks5_proxy,
)
from tests.support.ports import reserved
from tests.support.proxies import Proxy
from tests.support.tls import bundle, server_context
from tests.support.upstream import OK, Script, Upstream, UpstreamConnection, reply

pytestmark = pytest.mark.only_route("direct", reason="brings outbound proxies and TLS of its own")

SHORT = 0.4  # seconds: a limit that must strike
PASSWORD = "CANARY-pass:/@word"
ENCODED = "CANARY-pass%3A%2F%40word"
TOKEN = base64.b64encode(f"user:{PASSWORD}".encode())


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a trusted upstream called localhost speaks."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    return server_context(authority)


WAYS: dict[str, Callable[[Asked], Script]] = {
    "http": connect_proxy,
    "http://user": connect_proxy,
    "socks5": socks5_proxy,
    "socks5h": socks5_proxy,
    "socks5://user": lambda asked: socks5_proxy(asked, demands_password=True),
    "socks4": socks4_proxy,
    "socks4a": socks4_proxy,
}


def url_of(outbound: Upstream, way: str) -> str:
    scheme, _, user = way.partition("://")
    return f"{scheme}://{f'user:{ENCODED}@' if user else ''}{outbound.host}:{outbound.port}"


@pytest.mark.parametrize("way", WAYS)
async def test_every_kind(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, way: str
) -> None:
    """Requests reach U over TLS from end to end, on one connection; its name is for the outbound proxy to look up."""
    behind = await upstream(tls=trusted)
    outbound = await upstream(WAYS[way](asked))
    client = await connect(await proxy_for(behind, outbound_proxy=url_of(outbound, way)))
    for request in (post(), get()):
        response = await client.ask(request)
        assert (response.status, bytes(response.body)) == (200, b"ok")
    assert asked.targets == [(b"localhost", behind.port)]
    assert (len(outbound.connections), len(behind.connections)) == (1, 1)
    assert [request.values("host") for request in behind.requests] == [[behind.authority]] * 2
    assert behind.server_names == ["localhost"]
    if way.startswith("socks5://"):
        assert asked.credentials == [(b"user", PASSWORD.encode())]
    for head in asked.heads:
        authorization = b"Proxy-Authorization: Basic %b\r\n" % TOKEN if "user" in way else b""
        at = b"localhost:%d" % behind.port
        assert head == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (at, at, authorization)


async def test_an_address_stands_in_brackets(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked
) -> None:
    """RFC 3986, 3.2.2; and also a loopback upstream goes through a proxy that is named on purpose."""
    behind, outbound = await upstream(), await upstream(connect_proxy(asked))
    client = await connect(await proxy_for(f"http://[::1]:{behind.port}", outbound_proxy=outbound.url))
    assert (await client.ask(post())).status == 200
    assert asked.targets == [(b"[::1]", behind.port)]


CONSENTS: dict[str, Answer] = {
    "single bytes": single_bytes,
    "two pieces": saying(ESTABLISHED[:20], ESTABLISHED[20:]),
    "HTTP/1.0": saying(b"HTTP/1.0 200 Connection established\r\n\r\n"),
    "no reason": saying(b"HTTP/1.1 200\r\n\r\n"),
    "another 2xx": saying(b"HTTP/1.1 299 Why not\r\nVia: 1.1 x\r\n\r\n"),
    "an interim answer": saying(b"HTTP/1.1 100 Continue\r\n\r\n", ESTABLISHED),
    "a length, which means nothing": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),  # RFC 9110, 9.3.6
    "close, which means nothing": saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    "a long head": saying(message("HTTP/1.1 200 OK", *[f"X-{n}: {'x' * 1000}" for n in range(30)])),
}


@pytest.mark.parametrize("consent", CONSENTS)
async def test_each_way_to_consent(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, consent: str
) -> None:
    """In whatever pieces and words it says yes, no byte of it is taken for U's, and none of U's for it."""
    behind, outbound = await upstream(tls=trusted), await upstream(connect_proxy(asked, CONSENTS[consent]))
    client = await connect(await proxy_for(behind, outbound_proxy=outbound.url))
    response = await client.ask(post())
    assert (response.status, bytes(response.body)) == (200, b"ok")


async def test_socks_in_single_bytes(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext
) -> None:
    """As with CONNECT; also with a name in the last answer, whose length is in it."""
    named = b"\x05\x00\x00\x03\x05proxy\x00\x50"
    script = socks5_proxy(
        asked,
        saying(*(named[n : n + 1] for n in range(len(named)))),
        method=saying(b"\x05", b"\x02"),
        authenticated=saying(b"\x01", b"\x00"),
        demands_password=True,
    )
    behind, outbound = await upstream(tls=trusted), await upstream(script)
    client = await connect(await proxy_for(behind, outbound_proxy=url_of(outbound, "socks5://user")))
    assert (await client.ask(post())).status == 200


def refusing(status: str, *lines: str) -> Answer:
    return saying(message(f"HTTP/1.1 {status}", *lines, "Content-Length: 2", body=b"no"))


async def endless(connection: UpstreamConnection) -> None:
    while True:
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


REFUSALS: dict[str, Answer] = {
    "407": refusing("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=x", f"X-Echo: {PASSWORD}"),
    "407 with the password": refusing(f"407 {PASSWORD}", f"X-Token: {TOKEN.decode()}"),
    "403": refusing("403 Forbidden"),
    "502": refusing("502 Bad Gateway"),
    "a redirect": refusing("302 Found", "Location: http://decoy.example/"),
    "an upgrade": saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "TLS": saying(b"\x15\x03\x01\x00\x02\x02\x50"),
    "SSH": saying(b"SSH-2.0-x\r\n\r\n"),
    "SOCKS": saying(GRANTED),
    "HTTP/2": saying(b"HTTP/2 200\r\n\r\n"),
    "line breaks": saying(b"\r\n\r\n"),
    "bytes behind its answer": saying(ESTABLISHED + b"x"),
    "an answer for U": saying(ESTABLISHED + OK),
    "an endless head": saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 10_000),
    "endless interim answers": endless,
    "a reset": reset,
    "an end": leave,
}


async def check_fails(client: Client, proxy: Proxy, status: int = 502, slug: str = "outbound-proxy") -> None:
    before = len(proxy.records)
    response = await client.ask(post())
    assert (response.status, response.values("x-proxy-error")) == (status, [slug.encode()])
    assert PASSWORD.encode() not in response.body
    assert TOKEN not in response.body
    record = await proxy.record(before)
    assert (record.status, record.error, record.ended_by) == (status, slug, "proxy")


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_each_way_to_refuse(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, refusal: str
) -> None:
    """Promise 21: 502 with a text of ours, U hears nothing, the connection is closed, and the next request works."""
    behind = await upstream(tls=trusted)
    outbound = await upstream(connect_proxy(asked, REFUSALS[refusal]), connect_proxy(asked))
    proxy = await proxy_for(behind, outbound_proxy=url_of(outbound, "http://user"))
    client = await connect(proxy)
    await check_fails(client, proxy)
    await outbound.closed(0, within=1)
    assert not behind.connections
    assert (await client.ask(post())).status == 200


def socks_refusals() -> dict[str, Callable[[Asked], Script]]:
    def demanding(asked: Asked, **answers: Answer) -> Script:
        return socks5_proxy(asked, demands_password=True, **answers)

    found: dict[str, Callable[[Asked], Script]] = {
        "no method": lambda asked: socks5_proxy(asked, method=saying(b"\x05\xff")),
        "GSSAPI": lambda asked: socks5_proxy(asked, method=saying(b"\x05\x01")),
        "SOCKS 4": lambda asked: socks5_proxy(asked, method=saying(b"\x00\x5a")),
        "HTTP": lambda asked: socks5_proxy(asked, method=saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        "reset at once": lambda asked: socks5_proxy(asked, method=reset),
        "end at once": lambda asked: socks5_proxy(asked, method=leave),
        "half a method": lambda asked: socks5_proxy(asked, method=half(b"\x05")),
        "wrong password": lambda asked: demanding(asked, authenticated=saying(b"\x01\x01")),
        "reset at the password": lambda asked: demanding(asked, authenticated=reset),
        "end at the password": lambda asked: demanding(asked, authenticated=leave),
        "no kind of address": lambda asked: socks5_proxy(asked, saying(b"\x05\x00\x00\x09\0\0\0\0\0\0")),
        "a name in no encoding": lambda asked: socks5_proxy(asked, saying(b"\x05\x00\x00\x03\x02\xff\xfe\0\0")),
        "a reserved byte": lambda asked: socks5_proxy(asked, saying(b"\x05\x00\x01\x01\0\0\0\0\0\0")),
        "half an answer": lambda asked: socks5_proxy(asked, half(GRANTED[:6])),
        "reset at the end": lambda asked: socks5_proxy(asked, reset),
        "end at the end": lambda asked: socks5_proxy(asked, leave),
    }
    for code in (*range(1, 9), 200):
        no = b"\x05%c\x00\x01\0\0\0\0\0\0" % code
        found[f"code {code}"] = functools.partial(socks5_proxy, answer=saying(no))
    return found


def half(data: bytes) -> Answer:
    async def answer(connection: UpstreamConnection) -> None:
        await connection.send(data)
        connection.close()

    return answer


SOCKS_REFUSALS = socks_refusals()


@pytest.mark.parametrize("refusal", SOCKS_REFUSALS)
async def test_each_way_of_socks_to_refuse(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, refusal: str
) -> None:
    """Promise 21: as with CONNECT."""
    behind = await upstream(tls=trusted)
    outbound = await upstream(SOCKS_REFUSALS[refusal](asked), socks5_proxy(asked))
    proxy = await proxy_for(behind, outbound_proxy=url_of(outbound, "socks5://user"))
    client = await connect(proxy)
    await check_fails(client, proxy)
    await outbound.closed(0, within=1)
    assert not behind.connections
    assert (await client.ask(post())).status == 200


@pytest.mark.parametrize("extra", [b"x", OK], ids=["a byte", "an answer"])
async def test_bytes_behind_the_answer_of_socks(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, extra: bytes
) -> None:
    """They are never U's: TLS refuses them."""
    behind, outbound = await upstream(tls=trusted), await upstream(socks5_proxy(asked, saying(GRANTED + extra)))
    proxy = await proxy_for(behind, outbound_proxy=url_of(outbound, "socks5"))
    await check_fails(await connect(proxy), proxy, slug="upstream-untrusted")
    assert not behind.requests


HANGS: dict[str, tuple[str, Callable[[Asked], Script]]] = {
    "at CONNECT": ("http", lambda asked: connect_proxy(asked, hang)),
    "in the head": ("http", lambda asked: connect_proxy(asked, _then_hang(ESTABLISHED[:-2]))),
    "behind an interim answer": ("http", lambda asked: connect_proxy(asked, _then_hang(b"HTTP/1.1 100 C\r\n\r\n"))),
    "in TLS": ("http", lambda asked: connect_proxy(asked, _then_hang(ESTABLISHED))),
    "at the methods": ("socks5", lambda asked: socks5_proxy(asked, method=hang)),
    "at the password": (
        "socks5://user",
        lambda asked: socks5_proxy(asked, authenticated=hang, demands_password=True),
    ),
    "at the target": ("socks5", lambda asked: socks5_proxy(asked, hang)),
    "in the last answer": ("socks5", lambda asked: socks5_proxy(asked, _then_hang(GRANTED[:7]))),
    "in TLS over SOCKS": ("socks5", lambda asked: socks5_proxy(asked, _then_hang(GRANTED))),
}


def _then_hang(data: bytes) -> Answer:
    async def answer(connection: UpstreamConnection) -> None:
        await connection.send(data)
        await connection.ended()

    return answer


@pytest.mark.parametrize("phase", HANGS)
async def test_it_hangs(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, trusted: ssl.SSLContext, phase: str
) -> None:
    """Promise 18: in whatever phase, that is part of connecting: 504, and the connection is closed."""
    way, script = HANGS[phase]
    behind, outbound = await upstream(tls=trusted), await upstream(script(asked))
    proxy = await proxy_for(behind, outbound_proxy=url_of(outbound, way), connect_timeout=SHORT)
    await check_fails(await connect(proxy), proxy, 504, "connect-timeout")
    await outbound.closed(0, within=1)
    assert not behind.connections


@pytest.mark.parametrize("go", [Connection.close, Connection.reset])
@pytest.mark.parametrize("phase", HANGS)
async def test_leaving_while_it_hangs(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    *,
    asked: Asked,
    trusted: ssl.SSLContext,
    phase: str,
    go: Callable[[Connection], None],
) -> None:
    """Promise 16: a client that leaves in whatever phase closes the outbound proxy's connection within a second."""
    way, script = HANGS[phase]
    behind, outbound = await upstream(tls=trusted), await upstream(script(asked))
    proxy = await proxy_for(behind, outbound_proxy=url_of(outbound, way))
    client = await connect(proxy)
    await client.send(post())
    await outbound.connection()
    for _ in range(20):  # turns of the loop in which the handshake gets as far as it will
        await asyncio.sleep(0)
    go(client)
    await outbound.closed(0, within=1)
    record = await proxy.record()
    assert (record.status, record.ended_by) == (499, "client")


async def test_a_black_hole(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 18: nor does it cost more if the outbound proxy cannot even be connected to."""
    with black_hole() as url:
        proxy = await proxy_for("https://localhost:1", outbound_proxy=url, connect_timeout=SHORT)
        await check_fails(await connect(proxy), proxy, 504, "connect-timeout")


async def test_nobody_listens(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 21: 502, and the text names the outbound proxy's settings, not U's."""
    with reserved() as nowhere:
        proxy = await proxy_for("https://localhost:1", outbound_proxy=f"http://user:{ENCODED}@{nowhere}")
        client = await connect(proxy)
        await check_fails(client, proxy)
        body = bytes((await client.ask(post())).body)
    assert b"HTTPS_PROXY" in body
    assert b"OPENROUTER_OUTBOUND_PROXY" in body


async def test_its_name_does_not_resolve(
    proxy_for: StartProxy, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 21: that is not U's name."""
    resolve_as(monkeypatch, "proxy.test", socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    proxy = await proxy_for("https://localhost:1", outbound_proxy="socks5://proxy.test")
    await check_fails(await connect(proxy), proxy)


async def test_another_address(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the outbound proxy does not answer at its first address, the next one is tried."""
    behind, outbound = await upstream(), await upstream(connect_proxy(asked))
    places = [("127.0.0.9", outbound.port), ("127.0.0.1", outbound.port)]
    resolve_as(monkeypatch, "proxy.test", places)
    client = await connect(await proxy_for(behind, outbound_proxy=f"http://proxy.test:{outbound.port}"))
    assert (await client.ask(post())).status == 200


def resolve_as(monkeypatch: pytest.MonkeyPatch, name: str, answer: OSError | list[tuple[str, int]]) -> None:
    resolve = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != name:
            return resolve(host, *args, **kwargs)
        if isinstance(answer, OSError) or kwargs.get("flags") == socket.AI_NUMERICHOST:
            raise answer if isinstance(answer, OSError) else socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place) for place in answer]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_process_takes_it_from_the_environment(
    upstream: OpenUpstream,
    proxy_process: StartProcess,
    connect: Connect,
    *,
    asked: Asked,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """The password shows up nowhere, whatever the outbound proxy says (the kit looks for it); the way is told."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    behind = await upstream(reply(OK))
    refused = connect_proxy(asked, REFUSALS["407 with the password"])
    outbound = await upstream(refused, connect_proxy(asked))
    monkeypatch.setenv(name, url_of(outbound, "http://user"))
    proxy = await proxy_process(behind, "--upstream-url", "https://gateway.test:8443")
    client = await connect(proxy)
    assert (await client.ask(post())).values("x-proxy-error") == [b"outbound-proxy"]
    assert asked.targets == [(b"gateway.test", 8443)]
    assert (await proxy.access_line())["error"] == "outbound-proxy"
    assert f'"reached": "through http://127.0.0.1:{outbound.port} ({name})"' in proxy.stdout
    for secret in (ENCODED, TOKEN.decode(), "user"):
        assert secret not in proxy.stdout + proxy.stderr
