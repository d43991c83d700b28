"""Promise 24: without a key of its own the proxy is as open as OpenRouter itself, but to pages of the web."""

import httpx2 as httpx
import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, StartProxy, Through
from tests.support.http1 import message
from tests.support.secrets import KEY, OWN_KEY, PLACEHOLDER
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


class Answering(httpx.AsyncBaseTransport):
    """Stands for openrouter.ai, and keeps what it got."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, headers=[(b"Content-Length", b"2")], stream=httpx.ByteStream(b"ok"))


THEIRS = ["sk-ant-oat01-CANARY", "sk-ant-api03-CANARY", "sk-proj-CANARY", "sk-svcacct-CANARY", "gsk_CANARY"]


@pytest.mark.parametrize("target", ["/api/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("name", ["Authorization: Bearer", "x-api-key:", "X_Api_Key:"])
@pytest.mark.parametrize("key", THEIRS)
async def test_another_companys_key(proxy_for: StartProxy, connect: Connect, name: str, key: str, target: str) -> None:
    """Promise 24: a key that is certainly another company's does not pass to OpenRouter; the 401 says which to give."""
    openrouter = Answering()
    client = await connect(await proxy_for("https://openrouter.ai", openrouter))
    response = await client.ask(post(f"{name} {key}", target=target))
    assert (response.status, response.values("x-proxy-error")) == (401, [b"foreign-key"])
    assert b"sk-or-" in response.body
    assert b"CANARY" not in response.head + response.body
    assert not openrouter.requests


@pytest.mark.parametrize("key", [OWN_KEY, PLACEHOLDER, "sk-anything", "not-sk-ant-0"])
async def test_any_other_is_openrouters_business(proxy_for: StartProxy, connect: Connect, key: str) -> None:
    """Promise 24: what may be a key of OpenRouter passes."""
    openrouter = Answering()
    client = await connect(await proxy_for("https://openrouter.ai", openrouter))
    assert (await client.ask(post(f"Authorization: Bearer {key}"))).status == 200
    assert openrouter.requests[0].headers["authorization"] == f"Bearer {key}"


async def test_another_upstream_knows_its_keys_itself(through: Through) -> None:
    """Promise 24: a gateway that is the upstream may well take them."""
    client, *_ = await through()
    assert (await client.ask(post(f"Authorization: Bearer {THEIRS[0]}"))).status == 200


PREFLIGHT = [
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: authorization,content-type",
    "Access-Control-Request-Private-Network: true",
    "Sec-Fetch-Mode: cors",
]
SHARED = ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: authorization", "Timing-Allow-Origin: *"]
HERE = [
    *("http://localhost", "http://localhost:3000", "https://localhost:8443", "http://app.localhost:1234"),
    *("http://127.0.0.1:5173", "http://127.1:80", "http://[::1]:3000", "HTTP://LOCALHOST:3000"),
    *("chrome-extension://abcdefgh", "vscode-webview://1a2b", "app://obsidian.md", "tauri://localhost", "file://"),
]
FOREIGN = [
    *("https://evil.example", "http://evil.example:3000", "null", "", "https://localhost.evil.example"),
    *("http://127.0.0.1.evil.example", "https://user@localhost", "http://192.168.1.20", "localhost", "https://"),
    *("http://localhost/path", "http://localhost, https://evil.example", "http://localhost:3000:1"),
]


@pytest.mark.parametrize("origin", HERE)
async def test_preflights_are_the_upstreams_business(through: Through, origin: str) -> None:
    """Promise 24: OPTIONS of a page of this machine, an app or an extension goes to U, as do its CORS headers back."""
    client, upstream, _ = await through(reply(message("HTTP/1.1 204 No Content", *SHARED)))
    lines = [f"Origin: {origin}", "Sec-Fetch-Site: cross-site", *PREFLIGHT]
    await client.send(get(*lines, method="OPTIONS", target="/api/v1/chat/completions"))
    response = await client.answer(b"OPTIONS")
    assert response.status == 204
    for line in SHARED:
        name, _, value = line.partition(": ")
        assert response.values(name) == [value.encode()]
    assert upstream.requests[0].method == b"OPTIONS"
    assert upstream.requests[0].values("access-control-request-method") == [b"POST"]


@pytest.mark.parametrize("origin", HERE)
async def test_a_page_of_this_machine_works(through: Through, origin: str) -> None:
    """Promise 24: a page of this machine, an app or an extension works with its user's key; U shares its answer."""
    answer = message("HTTP/1.1 200 OK", *SHARED, "Content-Length: 2", body=b"ok")
    client, upstream, _ = await through(reply(answer))
    lines = [f"Origin: {origin}", "Sec-Fetch-Site: cross-site", f"Authorization: Bearer {OWN_KEY}"]
    response = await client.ask(post(*lines, "Content-Type: application/json"))
    assert (response.status, response.values("access-control-allow-origin")) == (200, [b"*"])
    assert not response.values("cross-origin-resource-policy")
    assert upstream.requests[0].values("origin") == [origin.encode()]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_the_web(through: Through, origin: str, method: str) -> None:
    """Promise 24: a page of the web is 403, whatever it brings, and may read which setting would let it in."""
    client, upstream, _ = await through()
    await client.send(get(f"Origin: {origin}", f"Authorization: Bearer {OWN_KEY}", method=method))
    response = await client.answer(method.encode())
    assert (response.status, response.values("x-proxy-error")) == (403, [b"cross-origin"])
    assert b"OPENROUTER_ALLOWED_ORIGINS" in response.body
    assert response.values("access-control-allow-origin") == [origin.encode()]
    assert response.values("vary") == [b"Origin"]
    assert not upstream.connections


@pytest.mark.parametrize(
    "lines",
    [["Sec-Fetch-Site: cross-site"], ["Origin: http://localhost", "Origin: http://localhost"]],
)
async def test_what_says_no_origin(through: Through, lines: list[str]) -> None:
    """Promise 24: an image or a script that a page of another site asks for has no Origin, and is 403 as well."""
    client, upstream, _ = await through()
    assert (await client.ask(get(*lines))).values("x-proxy-error") == [b"cross-origin"]
    assert not upstream.connections


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        ("https://chat.example", "https://chat.example", 200),
        ("https://chat.example", "https://other.example", 403),
        ("*", "https://other.example", 200),
        ("*", "null", 200),
    ],
)
async def test_allowed(through: Through, allowed: str, origin: str, status: int) -> None:
    """Promise 24: OPENROUTER_ALLOWED_ORIGINS lets in whom it names, or all."""
    client, *_ = await through(allowed_origins=allowed)
    assert (await client.ask(get(f"Origin: {origin}", "Sec-Fetch-Site: cross-site"))).status == status


async def test_our_own_origin(through: Through) -> None:
    """Promise 24: a page that a server before us serves under our own name is no foreign one."""
    client, *_ = await through(allowed_hosts="llm.example")
    lines = ["GET /api/v1/models HTTP/1.1", "Host: llm.example", "Sec-Fetch-Site: same-origin"]
    assert (await client.ask(message(*lines, "Origin: https://llm.example"))).status == 200
    assert (await client.ask(message(*lines, "Origin: https://other.example"))).status == 403


@pytest.mark.parametrize(
    ("request_", "slug"),
    [
        (get("Origin: http://localhost:3000", target="/chat/completions"), b"unknown-path"),
        (get("Origin: app://obsidian.md", target="/api/v1/../x"), b"bad-target"),
    ],
)
async def test_our_own_errors_are_readable(through: Through, request_: bytes, slug: bytes) -> None:
    """Promise 24: an error of ours can be read by the page that has met it: its text is the help."""
    client, *_ = await through()
    response = await client.ask(request_)
    assert response.values("x-proxy-error") == [slug]
    assert len(response.values("access-control-allow-origin")) == 1


@pytest.mark.parametrize(
    ("origin", "target"),
    [("http://localhost:3000", "/chat/completions"), ("https://evil.example", "/api/v1/chat/completions")],
)
async def test_and_so_are_those_behind_a_preflight(through: Through, origin: str, target: str) -> None:
    """Promise 24: a page that asks first is let through to the error, which it could not read otherwise."""
    client, upstream, _ = await through()
    await client.send(get(f"Origin: {origin}", *PREFLIGHT, method="OPTIONS", target=target))
    response = await client.answer(b"OPTIONS")
    assert response.status == 200
    assert response.values("access-control-allow-origin") == [origin.encode()]
    assert response.values("access-control-allow-headers") == [b"authorization,content-type"]
    assert response.values("access-control-allow-private-network") == [b"true"]
    assert not upstream.connections


async def test_where_somebody_pays_a_foreign_page_reads_nothing(through: Through) -> None:
    """Promise 25: that holds for allowed pages only, where the proxy has a key; their errors are readable too."""
    client, *_ = await through(api_key=KEY, allowed_origins="https://chat.example")
    for origin, readers in (("https://chat.example", 1), ("https://evil.example", 0)):
        response = await client.ask(get(f"Origin: {origin}", target="/nowhere"))
        assert len(response.values("access-control-allow-origin")) == readers


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
