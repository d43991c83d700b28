"""Promise 38: whatever makes others pay is a key, and extra headers may hold one: of a gateway, say."""

import json
from typing import Any

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.secrets import OWN_KEY, TOKEN
from tests.support.upstream import reply

GATEWAY = "CANARY-of-a-gateway"
PAID: dict[str, Any] = {"extra_headers": json.dumps({"cf-aig-authorization": f"Bearer {GATEWAY}"})}
JSON = "Content-Type: application/json"


async def test_they_travel_for_programs(through: Through) -> None:
    """Promise 38: a program gets them put onto its request, beside whatever key it brings."""
    client, upstream, _ = await through(**PAID)
    assert (await client.ask(post(JSON, f"Authorization: Bearer {OWN_KEY}"))).status == 200
    [request] = upstream.requests
    assert request.values("cf-aig-authorization") == [f"Bearer {GATEWAY}".encode()]
    assert request.values("authorization") == [f"Bearer {OWN_KEY}".encode()]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "line",
    ["Origin: https://evil.example", "Origin: null", "Origin: http://localhost:3000", "Sec-Fetch-Site: cross-site"],
)
async def test_foreign_pages(through: Through, line: str, method: str) -> None:
    """Promise 38: pages are refused as where a key is configured, local ones too."""
    client, upstream, _ = await through(**PAID)
    await client.send(get(line, method=method))
    response = await client.answer(method.encode())
    assert (response.status, response.values("x-proxy-error")) == (403, [b"cross-origin"])
    assert not upstream.connections


async def test_management_and_forms(through: Through) -> None:
    """Promise 38: account paths and form bodies are refused."""
    client, upstream, _ = await through(**PAID)
    assert (await client.ask(get(target="/api/v1/keys"))).values("x-proxy-error") == [b"management-closed"]
    assert (await client.ask(post("Content-Type: text/plain"))).values("x-proxy-error") == [b"form-body"]
    assert not upstream.connections


async def test_answers_are_ours_to_share(through: Through) -> None:
    """Promise 38: U does not say who may read what somebody else pays for."""
    theirs = message("HTTP/1.1 200 OK", "Access-Control-Allow-Origin: *", "Content-Length: 0")
    client, *_ = await through(reply(theirs), **PAID)
    response = await client.ask(post(JSON))
    assert not response.values("access-control-allow-origin")
    assert response.values("cross-origin-resource-policy") == [b"same-origin"]


async def test_a_token_can_guard_them(through: Through) -> None:
    """Promise 38: a token guards them without any key, and does not travel; the caller's own key does."""
    client, upstream, _ = await through(access_token=TOKEN, **PAID)
    assert (await client.ask(post(JSON))).values("x-proxy-error") == [b"access-token-required"]
    assert (await client.ask(post(JSON, f"x-api-key: {TOKEN}", f"Authorization: Bearer {OWN_KEY}"))).status == 200
    [request] = upstream.requests
    assert not request.values("x-api-key")
    assert request.values("authorization") == [f"Bearer {OWN_KEY}".encode()]
    assert request.values("cf-aig-authorization") == [f"Bearer {GATEWAY}".encode()]


@pytest.mark.parametrize("target", [f"/nowhere/{GATEWAY}", f"/nowhere/Bearer%20{GATEWAY}", f"/{GATEWAY}%2500"])
async def test_they_are_secrets(through: Through, target: str) -> None:
    """Promise 38: a log line does not show their values, wherever they come from."""
    client, _, proxy = await through(**PAID)
    await client.ask(get(target=target))
    assert (await proxy.record()).path == "(hidden)"
