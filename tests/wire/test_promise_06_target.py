"""Promise 6: path and query reach the upstream as they were sent, and only the API is forwarded."""

import json

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import message
from tests.support.marks import reaches_no_upstream
from tests.support.secrets import KEY

EXACT = [
    "/api/v1/models",
    "/api/v1/models/anthropic%2Fclaude-x/endpoints",
    "/api/v1/models/anthropic/claude-x:free/endpoints",
    "/api/v1/models/~anthropic/claude%7Elatest",
    "/api/v1/a;b=c;d/e,f",
    "/api/v1/%zz/%",
    "/api/v1/%2F%2f%5c",
    "/api/v1/%00%0d%0a%20",
    "/api/v1//double//slash/",
    "/api/v1/",
    "/api/v1/.hidden/a..b/.../x.",
    "/api/v1/%2e%2ehidden",
    "/api/v1/%252e%252e/%252F",  # decoded twice it would be '..'
    "/api/v1/generation?id=gen-1&id=gen-2&&=&x",
    "/api/v1/x??a=?b",
    "/api/v1/x?path=/../..&y=%2e%2e/",
    "/api/v1/x?a=%zz;+b%20c/d:e@f[g]h|i`j{k}^l\"m'n",
    "/api/v1/messages?beta=true",
    "/api/alpha/decisions",
    "/api/beta/batch?x=1",
]


@pytest.mark.parametrize("target", EXACT)
async def test_the_bytes_of_the_target(through: Through, target: str) -> None:
    """Promise 6: path and query reach U as the bytes that the client sent."""
    client, upstream, _ = await through()
    assert (await client.ask(get(target=target))).status == 200
    assert upstream.requests[0].target == target.encode()


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        ("/v1/models", "/api/v1/models"),
        ("/v1/messages?beta=true", "/api/v1/messages?beta=true"),
        ("/v1/models/a%2Fb?x=%2e%2e", "/api/v1/models/a%2Fb?x=%2e%2e"),
        ("/v1/", "/api/v1/"),
        ("/api/messages", "/api/v1/messages"),
        ("/api/messages?beta=true", "/api/v1/messages?beta=true"),
        ("/api/messages/count_tokens", "/api/v1/messages/count_tokens"),
    ],
)
async def test_the_alias(through: Through, target: str, forwarded: str) -> None:
    """Promise 6: `/v1/` stands for `/api/v1/`, `/api/messages` for its own; everything after it crosses untouched."""
    client, upstream, _ = await through()
    assert (await client.ask(get(target=target))).status == 200
    assert upstream.requests[0].target == forwarded.encode()


async def test_the_bare_endpoint_of_messages_speaks_as_anthropic_does(through: Through) -> None:
    """Promise 6: it is an endpoint like any other: known to a configured key, with errors in Anthropic's shape."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(post("Content-Type: application/json", target="/api/messages"))).status == 200
    response = await client.ask(post("Content-Type: text/plain", target="/api/messages"))
    assert json.loads(response.body)["type"] == "error"
    assert (await client.ask(post(target="/api/messagesx"))).status == 404
    assert len(upstream.requests) == 1


PASTED = [
    "/api/v1/chat/completions/chat/completions",
    "/v1/chat/completions/v1/chat/completions",
    "/api/v1/chat/completions/api/v1/models",
    "/api/v1/chat/completions/models/openai/gpt/endpoints",
    "/api/v1/responses/models",
    "/api/v1/responses/responses?x",
    "/api/v1/messages/v1/messages",
    "/api/messages/messages",
    "/api/v1/completions/chat/completions",
    "/api/v1/embeddings/embeddings/",
]


@pytest.mark.parametrize("target", PASTED)
async def test_an_endpoint_pasted_as_base_url(through: Through, target: str) -> None:
    """Promise 6: one endpoint behind another is our 404, which names the right base URL."""
    client, upstream, _ = await through()
    response = await client.ask(post(target=target))
    assert (response.status, response.values("x-proxy-error")) == (404, [b"unknown-path"])
    assert b"/api/v1 (OpenAI-style tools)" in response.body
    assert not upstream.connections


@pytest.mark.parametrize(
    "target",
    [
        *("/api/v1/embeddings/models", "/api/v1/images/models", "/api/v1/videos/models", "/api/v1/files/messages"),
        *("/api/v1/presets/responses/messages", "/api/v1/model/chat/completions", "/api/v1/responses/resp_1"),
        *("/api/v1/models/chat/completions/endpoints", "/api/v1/messages/count_tokens", "/api/v1/generation/content"),
    ],
)
async def test_what_only_looks_so(through: Through, target: str) -> None:
    """Promise 6: an endpoint of the API is none of those, whatever its names."""
    client, *_ = await through()
    assert (await client.ask(get(target=target))).status == 200


async def test_a_prefix_of_the_upstream(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 6: with a path prefix in the upstream's URL, the target follows it unchanged."""
    behind = await upstream()
    client = await connect(await proxy_for(f"{behind.url}/gateway"))
    assert (await client.ask(get(target="/api/v1/a%2Fb?c"))).status == 200
    assert (await client.ask(get(target="/v1/models"))).status == 200
    assert [request.target for request in behind.requests] == [b"/gateway/api/v1/a%2Fb?c", b"/gateway/api/v1/models"]


DOTS = [".", "..", "%2e", "%2E%2e", ".%2E", "%2e."]


@pytest.mark.parametrize(
    "target",
    [
        *(f"/api/v1/{dots}/keys" for dots in DOTS),
        *(f"/api/v1/{dots}" for dots in DOTS),
        *(f"/v1/x/{dots}?q" for dots in DOTS),
        "/../api/v1/models",
        "/api/../api/v1/models",
        "/api/v1/x/../../../admin",
        "/api/v1/..%2Fadmin",
        "/api/v1/x%2F..",
        "/api/v1/x%2f%2e%2e%2fadmin",
        "/api/v1/..\\admin",
        "/api/v1/x\\..\\admin",
        "/api/v1/..%5Cadmin",
        "/api/v1/x%5c%2e%2e",
    ],
)
@reaches_no_upstream
async def test_dot_segments(through: Through, target: str) -> None:
    """Promise 6: a segment that decodes to `.` or `..` is refused, and nothing is sent to U."""
    client, upstream, _ = await through()
    response = await client.ask(get(target=target))
    assert (response.status, response.values("x-proxy-error")) == (400, [b"bad-target"])
    assert not upstream.connections


@pytest.mark.parametrize(
    "target",
    [
        "/chat/completions",
        "/models",
        "/api",
        "/api/",
        "/api/v1",
        "/v1",
        "/api/v2/models",
        "/api/v1x/models",
        "/api/gamma/x",
        "/v1/v1/chat/completions",
        "/api/v1/v1/chat/completions",
        "/v1/api/v1/models",
        "/api/v1/api/v1/models",
        "/api/v1/api/v1",
        "/v1/v1",
        "/api/v1/api/alpha/x",
        "/API/v1/models",
        "/api/V1/models",
        "/api%2Fv1/models",
        "/api/v1%2Fmodels",
        "/%61pi/v1/models",
        "//api/v1/models",
        "/x/api/v1/models",
        "/docs/app-attribution?x=/api/v1/",
    ],
)
@reaches_no_upstream
async def test_everything_else_is_ours(through: Through, target: str) -> None:
    """Promise 6: any other path is our 404, which names the right base URLs; nothing is sent to U."""
    client, upstream, _ = await through()
    response = await client.ask(get(target=target))
    assert (response.status, response.values("x-proxy-error")) == (404, [b"unknown-path"])
    assert b"/api/v1" in response.body
    assert b"/api " in response.body
    assert not upstream.connections


async def test_a_target_that_is_no_path(through: Through) -> None:
    """Promise 6: `OPTIONS *` is about a server as a whole: ours, so it is answered here and not forwarded."""
    client, upstream, _ = await through()
    assert (await client.ask(message("OPTIONS * HTTP/1.1", "Host: localhost"))).status == 204
    assert not upstream.connections


@pytest.mark.parametrize("target", ["http://localhost/api/v1/models?x", "HTTP://192.0.2.1:81/api/v1/models?x"])
async def test_the_host_contacted_is_the_configured_one(through: Through, target: str) -> None:
    """Promise 6: a target with a host (RFC 9112, 3.2.2) still goes to the configured upstream, as a plain path."""
    client, upstream, _ = await through()
    assert (await client.ask(get(target=target))).status == 200
    [request] = upstream.requests
    assert (request.target, request.values("host")) == (b"/api/v1/models?x", [upstream.authority])
