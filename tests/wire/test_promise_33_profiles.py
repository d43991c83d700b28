"""Promise 33: a profile is a whole identity, chosen by the base URL or by its token, and by nothing else."""

import re
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import UnknownProfile, WrongProfile
from proxy.middleware.profile import Profiles
from proxy.settings.profiles import settings_with
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, StartProxy, Through
from tests.support.http1 import Response
from tests.support.secrets import KEY, OWN_KEY, TOKEN

KEY_A, KEY_B = "sk-or-v1-CANARY-of-team-a-0123456789", "sk-or-v1-CANARY-of-team-b-9876543210"
TOKEN_A, TOKEN_B = "CANARY-token-of-team-a-1a2b3c", "CANARY-token-of-team-b-4d5e6f"
DECOY = "sk-or-v1-CANARY-decoy-55555555"

OPEN: dict[str, dict[str, Any]] = {
    "team-a": {"http_referer": "https://a.test/", "app_title": "A"},
    "team-b": {"http_referer": "https://b.test/", "app_title": "B"},
}
KEYS: dict[str, dict[str, Any]] = {
    "team-a": {**OPEN["team-a"], "api_key": KEY_A},
    "team-b": {**OPEN["team-b"], "api_key": KEY_B},
}
TOKENS: dict[str, dict[str, Any]] = {
    "team-a": {**KEYS["team-a"], "access_token": TOKEN_A},
    "team-b": {**KEYS["team-b"], "access_token": TOKEN_B},
}
STAMPS = {"team-a": b"https://a.test/", "team-b": b"https://b.test/", "": b"https://app.example"}


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def slug(response: Response) -> bytes:
    [value] = response.values("x-proxy-error")
    return value


# By URL.


@pytest.mark.parametrize("profile", ["team-a", "team-b"])
@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/api/v1/models", "/api/v1/models"),
        ("/v1/models", "/api/v1/models"),
        ("/api/alpha/x", "/api/alpha/x"),
        ("/api/v1/models/a%2Fb;c=%zz??d=e&&", "/api/v1/models/a%2Fb;c=%zz??d=e&&"),
        ("/api/v1/x/team-a/api/v1/y", "/api/v1/x/team-a/api/v1/y"),
    ],
)
async def test_by_url(through: Through, profile: str, path: str, arrives: str) -> None:
    """Promise 33: the prefix is gone, the rest is byte for byte, and the whole set is the profile's."""
    client, upstream, proxy = await through(profiles=OPEN, app_categories="game")
    answer = await client.ask(get("HTTP-Referer: https://tool.test", target=f"/{profile}{path}"))
    assert answer.status == 200
    [request] = upstream.requests
    assert request.target == arrives.encode()
    assert request.values("http-referer") == [STAMPS[profile]]
    assert request.values("x-title") == [OPEN[profile]["app_title"].encode()]
    assert request.values("x-openrouter-categories") == []
    assert (await proxy.record()).profile == profile


async def test_without_a_profile_it_is_the_default(through: Through) -> None:
    client, upstream, proxy = await through(profiles=OPEN)
    await client.ask(get())
    assert upstream.requests[0].values("http-referer") == [STAMPS[""]]
    assert (await proxy.record()).profile is None


async def test_the_same_request_but_for_stamp_and_key(through: Through) -> None:
    """Promise 33: what reaches U does not tell of profiles."""
    client, upstream, _ = await through(profiles=KEYS, api_key=KEY)
    lines = ("X-Mixed-Case: \xe4", "x-empty:", "X-Twice: 1", "X-Twice: 2")
    await client.ask(post(*lines))
    await client.ask(post(*lines, target="/team-a/api/v1/chat/completions"))
    plain, profiled = upstream.requests
    names = ("http-referer", "x-title", "x-openrouter-title", "x-openrouter-categories", "authorization")
    assert [line for line in plain.fields if line[0].decode() not in names] == [
        line for line in profiled.fields if line[0].decode() not in names
    ]
    assert plain.target == profiled.target
    assert profiled.values("authorization") == [f"Bearer {KEY_A}".encode()]


@pytest.mark.parametrize(
    ("target", "status", "error"),
    [
        *((f"/{name}/api/v1/models", 404, b"unknown-profile") for name in ("team-c", "Team-A", "team%2Da", "team_a")),
        *((f"/{name}/v1/models", 404, b"unknown-profile") for name in ("team-a;x", "team-a%00", "%74eam-a", "TEAM-A")),
        ("/team-a/team-b/api/v1/models", 404, b"unknown-path"),
        ("/team-a/v1/v1/models", 404, b"unknown-path"),
        ("/team-a/api/v1/api/v1/models", 404, b"unknown-path"),
        ("/team-a/chat/completions", 404, b"unknown-path"),
        ("/team-a", 404, b"unknown-path"),
        ("/team-a/", 404, b"unknown-path"),
        ("/team-a/healthz", 404, b"unknown-path"),
        ("//team-a/api/v1/models", 404, b"unknown-path"),
        ("/team-a//api/v1/models", 404, b"unknown-path"),
        ("/api/api/v1/models", 404, b"unknown-path"),
        ("/v1/api/v1/models", 404, b"unknown-path"),
        ("/team-b/../team-a/api/v1/models", 400, b"bad-target"),
        ("/team-b/%2e%2e/team-a/api/v1/models", 400, b"bad-target"),
        ("/team-a/api/v1/../../../team-b/api/v1/models", 400, b"bad-target"),
    ],
)
async def test_no_profile(through: Through, target: str, status: int, error: bytes) -> None:
    """Promise 33: only the exact bytes of a name are one; the helpful 404s are those without."""
    client, upstream, _ = await through(profiles=OPEN)
    answer = await client.ask(get(target=target))
    assert (answer.status, slug(answer)) == (status, error)
    assert not upstream.connections


@pytest.mark.parametrize(("profiles", "told"), [(OPEN, True), (KEYS, True), (TOKENS, False)])
async def test_who_may_know_the_names(through: Through, profiles: dict[str, dict[str, Any]], *, told: bool) -> None:
    """Promise 33: an unknown profile's 404 lists the names only where no token is asked for."""
    client, _, _ = await through(profiles=profiles)
    body = bytes((await client.ask(get(target="/team-c/api/v1/models"))).body)
    assert (b"team-a, team-b" in body) == told
    assert (b"team-a" in body) == told


async def test_a_profile_is_required(through: Through) -> None:
    """Promise 33: where there is no default, the plain base URL says so."""
    client, upstream, _ = await through(profiles=OPEN, http_referer=None, app_title=None, app_categories=())
    answer = await client.ask(get())
    assert (answer.status, slug(answer)) == (404, b"profile-required")
    assert slug(await client.ask(get(target="/chat/completions"))) == b"unknown-path"
    assert (await client.ask(get(target="/team-a/api/v1/models"))).status == 200
    assert len(upstream.requests) == 1


async def test_a_profile_is_required_but_for_who_has_a_token(through: Through) -> None:
    client, upstream, _ = await through(profiles=TOKENS, http_referer=None, app_title=None, app_categories=())
    assert (await client.ask(get(bearer(TOKEN_B)))).status == 200
    assert upstream.requests[0].values("http-referer") == [STAMPS["team-b"]]


# By token.


@pytest.mark.parametrize("line", [f"Authorization: Bearer {TOKEN_B}", f"x-api-key: {TOKEN_B}", f"X_API_KEY: {TOKEN_B}"])
async def test_by_token(through: Through, line: str) -> None:
    """Promise 33: on the plain URL, a profile's token chooses it, and stays here."""
    client, upstream, proxy = await through(profiles=TOKENS)
    assert (await client.ask(post(line))).status == 200
    [request] = upstream.requests
    assert request.values("http-referer") == [STAMPS["team-b"]]
    assert request.values("authorization") == [f"Bearer {KEY_B}".encode()]
    assert TOKEN_B.encode() not in request.head
    assert (await proxy.record()).profile == "team-b"


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("/team-a/api/v1/models", [bearer(TOKEN_B)]),
        ("/team-a/api/v1/models", [bearer(TOKEN)]),
        ("/team-b/v1/models", [f"x-api-key: {TOKEN_A}"]),
        ("/team-b/v1/models", [f"x-api-key: {TOKEN_A}", bearer(TOKEN_B)]),
        ("/api/v1/models", [f"x-api-key: {TOKEN_A}", bearer(TOKEN_B)]),
    ],
)
async def test_by_both_and_different(through: Through, target: str, lines: list[str]) -> None:
    """Promise 33: a token on another profile's URL is 403."""
    client, upstream, _ = await through(profiles=TOKENS, api_key=KEY, access_token=TOKEN)
    answer = await client.ask(get(*lines, target=target))
    assert (answer.status, slug(answer)) == (403, b"wrong-profile")
    assert not upstream.connections


async def test_by_both_and_the_same(through: Through) -> None:
    client, upstream, _ = await through(profiles=TOKENS)
    assert (await client.ask(get(bearer(TOKEN_A), target="/team-a/v1/models"))).status == 200
    assert upstream.requests[0].values("authorization") == [f"Bearer {KEY_A}".encode()]


async def test_a_callers_own_key_beside_the_token(through: Through) -> None:
    """Promise 25 within a profile: the request is stamped as the profile's, on the caller's bill."""
    client, upstream, _ = await through(profiles=TOKENS)
    assert (await client.ask(get(f"x-api-key: {TOKEN_A}", bearer(OWN_KEY)))).status == 200
    assert upstream.requests[0].values("http-referer") == [STAMPS["team-a"]]
    assert upstream.requests[0].values("authorization") == [f"Bearer {OWN_KEY}".encode()]


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        (f"/api/v1/models?key={TOKEN_A}", []),
        (f"/api/v1/models/{TOKEN_A}:free", []),
        (f"/api/v1/models?{TOKEN_A.replace('-', '%2D')}", []),
        (f"/api/v1/models?{TOKEN_A.replace('-', '%252D')}", []),
        ("/api/v1/models", [f"X-Auth: Token {TOKEN_A}"]),
        ("/api/v1/models", [f"Authorization: Token {TOKEN_A}"]),
        ("/api/v1/models", [f"Referer: http://localhost/?{TOKEN_A}"]),
        (f"/api/v1/models?key={TOKEN_A}", [bearer(TOKEN_B)]),
        (f"/team-b/api/v1/models?key={TOKEN_A}", [bearer(TOKEN_B)]),
        (f"/team-b/api/v1/models?key={TOKEN_B}", [bearer(TOKEN_B)]),
        ("/api/v1/models", [f"Authorization: Basic {b64encode(b'u:' + TOKEN_A.encode()).decode()}"]),
        ("/api/v1/models", [f"X-Auth: Basic {b64encode(b'u:' + TOKEN_A.encode()).decode()}"]),
        (
            f"/api/v1/models?x=%{'25' * 7000}41",
            [],
        ),  # nobody knows what is below, and looking would take a quarter second
    ],
)
@pytest.mark.parametrize("count", [0, 50])
async def test_no_token_travels_on(through: Through, target: str, lines: list[str], count: int) -> None:
    """Promise 26 for each profile's token, also where another profile, or none, is chosen."""
    more = {f"n{n}": {**KEYS["team-a"], "access_token": f"CANARY-of-n-{n:03}-0123456789"} for n in range(count)}
    client, upstream, _ = await through(profiles={**TOKENS, **more})
    answer = await client.ask(get(*lines, target=target))
    assert (answer.status, slug(answer)) == (400, b"unclear-credentials")
    assert not upstream.connections


# Guards by profile.


async def test_each_has_its_own_key(through: Through) -> None:
    """Promise 33: by URL, and for callers with a placeholder or none."""
    client, upstream, _ = await through(profiles=KEYS)
    for target, lines in (("/team-a/api/v1/models", []), ("/team-b/v1/models", [bearer("placeholder")])):
        assert (await client.ask(get(*lines, target=target))).status == 200
    await client.ask(get(bearer("placeholder")))
    keys = [request.values("authorization") for request in upstream.requests]
    assert keys == [[f"Bearer {KEY_A}".encode()], [f"Bearer {KEY_B}".encode()], [b"Bearer placeholder"]]


async def test_a_key_that_is_not_given_is_the_defaults(through: Through) -> None:
    client, upstream, _ = await through(profiles=OPEN, api_key=KEY)
    await client.ask(get(target="/team-a/api/v1/models"))
    assert upstream.requests[0].values("authorization") == [f"Bearer {KEY}".encode()]


@pytest.mark.parametrize(
    ("lines", "status"), [([], 401), ([bearer(TOKEN)], 200), ([bearer(OWN_KEY)], 401), ([bearer("x" * 24)], 401)]
)
async def test_no_url_gets_around_the_defaults_token(through: Through, lines: list[str], status: int) -> None:
    """Promise 33: where the default asks for a token and the profile has none, the default's is asked for there."""
    client, upstream, _ = await through(profiles=KEYS, api_key=KEY, access_token=TOKEN)
    assert (await client.ask(get(*lines, target="/team-a/api/v1/models"))).status == status
    assert len(upstream.requests) == (status == 200)
    if status == 200:
        assert upstream.requests[0].values("authorization") == [f"Bearer {KEY_A}".encode()]


async def test_guards_follow_the_key_that_would_be_used(through: Through) -> None:
    """Promise 33: a profile without a key lets pass what one with a key refuses."""
    profiles = {"open": OPEN["team-a"], "keyed": KEYS["team-b"]}
    client, upstream, _ = await through(profiles=profiles)
    page = "Sec-Fetch-Site: cross-site"
    form = "Content-Type: text/plain"
    for name, statuses in (("open", (200, 200)), ("keyed", (403, 415))):
        management = await client.ask(get(target=f"/{name}/api/v1/keys"))
        posted = await client.ask(post(form, target=f"/{name}/api/v1/chat/completions"))
        assert (management.status, posted.status) == statuses
    refused = await client.ask(post(page, target="/keyed/api/v1/chat/completions"))
    assert slug(refused) == b"cross-origin"
    assert len(upstream.requests) == 2


async def test_preflights_and_answers_for_pages(through: Through) -> None:
    """Promise 25 within a profile: preflights are ours where it has a key."""
    origin = "https://chat.test"
    client, upstream, _ = await through(profiles=KEYS, allowed_origins=origin)
    lines = (f"Origin: {origin}", "Access-Control-Request-Method: POST")
    answer = await client.ask(get(*lines, method="OPTIONS", target="/team-a/api/v1/chat/completions"))
    assert answer.status in (200, 204)
    assert answer.values("access-control-allow-origin") == [origin.encode()]
    assert not upstream.requests


# Nothing chooses another.

PROFILES = Profiles(
    settings_with(
        {"http_referer": "https://app.example", "api_key": KEY, "access_token": TOKEN},
        {**TOKENS, "team": {**OPEN["team-a"], "api_key": DECOY}, "a": {**OPEN["team-b"], "api_key": DECOY}},
    )
)
NAMES = ["team-a", "team-b", "team", "a"]
pieces = st.sampled_from(
    [*NAMES, *(name.upper() for name in NAMES), "api", "v1", "api/v1", "models", "", ".", "..", "%2e%2e", "%2F", "\\"]
    + [quote(name, safe="").replace("-", "%2D") for name in NAMES]
    + [name + end for name in NAMES for end in (";", "%00", "?", "#", " ", "%20", "-")]
)
paths = st.lists(pieces, max_size=6).map(lambda parts: "/" + "/".join(parts))
tokens = st.sampled_from(
    [TOKEN, TOKEN_A, TOKEN_B, KEY, KEY_A, OWN_KEY, TOKEN_A[:-1], TOKEN_A + "x", TOKEN_A.upper(), ""]
)
lines = st.tuples(
    st.sampled_from(
        [b"authorization", b"x-api-key", b"x_api_key", b"x-profile", b"cookie", b"host", b"x-original-url"]
    ),
    st.one_of(
        tokens.map(lambda token: f"Bearer {token}"), tokens, st.sampled_from(["/team-a/api/v1/models", "team-a"])
    ),
).map(lambda line: (line[0], line[1].encode()))


@given(paths, st.lists(lines, max_size=4))
@example("/team-a/api/v1/models", [(b"x-original-url", b"/team-b/api/v1/models")])
def test_only_the_url_and_the_token_choose(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Promise 33: no request gets another profile's key or stamp, whatever its headers, encodings, case or dots."""
    credentials = {
        re.sub(rb"(?i)\Abearer ", b"", value)
        for name, value in headers
        if name.lower().replace(b"_", b"-") in (b"authorization", b"x-api-key")
    }
    owners = {TOKEN: None, TOKEN_A: "team-a", TOKEN_B: "team-b"}
    presented = {owners[token] for token in owners if token.encode() in credentials}
    segments = path.split("/")
    named = segments[1] if len(segments) > 1 and segments[1] in NAMES else None
    try:
        profile, rest = PROFILES.choose(path.encode(), headers)
    except WrongProfile:
        assert presented
        assert len(presented) > 1 or named is not None
        return
    except UnknownProfile:
        assert named is None
        return
    if named is not None:
        assert profile.name == named
        assert rest.decode() == path[len(named) + 1 :] or (rest == b"/" and path == f"/{named}")
        # Whoever has no token of its own is asked for the default's.
        assert presented <= ({named} if named in owners.values() else {None})
    else:
        assert rest.decode() == path
        assert {profile.name} == (presented or {None})


# The process, and what people see.


async def test_a_process(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Promise 33: from the environment to the wire; the log says which profile it was."""
    behind = await upstream()
    proxy = await proxy_process(
        behind,
        profiles__team_a__http_referer="https://a.test/",
        profiles__team_a__app_title="A",
        profiles__team_a__api_key=KEY_A,
    )
    client = await connect(proxy)
    assert (await client.ask(get(target="/team-a/api/v1/models"))).status == 200
    assert behind.requests[0].values("authorization") == [f"Bearer {KEY_A}".encode()]
    assert behind.requests[0].values("http-referer") == [STAMPS["team-a"]]
    assert (await proxy.access_line())["profile"] == "team-a"
    assert '"profiles": ["team-a"]' in proxy.stdout


async def test_two_at_the_same_time(upstream: OpenUpstream, proxy_for: StartProxy) -> None:
    """Promise 33: over kept-alive connections that both share, each request has its own."""
    behind = await upstream()
    proxy = await proxy_for(behind, profiles=KEYS)
    async with httpx.AsyncClient(base_url=f"http://{proxy.host}:{proxy.port}", trust_env=False) as client:
        for _ in range(5):
            for name in ("team-a", "team-b"):
                assert (await client.get(f"/{name}/api/v1/models")).status_code == 200
    stamps = [request.values("http-referer") for request in behind.requests]
    assert stamps == [[STAMPS["team-a"]], [STAMPS["team-b"]]] * 5
