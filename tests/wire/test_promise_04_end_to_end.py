"""Promise 4: end-to-end headers cross byte for byte, and nothing is invented."""

from pathlib import Path

import pytest
import trustme

from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.proxies import STAMP
from tests.support.tls import bundle, server_context

OURS = [(name.lower(), value) for name, value in STAMP]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
async def test_nothing_is_invented(through: Through, method: str) -> None:
    """Promise 4: a request without headers arrives with U's `Host` and the stamp, and nothing else."""
    client, upstream, _ = await through()
    await client.send(get(method=method))
    await client.answer(method.encode())
    assert upstream.requests[0].fields == [(b"host", upstream.authority), *OURS]


async def test_an_upload_gets_only_its_length(through: Through) -> None:
    """Promise 4: neither `Content-Type` nor anything else is added to a body."""
    client, upstream, _ = await through()
    await client.ask(post(body=b"abc"))
    assert upstream.requests[0].fields == [(b"host", upstream.authority), (b"content-length", b"3"), *OURS]


THEIRS = [
    (b"Accept", b"*/*"),
    (b"X-Twice", b"1"),
    (b"Authorization", b"Bearer sk-or-v1-canary"),
    (b"x-twice", b"2"),
    (b"X-Empty", b""),
    (b"X-Bytes", bytes(range(0x80, 0x100))),
    (b"X-Inner", b"a \t  b"),
    (b"X-Twice", b"1"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"x-api-key", b"sk-or-v1-canary"),
    (b"X-Under_score", b"_"),
    (b"Origin", b"http://localhost:3000"),
    (b"Sec-Fetch-Mode", b"cors"),
    (b"X-Quoted", b'"a, b"; c="\\""'),
    (b"User-Agent", b"tool/1.0"),
    (b"!#$%&'*+-.^`|~", b"a token of every kind"),
    (b"Idempotency-Key", b"x" * 8000),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"anthropic-version", b"2023-06-01"),
    (b"X-OpenRouter-Cache", b"true"),
]


async def test_order_duplicates_and_bytes(through: Through) -> None:
    """Promise 4: order, duplicates, empty values and bytes that are not text arrive as they were sent."""
    client, upstream, _ = await through()
    assert (await client.ask(get(*(b"%b: %b" % pair for pair in THEIRS)))).status == 200
    theirs = [(name.lower(), value) for name, value in THEIRS]
    assert upstream.requests[0].fields == [(b"host", upstream.authority), *theirs, *OURS]


async def test_host_is_the_upstreams(through: Through) -> None:
    """Promise 4: whatever `Host` the client used, U gets its own."""
    client, upstream, _ = await through()
    for host in ("localhost", "127.0.0.1:6767", "app.localhost"):
        request = b"GET /api/v1/models HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode()
        assert (await client.ask(request)).status == 200
    assert [request.values("host") for request in upstream.requests] == [[upstream.authority]] * 3


async def test_server_name_is_the_upstreams(
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    connect: Connect,
    *,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Promise 4: over TLS, the name asked for (SNI) and the `Host` are U's, and its certificate is checked."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    behind = await upstream(tls=server_context(authority))
    client = await connect(await proxy_for(behind))
    assert (await client.ask(get())).status == 200
    assert behind.server_names == ["localhost"]
    assert behind.requests[0].values("host") == [b"localhost:%d" % behind.port]
