"""Promise 35: the live page is for whoever runs the proxy. No other origin reads, frames or drives it, and it shows no
key, no body and no query; looking at it slows nothing.
"""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.observe.feed import WAITING
from proxy.settings.model import Settings
from tests.support.canaries import assert_none
from tests.support.client import Address, Client, get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import LAST_CHUNK, Response, chunk, message
from tests.support.proxies import IDENTITY, STAMP, Proxy
from tests.support.secrets import BEARER_KEY, KEY, OWN_KEY, TOKEN
from tests.support.upstream import UpstreamConnection, reply
from tests.support.waiting import eventually

OK = message("HTTP/1.1 200 OK", "X-Generation-Id: gen-1", "Content-Length: 2", body=b"ok")
FILES = ["/", "/live/live.css", "/live/live.js", "/live/dom.js", "/live/request.js", "/live/ask.js", "/live/picture.js"]
EVENTS = "/live/events"

Change = dict[str, Any]


def page(target: str, *headers: str, host: str = "localhost", method: str = "GET") -> bytes:
    return message(f"{method} {target} HTTP/1.1", f"Host: {host}", *headers)


class Looking:
    """Somebody who looks at the page: what it is told, as it comes."""

    def __init__(self, client: Client, response: Response) -> None:
        self.client = client
        self.response = response
        self.text = ""
        self.setup: Change = {}
        self.requests: dict[int, Change] = {}
        self.changes: list[Change] = []

    async def until(self, ready: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (value := ready()):
                await self.read()
        return value

    async def read(self) -> None:
        """One more event."""
        while b"\n\n" not in self.response.body:
            await self.response.read(until=b"\n\n")
        event, _, rest = bytes(self.response.body).partition(b"\n\n")
        self.response.body[:] = rest
        self.text += event.decode()
        fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if ": " in line)
        if fields.get("event") == "setup":
            self.setup = json.loads(fields["data"])
        elif fields.get("event") == "changes":
            change = json.loads(fields["data"])
            self.changes.append(change)
            if change.get("all"):
                self.requests.clear()
            self.requests |= {entry["n"]: entry for entry in change.get("requests", ())}

    async def ended(self, count: int = 1) -> list[Change]:
        """All requests that it knows, once so many have ended; the oldest first."""
        await self.until(lambda: sum("took" in each for each in self.requests.values()) >= count)
        return [entry for _, entry in sorted(self.requests.items())]


@asynccontextmanager
async def looking(address: Address, *headers: str) -> AsyncIterator[Looking]:
    client = await Client.open(address)
    try:
        await client.send(page(EVENTS, *headers))
        response = await client.response()
        assert response.status == 200
        assert response.values("content-type") == [b"text/event-stream; charset=utf-8"]
        viewer = Looking(client, response)
        await viewer.until(lambda: viewer.changes)
        yield viewer
        assert_none(viewer.text, "the live page")
    finally:
        await client.aclose()


# What it shows.


async def test_a_request_as_it_happens(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """It is there while it is under way, grows with its bytes, and at last tells all that is known, and no more."""
    more, end = asyncio.Event(), asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", "X-Generation-Id: gen-7", "Transfer-Encoding: chunked"))
        await more.wait()
        await connection.send(chunk(b"12345"))
        await end.wait()
        await connection.send(chunk(b"678") + LAST_CHUNK)

    proxy = await proxy_for(await upstream(script))
    client = await connect(proxy)
    async with looking(proxy) as viewer:
        assert viewer.changes[0]["all"]
        assert viewer.changes[0]["under_way"] == 0
        claims = ["User-Agent: aider/0.86 (x)", "HTTP-Referer: https://aider.chat", "X-Title: Aider"]
        await client.send(post(*claims, body=b"a body", target="/api/v1/chat/completions?a=query"))
        await client.response(b"POST")
        await viewer.until(lambda: any(each.get("status") for each in viewer.requests.values()))
        [entry] = viewer.requests.values()
        assert "took" not in entry
        assert entry["age"] >= 0
        more.set()
        await viewer.until(lambda: any(change.get("progress") for change in viewer.changes))
        assert [entry["n"], 6, 5] in [each for change in viewer.changes for each in change.get("progress", ())]
        end.set()
        [entry] = await viewer.ended()
        known = {key: entry[key] for key in entry.keys() - {"n", "at", "first_byte", "took"}}
        assert known == {
            "tool": "aider/0.86",
            "method": "POST",
            "path": "/api/v1/chat/completions",
            "claimed": [["http-referer", "https://aider.chat"], ["x-title", "Aider"]],
            "outcome": "stamped",
            "status": 200,
            "up": 6,
            "down": 8,
            "generation": "gen-7",
            "ended_by": "upstream",
        }
        assert 0 <= entry["first_byte"] <= entry["took"]
        assert "a=query" not in viewer.text
        [app] = viewer.setup["apps"]
        assert app["stamp"] == [[name.decode(), value.decode()] for name, value in STAMP]


async def test_what_has_happened_before(through: Through) -> None:
    """Who comes later sees the last 200 requests, of more than that the newest; none of them is of the page itself."""
    client, _, proxy = await through(reply(OK))
    for n in range(230):
        await client.ask(get(target=f"/api/v1/models/{n}"))
    async with looking(proxy) as viewer:
        paths = [entry["path"] for entry in await viewer.ended(200)]
        assert paths == [f"/api/v1/models/{n}" for n in range(30, 230)]
        assert viewer.changes[0]["under_way"] == 0
        picture = viewer.changes[0]["picture"]
        assert (len(picture), sum(map(sum, picture))) == (60, 230)


@pytest.mark.parametrize(
    ("request_", "outcome", "error"),
    [
        (get(target="/v1/v1/models"), "refused", "unknown-path"),
        (get(target="/nowhere"), "refused", "unknown-path"),
        (message("GET /api/v1/models HTTP/1.1", "Host: evil.example"), "refused", "untrusted-host"),
        (get(), "stamped", "upstream-broken"),
    ],
)
async def test_what_went_wrong(through: Through, request_: bytes, outcome: str, error: str) -> None:
    """A refusal and a failure are shown by their slug, and what to do about it is told."""
    client, _, proxy = await through(reply(b"garbage\r\n\r\n", close=True))
    await client.ask(request_)
    async with looking(proxy) as viewer:
        [entry] = await viewer.ended()
        assert (entry["outcome"], entry["error"]) == (outcome, error)
        assert len(viewer.setup["advice"][error]["text"]) > 20


async def test_what_a_tool_claims_is_cut_and_plain(through: Through) -> None:
    """A long value is cut at 200 characters, and no character in it changes its place or that of others."""
    client, _, proxy = await through(reply(OK))
    title = "A\u202eB\u00e9".encode() + b"\xff" + b"C" * 5000
    await client.ask(message(*get("User-Agent: " + "x" * 500).split(b"\r\n")[:-2], b"X-Title: " + title))
    async with looking(proxy) as viewer:
        [entry] = await viewer.ended()
        [[_, shown]] = entry["claimed"]
        assert shown.startswith("A\\u202eB\u00e9\\xffCCC")
        assert shown.endswith("\u2026")
        assert len(shown) <= 206
        assert len(entry["tool"]) <= 64


async def test_no_key_is_shown_wherever_it_was_put(through: Through) -> None:
    """Promise 28: not one in the path, the query, a title, the tool's name, the generation id or the body."""
    other = "sk-or-v1-0123456789abcdef"
    answer = message("HTTP/1.1 200 OK", f"X-Generation-Id: gen-{other}", "Content-Length: 2", body=b"ok")
    client, _, proxy = await through(reply(answer), api_key=KEY)
    secrets = [f"Authorization: Bearer {OWN_KEY}", f"X-Title: {'x' * 190}{KEY}", f"HTTP-Referer: https://a.b/{OWN_KEY}"]
    await client.ask(
        post(*secrets, f"User-Agent: {OWN_KEY}", body=KEY.encode(), target=f"/api/v1/presets/{KEY}/messages?key={KEY}")
    )
    async with looking(proxy) as viewer:  # and looks itself for canaries in all of it
        [entry] = await viewer.ended()
        assert "(hidden)" in entry["path"]
        assert "(hidden)" in entry["generation"]
        assert other not in viewer.text


@pytest.mark.parametrize("layers", [1, 2, 5, 20])
@pytest.mark.parametrize("secret", [OWN_KEY, KEY, TOKEN], ids=["own key", "configured key", "token"])
async def test_no_key_is_shown_that_is_percent_encoded(through: Through, secret: str, layers: int) -> None:
    """A value that holds one, however often it is encoded, is hidden whole; one that holds none is shown as it came."""
    client, _, proxy = await through(reply(OK), api_key=KEY, access_token=TOKEN)
    encoded = "".join(f"%{ord(character):02x}" for character in secret)
    for _ in range(layers - 1):
        encoded = encoded.replace("%", "%25")
    claims = [
        f"X-Title: my app {encoded}",
        f"HTTP-Referer: https://a.b/?key={encoded}",
        "X-OpenRouter-Title: 100%25 me",
    ]
    await client.ask(get(f"Authorization: Bearer {TOKEN}", *claims))
    async with looking(proxy, f"Authorization: Bearer {TOKEN}") as viewer:
        [entry] = await viewer.ended()
        assert dict(entry["claimed"]) == {
            "x-title": "(hidden)",
            "http-referer": "(hidden)",
            "x-openrouter-title": "100%25 me",
        }
    for target in ("/", "/metrics"):
        shown = await client.ask(page(target, f"Authorization: Bearer {TOKEN}"))
        assert shown.status == 200
        assert encoded not in bytes(shown.body).decode()
        assert_none(bytes(shown.body).decode(), target)


# Who may look.


@pytest.mark.parametrize("target", [*FILES, "/live/icon.svg", EVENTS])
async def test_each_answer_keeps_others_out(through: Through, target: str) -> None:
    """Nothing inline, nothing foreign, no frame, nothing kept, nothing for other origins: as headers of each answer."""
    client, _, _ = await through()
    await client.send(page(target))
    response = await client.response()
    assert response.status == 200
    policy = dict(part.split(" ", 1) for part in response.values("content-security-policy")[0].decode().split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    for name, value in {
        "x-frame-options": b"DENY",
        "cross-origin-resource-policy": b"same-origin",
        "x-content-type-options": b"nosniff",
        "cache-control": b"no-store",
        "referrer-policy": b"no-referrer",
    }.items():
        assert response.values(name) == [value], name
    assert not [name for name, _ in response.fields if name.startswith(b"access-control-")]


def test_the_page_has_nothing_inline() -> None:
    """What the policy forbids is not there: no script or style in the markup, no handler, no other host."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Elements().feed((files("proxy.pages.live") / "static/index.html").read_text())
    assert not [
        attributes for _, attributes in found if "style" in attributes or any(n.startswith("on") for n in attributes)
    ]
    assert [attributes["src"] for tag, attributes in found if tag == "script"] == ["/live/live.js"]
    assert not [tag for tag, _ in found if tag in ("style", "iframe", "object", "embed", "base", "form")]
    for file in (files("proxy.pages.live") / "static").iterdir():
        content = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in content, file.name
        assert "https://" not in content, file.name
        assert "innerHTML =" not in content, file.name


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["own keys", "configured key"])
@pytest.mark.parametrize("target", ["/", "/live/live.js", EVENTS, "/favicon.ico"])
@pytest.mark.parametrize(
    ("host", "header", "status"),
    [
        ("evil.example", "Accept: */*", 421),
        ("localhost", "Origin: https://evil.example", 403),
        ("localhost", "Origin: null", 403),
        ("localhost", "Origin: http://localhost:1", 403),
        ("localhost", "Sec-Fetch-Site: cross-site", 403),
        ("localhost", "Sec-Fetch-Site: same-site", 403),
        ("localhost", "Sec-Fetch-Site: same-origin", 200),
        ("localhost", "Sec-Fetch-Site: none", 200),
        ("localhost", "Origin: http://localhost", 200),
    ],
)
async def test_who_comes_from_elsewhere(
    through: Through, target: str, host: str, header: str, status: int, settings: dict[str, Any]
) -> None:
    """A rebound name, another origin, another port: 421 or 403; the page itself and its owner get in."""
    client, _, _ = await through(**settings)
    await client.send(page(target, header, host=host))
    assert (await client.response()).status == status


async def test_behind_the_token(through: Through, connect: Connect) -> None:
    """With an access token, a browser asks for it by itself; any user name will do, and nothing else does."""
    client, _, proxy = await through(api_key=KEY, access_token=TOKEN)

    def basic(text: str) -> str:
        return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"

    for target in ("/", "/live/live.js", EVENTS):
        response = await client.ask(page(target))
        assert (response.status, response.values("x-proxy-error")) == (401, [b"page-locked"])
        assert response.values("www-authenticate") == [b'Basic realm="openrouter-proxy", charset="UTF-8"']
        for wrong in ("me:", f"{TOKEN}:", f"me:{TOKEN}x", f"me:{KEY}"):
            assert (await client.ask(page(target, basic(wrong)))).status == 401
        for malformed in (
            f"Authorization: {TOKEN}",
            "Authorization: Basic !",
            "Authorization:",
            "Authorization: Basic",
        ):
            assert (await client.ask(page(target, malformed))).status == 401
    for right in (basic(f"me:{TOKEN}"), basic(f":{TOKEN}"), f"Authorization: Bearer {TOKEN}"):
        assert (await client.ask(page("/", right))).status == 200
        async with looking(proxy, right) as viewer:
            assert viewer.setup["curl"].count("$OPENROUTER_ACCESS_TOKEN") == 1


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, True),
        ({"listen": "[::1]:6767"}, True),
        ({"listen": "0.0.0.0:6767"}, False),
        ({"listen": "0.0.0.0:6767", "api_key": KEY, "access_token": TOKEN}, False),
        ({"listen": "0.0.0.0:6767", "api_key": KEY, "access_token": TOKEN, "live_page": "on"}, True),
        ({"listen": "0.0.0.0:6767", "allow_unauthenticated": True, "live_page": "on"}, True),
        ({"live_page": "off"}, False),
        ({"live_page": "on"}, True),
    ],
)
def test_where_it_is_on(settings: dict[str, Any], shown: bool) -> None:  # noqa: FBT001 - a parameter
    """By itself, only while this machine alone reaches the proxy; beyond, on request and behind the token."""
    assert Settings(**{**IDENTITY, **settings}).shows_live_page is shown


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_it_does_not_start_open_to_all(settings: dict[str, Any]) -> None:
    """Promise 27's like: on, beyond loopback and without a token is a fault, which says what to do."""
    with pytest.raises(ValidationError, match="OPENROUTER_ALLOW_UNAUTHENTICATED"):
        Settings(**{**IDENTITY, "listen": "0.0.0.0:6767", "live_page": "on", **settings})


async def test_off(through: Through) -> None:
    """LIVE_PAGE=off: its paths are those that are not, and nothing is kept for it."""
    client, _, _ = await through(live_page="off")
    for target in ("/", EVENTS, "/live/ask", "/favicon.ico"):
        response = await client.ask(page(target))
        assert (response.status, response.values("x-proxy-error")) == (404, [b"unknown-path"])


@pytest.mark.parametrize("target", ["/", EVENTS, "/live/live.js"])
async def test_other_methods(through: Through, target: str) -> None:
    """It is only to be read."""
    client, _, _ = await through()
    assert (await client.ask(page(target, "Content-Length: 0", method="POST"))).status == 405


# Looking slows nothing.


async def test_a_viewer_that_does_not_read(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """It misses requests and is told how many; the traffic goes on, and what waits for it is bounded."""
    proxy = await proxy_for(await upstream(reply(OK)))
    client = await connect(proxy)
    async with looking(proxy) as viewer:
        count = await _stall(viewer, proxy, client)
        for _ in range(1000):
            await client.ask(get("X-Title: last"))
        viewer.client.transport.resume_reading()
        await viewer.until(lambda: viewer.requests and _title(viewer.requests[max(viewer.requests)]) == "last")
        assert 1000 < sum(change.get("lost", 0) for change in viewer.changes) <= count + 1000


async def test_it_holds_up_no_stream(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """While a viewer stands still, each event is at the client before the upstream sends the next one."""
    at_client = asyncio.Queue[int]()
    events = [b"data: %d\n\n" % n for n in range(300)]

    async def script(connection: UpstreamConnection) -> None:
        while (request := await connection.request()).method == b"GET":
            await connection.send(OK)
        assert request.body
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
        for n, event in enumerate(events):
            await connection.send(chunk(event))
            assert await at_client.get() == n
        await connection.send(LAST_CHUNK)

    proxy = await proxy_for(await upstream(script))
    client = await connect(proxy)
    async with looking(proxy) as viewer:
        await _stall(viewer, proxy, client)
        [watched] = proxy.feed._viewers
        lost = watched._lost
        await client.send(post())
        response = await client.response()
        others = await connect(proxy)
        for n, event in enumerate(events):
            assert (await response.read(until=event)).endswith(event)
            at_client.put_nowait(n)
            await others.ask(get(target="/nowhere"))
            assert len(watched._changed) <= WAITING
        assert await response.read() == b"".join(events)
        assert watched._lost >= lost + len(events)  # it has stood still all the time
        viewer.client.transport.resume_reading()
        await viewer.until(lambda: any(change.get("lost", 0) >= lost + len(events) for change in viewer.changes))


async def _stall(viewer: Looking, proxy: Proxy, client: Client) -> int:
    """Let the viewer read no more, and ask until it has missed something; how often that was."""
    viewer.client.transport.pause_reading()
    # Few bytes wait in the kernel, and claims as long as they are shown fill it soon.
    viewer.client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    names = ("HTTP-Referer", "X-Title", "X-OpenRouter-Title", "X-OpenRouter-Categories")
    long = [f"{name}: {'x' * 200}" for name in names]
    count = 0
    while not await _is_stuck(proxy):
        assert count < 20_000
        for _ in range(500):
            await client.ask(get(*long))
        count += 500
    return count


def _title(entry: Change) -> str:
    return str(entry["claimed"][0][1])


async def _is_stuck(proxy: Proxy) -> bool:
    """Whether a viewer that has missed something is not told so, although it was the time for that, in this loop."""
    [viewer] = proxy.feed._viewers
    await asyncio.sleep(0.3)
    for _ in range(20):
        await asyncio.sleep(0)
    return bool(viewer._lost)


async def test_viewers_leave_nothing(upstream: OpenUpstream, proxy_for: StartProxy) -> None:
    """Whoever leaves, politely or not, is forgotten at once; the kit looks for tasks and sockets that stay."""
    proxy = await proxy_for(await upstream())
    for leave in (Client.close, Client.reset, Client.half_close):
        async with looking(proxy) as viewer:
            leave(viewer.client)
            await eventually(lambda: not proxy.feed.viewers, lambda: "the viewer to be forgotten")


async def test_viewers_do_not_hold_up_the_end(upstream: OpenUpstream, proxy_for: StartProxy) -> None:
    """Promise 29: a stream of the page is no answer under way that is waited for."""
    proxy = await proxy_for(await upstream(), shutdown_grace=20.0)
    async with looking(proxy) as viewer:
        proxy.app.lifecycle.stopping = True
        async with asyncio.timeout(2):
            await viewer.response.read()
        assert viewer.response.ending == "complete"


async def test_nor_does_one_who_does_not_read(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 29: nobody waits for a viewer to take what is left; it sees a cut."""
    proxy = await proxy_for(await upstream(reply(OK)), shutdown_grace=20.0)
    async with looking(proxy) as viewer:
        await _stall(viewer, proxy, await connect(proxy))
        proxy.app.lifecycle.stopping = True
        async with asyncio.timeout(5):
            await eventually(lambda: not proxy.feed.viewers, lambda: "the viewer to be forgotten")
        viewer.client.transport.resume_reading()


# Asking OpenRouter.


def generation(**data: Any) -> bytes:
    body = json.dumps({"data": {"user_id": "CANARY-user", **data}}).encode()
    return message("HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", body=body)


def question(generation_id: str = "gen-1", *headers: str, host: str = "localhost") -> bytes:
    body = json.dumps({"generation": generation_id}).encode()
    lines = ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return message("POST /live/ask HTTP/1.1", f"Host: {host}", *lines, body=body)


OWN_PAGE = "Origin: http://localhost"


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (generation(app_id=7, origin="https://app.example/"), "good", "app 7"),
        (generation(app_id=7, origin="https://another.example/"), "bad", "https://another.example/"),
        (generation(app_id=None, origin=""), "bad", "no app"),
        (message("HTTP/1.1 404 Not Found", "Content-Length: 0"), "later", "minutes"),
        (message("HTTP/1.1 401 Unauthorized", "Content-Length: 0"), "bad", "401"),
        (message("HTTP/1.1 200 OK", "Content-Length: 3", body=b'{""'), "bad", "understood"),
    ],
)
async def test_ask_openrouter(through: Through, connect: Connect, answer: bytes, kind: str, says: str) -> None:
    """To whom was it credited? The question is a request like any other, and of the answer only the app is told."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(OK)
        while True:
            await connection.request()
            await connection.send(answer)

    client, behind, proxy = await through(script, api_key=KEY)
    await client.ask(post())
    await proxy.record()
    response = await client.ask(question("gen-1", OWN_PAGE))
    assert response.status == 200
    told = json.loads(bytes(response.body))
    assert told["kind"] == kind
    assert says in told["bold"] + told["text"]
    assert_none(json.dumps(told), "the answer")
    asked = behind.requests[1]
    assert (asked.method, asked.target) == (b"GET", b"/api/v1/generation?id=gen-1")
    assert asked.values("authorization") == BEARER_KEY
    assert [line for line in asked.headers if line[0] in dict(STAMP)] == STAMP
    assert (await proxy.record(1)).path == "/api/v1/generation"


async def test_nobody_asks_with_the_key_of_a_profile_behind_a_token(through: Through) -> None:
    """Promise 26: where the page has not asked for the profile's token, it does not use the profile's key."""
    team = {"http_referer": "https://team.test/", "api_key": KEY, "access_token": TOKEN}
    client, behind, proxy = await through(reply(OK), profiles={"team-a": team})
    assert (await client.ask(post(f"Authorization: Bearer {TOKEN}", target="/team-a/api/v1/messages"))).status == 200
    await proxy.record()
    assert (await client.ask(question("gen-1", OWN_PAGE))).status == 404
    assert len(behind.requests) == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (question("gen-1"), 403),  # no browser, or one that does not say which page
        (question("gen-1", "Origin: https://evil.example"), 403),
        (question("gen-1", OWN_PAGE, "Sec-Fetch-Site: cross-site"), 403),
        (question("gen-2", OWN_PAGE), 404),
        (question("gen-1&x=y", OWN_PAGE), 404),
        (message("POST /live/ask HTTP/1.1", "Host: localhost", OWN_PAGE, "Content-Length: 4", body=b"null"), 404),
        (
            message("POST /live/ask HTTP/1.1", "Host: localhost", OWN_PAGE, "Content-Length: 2000", body=b"x" * 2000),
            404,
        ),
        (message("GET /live/ask HTTP/1.1", "Host: localhost", OWN_PAGE), 405),
    ],
)
async def test_only_the_page_asks(through: Through, asked: bytes, status: int) -> None:
    """And only about what it shows: nothing else reaches the upstream."""
    client, behind, proxy = await through(reply(OK), api_key=KEY)
    await client.ask(post())
    await proxy.record()
    assert (await client.ask(asked)).status == status
    assert len(behind.requests) == 1
