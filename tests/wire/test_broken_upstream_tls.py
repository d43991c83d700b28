"""Promises 15 and 21 where the upstream breaks the layer below: TLS that is cut, spoilt, or ended without a word."""

import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx2 as httpx
import pytest
import trustme

from proxy.errors import UpstreamUnreachable
from proxy.upstream.connect import open_connection
from proxy.upstream.connection import Connection
from proxy.upstream.exceptions import proxy_error
from proxy.upstream.trust import tls_context
from tests.support.aftermath import OWN, is_visible_failure
from tests.support.client import get
from tests.support.fixtures import Connect, OpenUpstream, Setup, StartProxy
from tests.support.http1 import LAST_CHUNK, Ending, chunk, message
from tests.support.tls import bundle, server_context
from tests.support.tls_by_hand import ALERT, Tls, over_tls
from tests.support.upstream import Script, UpstreamConnection

pytestmark = pytest.mark.integration

TEXT = b"data: one\n\n"


class ThroughTls(Protocol):
    async def __call__(self, *scripts: Script) -> Setup: ...


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority)


@pytest.fixture
async def through_tls(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ThroughTls:
    """As `through`, for scripts that speak TLS by hand; the proxy trusts their authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))

    async def start(*scripts: Script) -> Setup:
        behind = await upstream(*scripts, raw=True)
        proxy = await proxy_for(f"https://localhost:{behind.port}")
        return Setup(await connect(proxy), behind, proxy)

    return start


async def _answers(connection: UpstreamConnection, tls: Tls) -> None:
    while True:
        await tls.request()
        await connection.send(tls.sealed(OWN))


def sound(context: ssl.SSLContext) -> Script:
    return over_tls(context, _answers)


async def check_aftermath(way: Setup, connect: Connect) -> None:
    await way.upstream.closed(0, within=1)
    response = await (await connect(way.proxy)).ask(get())
    assert (response.status, bytes(response.body)) == (200, b"own")
    await way.proxy.record(1)
    assert len(way.proxy.records) == 2


ANSWERS = {
    "length": (message("HTTP/1.1 200 OK", f"Content-Length: {len(TEXT)}"), TEXT),
    "chunks": (message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), chunk(TEXT) + LAST_CHUNK),
    "until close": (message("HTTP/1.1 200 OK", "Content-Type: text/event-stream"), TEXT),
}
PARTS = {"nothing": 0, "the head": 1, "half": 2, "all": 3}


def _with_last_bit_flipped(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


# How U ends the connection: the bytes that it sends last, and whether it then resets.
ENDINGS: dict[str, tuple[Callable[[Tls], bytes], bool]] = {
    "close_notify and FIN": (Tls.close_notify, False),
    "FIN without close_notify": (lambda tls: b"", False),
    "RST without close_notify": (lambda tls: b"", True),
    "close_notify and RST": (Tls.close_notify, True),
    "half a record": (lambda tls: tls.sealed(b"data: two\n\n")[:-9], False),
    "half a close_notify": (lambda tls: tls.close_notify()[:-3], False),
}
SPOILT: dict[str, Callable[[Tls], bytes]] = {
    "a spoilt record": lambda tls: _with_last_bit_flipped(tls.sealed(b"data: two\n\n")),
    "an alert in plain text": lambda tls: ALERT,
    "HTTP in plain text": lambda tls: message("HTTP/1.1 200 OK", "Content-Length: 5", body=b"plain"),
    "bytes of no protocol": lambda tls: bytes(range(256)),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_endings(
    through_tls: ThroughTls, connect: Connect, context: ssl.SSLContext, answer: str, part: str, ending: str
) -> None:
    """Promise 15: however TLS ends, an answer is whole only if its framing says so, or, without any, close_notify."""
    head, body = ANSWERS[answer]
    last, resets = ENDINGS[ending]

    async def script(connection: UpstreamConnection, tls: Tls) -> None:
        await tls.request()
        pieces = [head, body[: len(body) // 2], body[len(body) // 2 :]][: PARTS[part]]
        await connection.send(b"".join(map(tls.sealed, pieces)) + last(tls))
        if resets:
            connection.reset()

    way = await through_tls(over_tls(context, script), sound(context))
    response = await way.client.ask(get())
    if part == "nothing":
        assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-broken"])
    elif answer == "until close":
        assert TEXT.startswith(response.body)
        if ending == "close_notify and FIN":
            assert response.ending is Ending.COMPLETE
        elif ending != "close_notify and RST":  # that one is as good as FIN, if it is seen first
            assert response.ending is Ending.CUT
    elif part == "all":
        assert (bytes(response.body), response.ending) == (TEXT, Ending.COMPLETE)
    else:
        assert response.ending is Ending.CUT
        assert TEXT.startswith(response.body)
    await check_aftermath(way, connect)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_spoilt_records(
    through_tls: ThroughTls,
    connect: Connect,
    context: ssl.SSLContext,
    answer: str,
    part: str,
    spoil: Callable[[Tls], bytes],
) -> None:
    """Promise 15: behind a record that does not decrypt nothing is believed; what was sound before it may get lost."""
    head, body = ANSWERS[answer]

    async def script(connection: UpstreamConnection, tls: Tls) -> None:
        await tls.request()
        pieces = [head, body[: len(body) // 2], body[len(body) // 2 :]][: PARTS[part]]
        await connection.send(b"".join(map(tls.sealed, pieces)))
        await connection.send(spoil(tls))
        await connection.ended()

    way = await through_tls(over_tls(context, script), sound(context))
    response = await way.client.ask(get())
    if response.ending is Ending.COMPLETE and response.status == 200:
        assert part == "all"
        assert answer != "until close"
        assert bytes(response.body) == TEXT
    else:
        assert is_visible_failure(response)
        assert response.status == 502 or TEXT.startswith(response.body)
    await check_aftermath(way, connect)


@pytest.mark.parametrize("tenths", range(10))
async def test_cut_handshakes(through_tls: ThroughTls, connect: Connect, context: ssl.SSLContext, tenths: int) -> None:
    """Promise 21: a handshake that is cut at any place is 502, and nothing of the request has been sent."""

    async def script(connection: UpstreamConnection) -> None:
        flight = await Tls(connection, context).flight()
        await connection.send(flight[: len(flight) * tenths // 10])

    way = await through_tls(script, sound(context))
    response = await way.client.ask(get())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-unreachable"])
    await check_aftermath(way, connect)


SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "an alert": lambda flight: ALERT,
    "another byte": lambda flight: flight[:300] + bytes([flight[300] ^ 1]) + flight[301:],
    "nothing but zeros": lambda flight: bytes(2000),
    "HTTP": lambda flight: message("HTTP/1.1 400 Bad Request", "Content-Length: 0"),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
async def test_spoilt_handshakes(
    through_tls: ThroughTls, connect: Connect, context: ssl.SSLContext, spoil: Callable[[bytes], bytes]
) -> None:
    """Promise 21: a handshake with other bytes in it is 502, and nothing of the request has been sent."""

    async def script(connection: UpstreamConnection) -> None:
        flight = await Tls(connection, context).flight()
        await connection.send(spoil(flight))
        await connection.ended()

    way = await through_tls(script, sound(context))
    response = await way.client.ask(get())
    assert (response.status, response.values("x-proxy-error")) == (502, [b"upstream-untrusted"])
    await check_aftermath(way, connect)


async def test_a_certificate_that_is_asked_of_us(
    through_tls: ThroughTls, connect: Connect, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """Promise 21: an upstream that wants a client's certificate says so by an alert behind the handshake: 502."""
    picky = server_context(authority)
    picky.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(picky)

    async def script(connection: UpstreamConnection) -> None:
        tls = Tls(connection, picky)
        try:
            await tls.handshake()
        except ssl.SSLError:
            await tls._flush()

    way = await through_tls(script, sound(context))
    assert is_visible_failure(await way.client.ask(get()))
    await check_aftermath(way, connect)


async def test_one_connection_for_many(through_tls: ThroughTls, connect: Connect, context: ssl.SSLContext) -> None:
    """Promise 19: records behind an answer (session tickets) do not keep its connection from being used again."""
    way = await through_tls(sound(context))
    for _ in range(5):
        assert (await way.client.ask(get())).status == 200
    assert len(way.upstream.connections) == 1


async def test_a_reset_before_the_handshake(tls: ssl.SSLContext) -> None:
    """Promise 21: an upstream that resets at once is no question of trust, and its socket is closed at once."""

    class ResetMeanwhile:
        host = "localhost"

        async def connect(self) -> socket.socket:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                sock = socket.create_connection(listener.getsockname())
                accepted, _ = listener.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            sock.setblocking(False)  # noqa: FBT003
            return sock

    with pytest.raises(httpx.ConnectError) as caught:
        await open_connection(ResetMeanwhile(), tls_context(), lambda: Connection(lambda _: None), 5)
    assert type(proxy_error(caught.value)) is UpstreamUnreachable
