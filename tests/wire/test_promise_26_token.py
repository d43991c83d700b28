"""Promise 26: a configured token must be presented, and never travels on."""

import hmac
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest

from proxy.middleware import credentials
from tests.support.client import get, post
from tests.support.fixtures import Through
from tests.support.marks import reaches_no_upstream
from tests.support.proxies import spawned
from tests.support.secrets import BEARER_KEY, KEY, OWN_KEY, PLACEHOLDER, TOKEN

GUARDED = {"api_key": KEY, "access_token": TOKEN}


def basic(text: str, *, urlsafe: bool = False) -> str:
    return (urlsafe_b64encode if urlsafe else b64encode)(text.encode()).decode()


@pytest.mark.parametrize(
    "lines",
    [
        [f"Authorization: Bearer {TOKEN}"],
        [f"authorization: bearer {TOKEN}"],
        [f"Authorization: {TOKEN}"],
        [f"x-api-key: {TOKEN}"],
        [f"X-API-KEY: {TOKEN}", f"Authorization: Bearer {PLACEHOLDER}"],
        [f"X_Api_Key: {TOKEN}"],
        [f"Authorization: Bearer {TOKEN}", f"x-api-key: {TOKEN}", f"Authorization: Bearer {TOKEN}"],
        [f"Authorization: Bearer {TOKEN}", f"api-key: {TOKEN}", f"X-Token: Bearer {TOKEN}"],
    ],
)
async def test_presented(through: Through, lines: list[str]) -> None:
    """Promise 26: presented in either header it opens, and no line with it leaves."""
    client, upstream, _ = await through(**GUARDED)
    assert (await client.ask(post(*lines))).status == 200
    [request] = upstream.requests
    assert request.values("authorization") == BEARER_KEY
    assert TOKEN.encode() not in request.head
    assert PLACEHOLDER.encode() not in request.head


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [f"Authorization: Bearer {TOKEN}x"],
        [f"Authorization: Bearer {TOKEN[:-1]}"],
        [f"Authorization: Bearer {TOKEN.lower()}"],
        [f"Authorization: Basic {TOKEN}"],
        [f"Authorization: Bearer {TOKEN}, Bearer {TOKEN}"],
        ["Authorization: Bearer"],
        ["Authorization:", "x-api-key:"],
        [f"Authorization: Bearer {KEY}"],
        [f"Authorization: Bearer {OWN_KEY}"],
        [f"Proxy-Authorization: Bearer {TOKEN}"],
        [f"Cookie: {TOKEN}"],
        [f"Authorization: Bearer {TOKEN}", "Connection: authorization"],
        ["Authorization: Bearer \xff\xfe"],
    ],
)
@reaches_no_upstream
async def test_not_presented(through: Through, lines: list[str]) -> None:
    """Promise 26: anything else is 401, also a key, and reaches nobody."""
    client, upstream, _ = await through(**GUARDED)
    response = await client.ask(post(*lines))
    assert (response.status, response.values("x-proxy-error")) == (401, [b"access-token-required"])
    assert response.values("www-authenticate") == [b"Bearer"]
    assert TOKEN.encode() not in response.body
    assert not upstream.connections


async def test_the_url_is_no_place_for_it(through: Through) -> None:
    """Promise 26: a token in the URL is not taken for one, and does not leave beside a presented one."""
    client, upstream, _ = await through(**GUARDED)
    for target in (
        *(f"/api/v1/models?a=b&api_key={TOKEN}&c", f"/api/v1/{TOKEN}/models", f"/v1/%43{TOKEN[1:]}"),
        *(f"/api/v1/models?{TOKEN}", f"/api/v1/models?auth=Bearer%20{TOKEN}", f"/api/v1/models/{TOKEN}:free"),
        *(f"/api/v1/models/a%252F%2543{TOKEN[1:]}", f"/api/v1/models?%2525{TOKEN}", "/v1/models?%" + "25" * 40 + "41"),
    ):
        assert (await client.ask(get(target=target))).status == 401
        assert (await client.ask(get(f"x-api-key: {TOKEN}", target=target))).status == 400
    assert not upstream.connections


@pytest.mark.parametrize(
    "line",
    [
        *(f"X-Auth: Token {TOKEN}", f"Referer: https://app.example/?token={TOKEN}", f"X-Any: a{TOKEN}b"),
        *(f"Authorization: Basic {basic(f'user:{TOKEN}')}", f"X-Auth: basic  {basic(TOKEN + ':')}"),
        *(f"X-Auth: Basic {basic('??>>' + TOKEN, urlsafe=True)}", f"X-Auth: Basic {basic(TOKEN).rstrip('=')}a"),
        *(f"HTTP-Referer: https://{TOKEN}", f"X-API-Key: {TOKEN}, {TOKEN}", f"x-title: {TOKEN} {TOKEN}"),
    ],
)
async def test_no_other_header_is_a_place_for_it(through: Through, line: str) -> None:
    """Promise 26: beside a presented token, one that stands within another header's value is 400, in Basic as well."""
    client, upstream, _ = await through(**GUARDED)
    response = await client.ask(get(f"Authorization: Bearer {TOKEN}", line))
    assert (response.status, response.values("x-proxy-error")) == (400, [b"unclear-credentials"])
    assert not upstream.connections


async def test_other_peoples_passwords_pass(through: Through) -> None:
    """Promise 26: what is no token is nobody's business, well-formed or not."""
    client, upstream, _ = await through(**GUARDED)
    lines = [f"X-Auth: Basic {basic('user:password')}", "X-Other: Basic a", "X-More: Basic ====", "X-Last: Basic"]
    assert (await client.ask(get(f"Authorization: Bearer {TOKEN}", *lines))).status == 200
    assert upstream.requests[0].values("x-other") == [b"Basic a"]


async def test_with_a_key_of_ones_own(through: Through) -> None:
    """Promise 26: who presents the token in one header may bring a key in the other."""
    client, upstream, _ = await through(**GUARDED)
    assert (await client.ask(post(f"x-api-key: {TOKEN}", f"Authorization: Bearer {OWN_KEY}"))).status == 200
    [request] = upstream.requests
    assert request.values("authorization") == [f"Bearer {OWN_KEY}".encode()]
    assert not request.values("x-api-key")


async def test_health_needs_no_token(through: Through) -> None:
    """Promise 26: an orchestrator's probes have none."""
    client, *_ = await through(**GUARDED)
    for target in ("/healthz", "/readyz"):
        assert (await client.ask(get(target=target))).status == 200


async def test_all_lines_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 26: every credential is compared as bytes by `hmac.compare_digest`, the right one or not."""
    compared: list[bytes] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(credentials, "compare_digest", compare)
    lines = [(b"x-api-key", TOKEN.encode()), (b"authorization", b"Bearer a"), (b"x_api-key", b"\xff")]
    credentials.with_credentials(lines, KEY.encode(), TOKEN.encode())
    assert compared == [TOKEN.encode(), b"a", b"\xff"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"access_token": TOKEN}, "OPENROUTER_ACCESS_TOKEN is set without OPENROUTER_API_KEY"),
        ({"access_token": KEY, "api_key": KEY}, "OPENROUTER_ACCESS_TOKEN is the same as OPENROUTER_API_KEY"),
        ({"access_token": OWN_KEY, "api_key": KEY}, "OPENROUTER_ACCESS_TOKEN looks like an OpenRouter key"),
    ],
)
async def test_configuration_errors(tmp_path: Path, settings: dict[str, str], fault: str) -> None:
    """Promise 26: a token without a key, or one that is a key, does not start; one line says why, without either."""
    async with spawned("serve", cwd=tmp_path, **settings) as child:
        assert await child.exit_code() == 2
    [line] = child.stderr.splitlines()
    assert fault in line
    assert "CANARY" not in child.stderr + child.stdout
