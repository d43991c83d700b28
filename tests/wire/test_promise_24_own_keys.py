"""Promise 24: without a key of its own the proxy is as open as OpenRouter itself."""

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.secrets import OWN_KEY
from tests.support.upstream import reply

pytestmark = pytest.mark.not_by_token("it is about a proxy without a key, and only a key has a token")


@pytest.mark.parametrize(
    "lines",
    [
        [f"Authorization: Bearer {OWN_KEY}"],
        [f"x-api-key: {OWN_KEY}"],
        ["Authorization: Bearer placeholder"],
        ["Authorization: Basic dTpw", f"X-Api-Key: {OWN_KEY}", f"x_api_key: {OWN_KEY}"],
        ["Authorization:"],
    ],
)
async def test_credentials_cross_untouched(through: Through, lines: list[str]) -> None:
    """Promise 24: whatever the client sends as its key passes byte for byte, and nothing is added."""
    client, upstream, _ = await through()
    await client.ask(get(*lines))
    sent = [tuple(line.partition(":")[::2]) for line in lines]
    got = [(name, value) for name, value in upstream.requests[0].fields if b"key" in name or name == b"authorization"]
    assert got == [(name.lower().encode(), value.strip().encode()) for name, value in sent]


PREFLIGHT = [
    "Origin: https://chat.example",
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: authorization,content-type",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Mode: cors",
]
SHARED = ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: authorization", "Timing-Allow-Origin: *"]


async def test_preflights_are_the_upstreams_business(through: Through) -> None:
    """Promise 24: OPTIONS goes to U, and U's CORS headers come back."""
    client, upstream, _ = await through(reply(message("HTTP/1.1 204 No Content", *SHARED)))
    await client.send(get(*PREFLIGHT, method="OPTIONS", target="/api/v1/chat/completions"))
    response = await client.answer(b"OPTIONS")
    assert response.status == 204
    for line in SHARED:
        name, _, value = line.partition(": ")
        assert response.values(name) == [value.encode()]
    assert upstream.requests[0].method == b"OPTIONS"
    assert upstream.requests[0].values("access-control-request-method") == [b"POST"]


@pytest.mark.parametrize("origin", ["https://chat.example", "null", "http://localhost:3000"])
async def test_a_page_with_its_own_key_works(through: Through, origin: str) -> None:
    """Promise 24: a browser app that brings its user's key works from any origin."""
    answer = message("HTTP/1.1 200 OK", *SHARED, "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    lines = [f"Origin: {origin}", "Sec-Fetch-Site: cross-site", f"Authorization: Bearer {OWN_KEY}"]
    response = await client.ask(post(*lines, "Content-Type: application/json"))
    assert (response.status, response.values("access-control-allow-origin")) == (200, [b"*"])
    assert not response.values("cross-origin-resource-policy")
    assert upstream.requests[0].values("origin") == [origin.encode()]


@pytest.mark.parametrize("target", ["/api/v1/keys", "/api/v1/workspaces/1", "/api/v1/credits/coinbase"])
async def test_management_is_between_the_client_and_openrouter(through: Through, target: str) -> None:
    """Promise 24: a client that manages its account with its own key does so through the proxy as well."""
    client, upstream, _ = await through()
    assert (await client.ask(post(f"Authorization: Bearer {OWN_KEY}", target=target))).status == 200
    assert upstream.requests[0].target == target.encode()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
async def test_any_body_passes(through: Through, kind: str) -> None:
    """Promise 24: which bodies are right is U's business."""
    client, *_ = await through()
    assert (await client.ask(post(f"Content-Type: {kind}"))).status == 200
