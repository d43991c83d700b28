"""Promise 25: a configured key travels for those who bring none, and for no web page that was not invited."""

import pytest

from tests.support.client import get, post, post_chunked
from tests.support.fixtures import Through
from tests.support.http1 import chunk, message
from tests.support.marks import reaches_no_upstream
from tests.support.proxies import STAMP
from tests.support.secrets import BEARER_KEY, KEY, OWN_KEY, PLACEHOLDER
from tests.support.upstream import OK, reply

JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [f"Authorization: Bearer {PLACEHOLDER}"],
        [f"x-api-key: {PLACEHOLDER}"],
        [f"X-API-KEY: {PLACEHOLDER}", f"X_Api_Key: {PLACEHOLDER}", f"x-api-key: {PLACEHOLDER}"],
        [f"AUTHORIZATION: Bearer {PLACEHOLDER}", f"authorization: {PLACEHOLDER}"],
        [f"Authorization: Basic {PLACEHOLDER}"],
        ["Authorization:", "x-api-key:"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer sk-proj-of-openai", "x-api-key: sk-ant-of-anthropic"],
        [f"Authorization: Bearer {KEY}", f"x-api-key: {PLACEHOLDER}"],
    ],
)
async def test_everyone_else_gets_the_configured_one(through: Through, lines: list[str]) -> None:
    """Promise 25: exactly one credential leaves, ours; placeholders do not."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(post(*lines, JSON))).status == 200
    [request] = upstream.requests
    assert request.values("authorization") == BEARER_KEY
    assert not request.values("x-api-key")
    assert not request.values("x_api_key")
    assert PLACEHOLDER.encode() not in request.head
    assert request.headers[-len(STAMP) :] == STAMP


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        ([f"Authorization: Bearer {OWN_KEY}"], "authorization", f"Bearer {OWN_KEY}"),
        ([f"authorization: bearer   {OWN_KEY}"], "authorization", f"bearer   {OWN_KEY}"),
        ([f"x-api-key: {OWN_KEY}"], "x-api-key", OWN_KEY),
        ([f"X_API_KEY: {OWN_KEY}"], "x-api-key", OWN_KEY),
        ([f"Authorization: Bearer {PLACEHOLDER}", f"x-api-key: {OWN_KEY}"], "x-api-key", OWN_KEY),
        ([f"x-api-key: {PLACEHOLDER}", f"Authorization: Bearer {OWN_KEY}"], "authorization", f"Bearer {OWN_KEY}"),
        ([f"x-api-key: {OWN_KEY}", f"Authorization: Bearer {OWN_KEY}"], "x-api-key", OWN_KEY),
        ([f"Authorization: Bearer {OWN_KEY}"] * 2, "authorization", f"Bearer {OWN_KEY}"),
    ],
)
async def test_a_client_keeps_its_own_key(through: Through, lines: list[str], name: str, value: str) -> None:
    """Promise 25: a client's own OpenRouter key is the one credential that leaves."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(post(*lines, JSON))).status == 200
    credentials = [line for line in upstream.requests[0].fields if line[0] in (b"authorization", b"x-api-key")]
    assert credentials == [(name.encode(), value.encode())]
    assert KEY.encode() not in upstream.requests[0].head


@pytest.mark.parametrize(
    "lines",
    [
        [f"Authorization: Bearer {OWN_KEY}", "x-api-key: sk-or-v1-another"],
        [f"Authorization: Bearer {OWN_KEY}", "Authorization: Bearer sk-or-v1-another"],
        [f"Authorization: Bearer {OWN_KEY}, Bearer sk-or-v1-another"],
        [f"Authorization: Bearer Bearer {OWN_KEY}"],
        [f"Authorization: Basic {OWN_KEY}"],
        [f"x-api-key: key={OWN_KEY}"],
        ["x-api-key: sk-or-"],
    ],
)
@reaches_no_upstream
async def test_contradictions_are_not_guessed_at(through: Through, lines: list[str]) -> None:
    """Promise 25: two keys, or one that cannot be read for certain, are refused; ours is not spent instead."""
    client, upstream, _ = await through(api_key=KEY)
    response = await client.ask(post(*lines, JSON))
    assert (response.status, response.values("x-proxy-error")) == (400, [b"unclear-credentials"])
    assert not upstream.connections


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: authorization"],
        pytest.param(
            ["Connection: close, Authorization, x-api-key"],
            marks=pytest.mark.not_by_token("a client that names its credential as of this hop has not presented it"),
        ),
    ],
)
async def test_nothing_removes_the_key(through: Through, lines: list[str]) -> None:
    """Promise 25: a client cannot make the key a hop-by-hop header."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(post(*lines, JSON))).status == 200
    assert upstream.requests[0].values("authorization") == BEARER_KEY


async def test_trailers_bring_no_key(through: Through) -> None:
    """Promise 25: what comes behind the body counts for nothing."""
    client, upstream, _ = await through(api_key=KEY)
    body = b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + OWN_KEY.encode() + b"\r\nOrigin: null\r\n\r\n"
    head = message("POST /api/v1/responses HTTP/1.1", "Host: localhost", JSON, "Transfer-Encoding: chunked", body=body)
    assert (await client.ask(head)).status == 200
    assert upstream.requests[0].values("authorization") == BEARER_KEY


MOVING = [
    *("X-Original-URL: /api/v1/keys", "X-Rewrite-URL: /api/v1/keys", "X-Override-URL: /", "X-Original-URI: /"),
    *("X-HTTP-Method-Override: DELETE", "X-HTTP-Method: PUT", "X-Method-Override: PUT", "x_http_method_override: PUT"),
    *("x-middleware-subrequest: src/middleware", "X-Middleware-Rewrite: /", "X-Matched-Path: /", "X-Invoke-Path: /"),
]


async def test_what_moves_a_request_stays_here(through: Through) -> None:
    """Promise 25: what a framework takes for another path or method does not travel with our key."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(post("X-Before: 1", *MOVING, JSON))).status == 200
    names = {name.replace(b"_", b"-") for name, _ in upstream.requests[0].fields}
    assert b"x-before" in names
    assert not names & {line.partition(":")[0].lower().replace("_", "-").encode() for line in MOVING}


@pytest.mark.not_by_token("it is about a proxy without a key, and only a key has a token")
async def test_without_our_key_they_are_the_callers_business(through: Through) -> None:
    """Promise 4: where no key of ours is spent, they cross like any other header."""
    client, upstream, _ = await through()
    assert (await client.ask(post(*MOVING[:1]))).status == 200
    assert upstream.requests[0].values("x-original-url") == [b"/api/v1/keys"]


FOREIGN = [
    ["Origin: https://evil.example"],
    ["Origin: null"],
    ["origin: http://localhost:3000"],
    ["Origin: http://localhost"],
    ["Origin:"],
    ["Origin: https://chat.example", "Origin: https://evil.example"],
    ["Origin: https://chat.example, https://evil.example"],
    ["Origin: https://chat.example.evil.example"],
    ["Origin: https://chat.example:8443"],
    ["Origin: http://chat.example"],
    ["Origin: HTTPS://CHAT.EXAMPLE"],
    ["Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: Cross-Site", "Sec-Fetch-Mode: no-cors"],
    ["Sec-Fetch-Site: same-site"],
    ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("lines", FOREIGN)
@reaches_no_upstream
async def test_foreign_pages(through: Through, lines: list[str], method: str) -> None:
    """Promise 25: a foreign page is 403 for every method, learns nothing, and reaches nobody."""
    client, upstream, _ = await through(api_key=KEY, allowed_origins="https://chat.example")
    await client.send(get(*lines, f"Authorization: Bearer {OWN_KEY}", method=method))
    response = await client.answer(method.encode())
    assert (response.status, response.values("x-proxy-error")) == (403, [b"cross-origin"])
    assert not [name for name, _ in response.fields if name.startswith(b"access-control-")]
    assert response.values("cross-origin-resource-policy") == [b"same-origin"]
    assert response.values("x-content-type-options") == [b"nosniff"]
    assert response.values("connection") == [b"close"]  # a page could hold many
    assert await client.ended()
    assert not upstream.connections


@pytest.mark.parametrize(
    "lines",
    [
        ["Sec-Fetch-Mode: cors", "Accept-Language: *"],  # every client on Node
        ["Sec-Fetch-Site: none"],  # the address bar
        ["Sec-Fetch-Site: same-origin"],
        ["anthropic-dangerous-direct-browser-access: true"],
    ],
)
async def test_programs_are_no_pages(through: Through, lines: list[str]) -> None:
    """Promise 25: what only looks like a browser is served."""
    client, *_ = await through(api_key=KEY)
    assert (await client.ask(post(*lines, JSON))).status == 200


async def test_preflights_are_ours(through: Through) -> None:
    """Promise 25: a page of an allowed origin has its preflight answered here, without any credential."""
    client, upstream, _ = await through(api_key=KEY, allowed_origins="https://chat.example")
    lines = ["Origin: https://chat.example", "Sec-Fetch-Site: cross-site", "Access-Control-Request-Method: POST"]
    lines += [
        "Access-Control-Request-Headers: content-type,x-stainless-os",
        "Access-Control-Request-Private-Network: true",
    ]
    await client.send(get(*lines, method="OPTIONS", target="/api/v1/chat/completions"))
    response = await client.answer(b"OPTIONS")
    assert response.status == 200
    assert response.values("access-control-allow-origin") == [b"https://chat.example"]
    assert response.values("access-control-allow-headers") == [b"content-type,x-stainless-os"]
    assert b"POST" in response.values("access-control-allow-methods")[0]
    assert not response.values("access-control-allow-credentials")
    assert not upstream.connections


async def test_allowed_pages(through: Through) -> None:
    """Promise 25: a page of an allowed origin gets its answer, shared with it alone; U's CORS headers are dropped."""
    theirs = ["Access-Control-Allow-Origin: *", "access-control-expose-headers: X", "Timing-Allow-Origin: *"]
    answer = message(
        "HTTP/1.1 200 OK", *theirs, "Cross-Origin-Resource-Policy: cross-origin", "Content-Length: 2", body=b"ok"
    )
    client, upstream, _ = await through(reply(answer), api_key=KEY, allowed_origins="https://chat.example")
    response = await client.ask(post("Origin: https://chat.example", "Sec-Fetch-Site: cross-site", JSON))
    assert (response.status, bytes(response.body)) == (200, b"ok")
    assert response.values("access-control-allow-origin") == [b"https://chat.example"]
    assert response.values("access-control-expose-headers") == [b"*"]
    assert response.values("cross-origin-resource-policy") == [b"same-origin"]
    assert not response.values("timing-allow-origin")
    assert upstream.requests[0].values("authorization") == BEARER_KEY
    other = await client.ask(post(JSON))
    assert not [name for name, _ in other.fields if name.startswith((b"access-control-", b"timing-"))]


async def test_allowed_pages_can_read_a_refusal(through: Through) -> None:
    """Promise 25: what goes wrong behind the guard is told to an allowed page."""
    client, *_ = await through(api_key=KEY, access_token="t" * 20, allowed_origins="https://chat.example")
    response = await client.ask(post("Origin: https://chat.example", JSON))
    assert response.status == 401
    assert response.values("access-control-allow-origin") == [b"https://chat.example"]


FORMS = [
    "text/plain",
    "TEXT/PLAIN;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
]
FORMS += [" text/plain ; x=application/json"]


@pytest.mark.parametrize("target", ["/api/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("kind", FORMS)
@reaches_no_upstream
async def test_forms(through: Through, kind: str, target: str) -> None:
    """Promise 25: a body of a type that pages may send unasked is refused."""
    client, upstream, _ = await through(api_key=KEY)
    response = await client.ask(post(f"Content-Type: {kind}", target=target))
    assert (response.status, response.values("x-proxy-error")) == (415, [b"form-body"])
    assert not upstream.connections


async def test_one_of_two_types_is_enough(through: Through) -> None:
    """Promise 25: of two Content-Types, both must be harmless."""
    client, *_ = await through(api_key=KEY)
    assert (await client.ask(post(JSON, "Content-Type: text/plain"))).status == 415


@pytest.mark.parametrize("target", ["/api/v1/files", "/v1/audio/transcriptions"])
async def test_uploads(through: Through, target: str) -> None:
    """Promise 25: the API's own uploads are multipart, and pass."""
    client, *_ = await through(api_key=KEY)
    assert (await client.ask(post("Content-Type: multipart/form-data; boundary=b", target=target))).status == 200
    assert (await client.ask(post("Content-Type: text/plain", target=target))).status == 415


MANAGEMENT = [
    "/api/v1/keys",
    "/api/v1/keys/",
    "/api/v1/keys/abc",
    "/v1/keys",
    "/api/alpha/keys",
    "/api/beta/keys",
    "/api/v1/keys?x=1",
    "/api/v1/auth/keys",
    "/api/v1/auth/keys/code",
    "/api/v1/workspaces/1/budgets/monthly",
    "/api/v1/byok",
    "/api/v1/guardrails/assignments/keys",
    "/api/v1/scim/groups",
    "/api/v1/organization/members",
    "/api/v1/observability/destinations",
    "/api/v1/credits/coinbase",
    # Other spellings.
    "/api/v1/%6beys",
    "/api/v1/%6Beys",
    "/api/v1/%6b%65%79%73",
    "/api/v1/%256beys",
    "/api/v1/%25256beys",
    "/api/v1/KEYS",
    "/api/v1/%4BEYS",
    "/api/v1//keys",
    "/api/v1/%2fkeys",
    "/api/v1/%2F%2Fkeys",
    "/api/v1/%5ckeys",
    "/api/v1/\\keys",
    "/api/v1/keys%2fabc",
    "/api/v1/keys%00",
    "/api/v1/keys%20",
    "/api/v1/keys;x=1",
    "/api/v1/keys.json",
    "/api/v1/;x/keys",
    "/api/v1/auth%2fkeys",
    "/api/v1/auth;x=1/keys",
    "/api/v1/auth//keys",
    "/api/v1/auth/%00keys",
    "/api/v1/auth/%20keys",
    "/api/v1/credits;x/coinbase",
    "/api/v1/credits%2Fcoinbase",
    "/api/v1/x/%252e%252e/keys",
    "/api/v1/%c1%abeys",
    "/api/v1/%ef%bd%8beys",
    "/api/v1/%00keys",
    "/api/v1/%20keys",
    "/api/v1/%" + "25" * 20 + "6beys",
    "http://localhost/api/v1/keys",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", MANAGEMENT)
@reaches_no_upstream
async def test_management_is_closed(through: Through, target: str, method: str) -> None:
    """Promise 25: the account's management is closed, in whatever spelling, also to a caller's own key."""
    client, upstream, _ = await through(api_key=KEY)
    for lines in ([], [f"Authorization: Bearer {OWN_KEY}"]):
        response = await client.ask(get(*lines, target=target, method=method))
        assert response.status == 403
        assert response.values("x-proxy-error") == [b"management-closed"]
    assert not upstream.connections


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/key",
        "/api/v1/credits",
        "/api/v1/models/keys/endpoints",
        "/api/v1/models/~a%2Fb%20c:free/endpoints",
        "/api/v1/presets/keys",
        "/api/v1/auth",
        "/api/v1/new/%C3%A4",
        "/v1/model/author/slug%00",
    ],
)
async def test_the_rest_is_open(through: Through, target: str) -> None:
    """Promise 25: what only looks like management is forwarded byte for byte."""
    client, upstream, _ = await through(api_key=KEY)
    assert (await client.ask(get(target=target))).status == 200
    assert upstream.requests[0].target == target.encode().replace(b"/v1/model/", b"/api/v1/model/", target[1] == "v")


WRITES = [
    *("POST /api/v1/members", "POST /v1/users", "PUT /api/v1/budgets/x", "PATCH /api/v1/key", "POST /api/v1/credits"),
    *("DELETE /api/v1/generation", "POST /api/v1/models", "POST /api/v1/chat/completions/x", "PUT /api/v1/responses"),
    *("POST /api/v1/CHAT/completions", "POST /api/v1//chat/completions", "POST /api/v1/chat%2Fcompletions"),
    *("POST /api/v1/presets/a/b/messages", "PURGE /api/v1/models", "DELETE /api/v1/files/a/b"),
]


@pytest.mark.parametrize("line", WRITES)
async def test_unknown_writes_are_closed(through: Through, line: str) -> None:
    """Promise 25: what writes, and is no endpoint that is known to use the account only, is 403."""
    client, upstream, _ = await through(api_key=KEY)
    method, target = line.split()
    response = await client.ask(get(target=target, method=method))
    assert (response.status, response.values("x-proxy-error")) == (403, [b"management-closed"])
    assert not upstream.connections


@pytest.mark.parametrize(
    "line",
    [
        *("POST /v1/completions", "POST /api/v1/messages/count_tokens?beta=true", "POST /api/v1/chat/completions/"),
        *("POST /api/v1/presets/my%20own/messages", "DELETE /api/v1/files/abc", "POST /api/beta/responses"),
    ],
)
async def test_known_writes_are_open(through: Through, line: str) -> None:
    """Promise 25: what uses the account is forwarded, with a slash behind it as well."""
    client, *_ = await through(api_key=KEY)
    method, target = line.split()
    assert (await client.ask(get(target=target, method=method))).status == 200


async def test_unknown_writes_opened_by_name(through: Through) -> None:
    """Promise 25: a path that a later OpenRouter brings is opened by its own name, with all below it."""
    client, *_ = await through(api_key=KEY, allow_management="keys,/new/Things")
    for target in ("/api/v1/new/things", "/v1/new/things/1", "/api/v1/keys/a/later/one"):
        assert (await client.ask(get(target=target, method="POST"))).status == 200
    for target in ("/api/v1/new", "/api/v1/new/thingsy", "/api/v1/other"):
        assert (await client.ask(get(target=target, method="POST"))).status == 403


async def test_management_opened_by_name(through: Through) -> None:
    """Promise 25: OPENROUTER_ALLOW_MANAGEMENT opens what it names, and nothing else."""
    client, upstream, _ = await through(reply(OK), api_key=KEY, allow_management="keys,auth/keys, credits")
    for target in ("/api/v1/keys", "/api/v1/auth/keys", "/api/v1/credits/coinbase"):
        assert (await client.ask(get(target=target))).status == 200
    assert (await client.ask(get(target="/api/v1/workspaces"))).status == 403
    assert [request.values("authorization") for request in upstream.requests] == [BEARER_KEY] * 3


@pytest.mark.parametrize("target", ["/healthz", "/nowhere", "/api/v1/models", "/api/v1/keys"])
@reaches_no_upstream
async def test_no_answer_can_be_embedded(through: Through, target: str) -> None:
    """Promise 25: no answer, ours or U's, may be embedded by a page or taken for a script."""
    client, *_ = await through(
        reply(message("HTTP/1.1 200 OK", "X-Content-Type-Options: x", "Content-Length: 0")), api_key=KEY
    )
    response = await client.ask(get(target=target))
    assert response.values("cross-origin-resource-policy") == [b"same-origin"]
    assert response.values("x-content-type-options") == [b"nosniff"]


OUR_OWN = {
    "no head": b"no HTTP at all\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no Host": b"GET /api/v1/models HTTP/1.1\r\n\r\n",
    "a head too large": get("X-A: " + "x" * 70_000),
    "a bad chunk": post_chunked(body=chunk(b"{}") + b"no size\r\n"),
}


@pytest.mark.parametrize("request_", OUR_OWN.values(), ids=OUR_OWN)
@reaches_no_upstream
async def test_what_the_server_answers_by_itself_cannot_be_embedded_either(through: Through, request_: bytes) -> None:
    """Promise 25: so are the refusals that no request comes of, or that come in the middle of one."""
    client, *_ = await through(api_key=KEY)
    client.write(request_)
    response = await client.answer()
    assert response.status in (400, 431)
    assert response.values("cross-origin-resource-policy") == [b"same-origin"]
    assert response.values("x-content-type-options") == [b"nosniff"]
