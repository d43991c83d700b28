"""A real browser against a proxy that holds a key: what a page of another origin tries, and what it gets.

Chromium is driven by nothing but its command line: the page does all it can by itself, writes down what came of it,
and sends that to where it came from. Every name is mapped to loopback, and no other name resolves.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.connection import GoneError
from tests.support.fixtures import OpenUpstream, StartProxy
from tests.support.http1 import message
from tests.support.secrets import BEARER_KEY, KEY
from tests.support.upstream import Script, Upstream, UpstreamConnection, reply

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.timeout(120),
]

PAGES = Path(__file__).parent / "pages"
SECRET = "what only the owner of the key may read"
ANSWER = message(
    "HTTP/1.1 200 OK",
    "Content-Type: application/json",
    "Access-Control-Allow-Origin: *",
    "X-Generation-Id: gen-1",
    f"Content-Length: {len(SECRET)}",
    body=SECRET.encode(),
)


class Site:
    """A web site: serves one page, and keeps the report that the page sends back.

    Once the page is there, `rebind` makes its address another server's, as an attacker's name server does: new
    connections are passed on to `target`.
    """

    def __init__(self, page: str) -> None:
        self.page = page.encode()
        self.target: tuple[str, int] | None = None
        self.report: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def script(self, connection: UpstreamConnection) -> None:
        # A browser opens connections ahead of its requests: where one leads is decided when there is a request.
        await connection.news.until(lambda: connection.buffer or connection.end, "a request", within=3600)
        if self.target is not None:
            await self._pass_on(connection, self.target)
            return
        request = await connection.request()
        if request.method == b"POST" and request.target == b"/report":
            self.report.set_result(json.loads(request.body))
        if request.target == b"/":
            lines = ["Content-Type: text/html; charset=utf-8", f"Content-Length: {len(self.page)}", "Connection: close"]
            await connection.send(message("HTTP/1.1 200 OK", *lines, body=self.page))
        else:
            await connection.send(message("HTTP/1.1 204 No Content", "Connection: close"))
        if request.target == b"/rebind":
            self.target = self.rebind_to

    rebind_to: tuple[str, int] | None = None

    @staticmethod
    async def _pass_on(connection: UpstreamConnection, target: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*target)

        async def back() -> None:
            while data := await reader.read(65536):
                await connection.send(data)
            connection.close()

        try:
            async with asyncio.TaskGroup() as group:
                returning = group.create_task(back())
                while data := await connection.take():
                    writer.write(data)
                returning.cancel()
        except* GoneError:
            pass
        finally:
            # Not `close`: what is still to be written would keep the socket open beyond the test, for another to find.
            writer.transport.abort()


@asynccontextmanager
async def chromium(url: str, names: dict[str, int], profile: Path) -> AsyncIterator[None]:
    """A browser that has opened ``url``; each of ``names`` is at that port on loopback, whatever port a URL says."""
    assert CHROMIUM
    rules = [f"MAP {name} 127.0.0.1:{port}" for name, port in names.items()]
    rules += ["MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE 127.0.0.1"]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",  # root in a container has no namespaces for it
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
        f"--host-resolver-rules={', '.join(rules)}",
        url,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def visited(site: Site, upstream: Upstream, profile: Path, **names: int) -> dict[str, Any]:
    """What the site's page reports."""
    name, url = "site.test", "http://site.test/"
    async with chromium(url, {name: upstream.port, **{f"{key}.test": port for key, port in names.items()}}, profile):
        async with asyncio.timeout(60):
            return await site.report


def page(name: str, proxy: str) -> str:
    return (PAGES / f"{name}.html").read_text().replace("PROXY", proxy)


ATTEMPTS = {
    "form, urlencoded",
    "form, text/plain",
    "form, multipart",
    "fetch, no-cors POST",
    "fetch, no-cors GET",
    "fetch, cors GET",
    "fetch, cors POST of JSON",
    "fetch, cors POST of text",
    "XMLHttpRequest",
    "image",
    "script",
    "style sheet",
    "frame",
    "sendBeacon",
    "EventSource",
    "WebSocket",
}


async def test_a_page_of_another_origin(upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path) -> None:
    """Promise 25: nothing that a foreign page tries reaches the upstream, and it can read nothing."""
    behind = await upstream(reply(ANSWER))
    proxy = await proxy_for(behind, api_key=KEY)
    site = Site(page("foreign", f"http://127.0.0.1:{proxy.port}"))
    log = await visited(site, await upstream(site.script), tmp_path)
    assert log.keys() == ATTEMPTS
    assert not [attempt for attempt, result in log.items() if SECRET in json.dumps(result)]
    for attempt in ATTEMPTS - {"form, urlencoded", "form, text/plain", "form, multipart", "sendBeacon", "frame"}:
        assert log[attempt] in ("failed", "opaque"), attempt
    assert not behind.connections, "it reached the upstream"
    # And it did try: the proxy saw and refused it.
    refused = [record for record in proxy.records if record.error == "cross-origin"]
    assert len(refused) >= len(ATTEMPTS) - 1
    assert {record.status for record in refused} == {403}
    assert {record.method for record in refused} >= {"GET", "POST", "OPTIONS"}


async def test_the_same_page_without_a_key(upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path) -> None:
    """Promise 24: nor where there is no key, as what it sends would be stamped; but it may read why."""
    behind = await upstream(reply(ANSWER))
    proxy = await proxy_for(behind)
    site = Site(page("foreign", f"http://127.0.0.1:{proxy.port}"))
    log = await visited(site, await upstream(site.script), tmp_path)
    assert not [attempt for attempt, result in log.items() if SECRET in json.dumps(result)]
    assert not behind.connections, "it reached the upstream"
    assert "OPENROUTER_ALLOWED_ORIGINS" in log["fetch, cors GET"]
    assert {record.error for record in proxy.records if record.method != "OPTIONS"} == {"cross-origin"}


async def test_the_same_page_where_all_may(upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path) -> None:
    """Promise 24: where all origins are allowed the same attempts do arrive: so the page is a real one."""
    behind = await upstream(reply(ANSWER))
    proxy = await proxy_for(behind, allowed_origins="*")
    site = Site(page("foreign", f"http://127.0.0.1:{proxy.port}"))
    log = await visited(site, await upstream(site.script), tmp_path)
    assert log["fetch, cors GET"] == SECRET
    assert len(behind.requests) >= len(ATTEMPTS) - 3
    assert not [request for request in behind.requests if request.values("authorization")]


async def test_a_foreign_page_with_its_visitors_key(
    upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path
) -> None:
    """Promise 24: a page of the web is refused, and can read which setting would let it in, its preflight included."""
    behind = await upstream(reply(ANSWER))
    proxy = await proxy_for(behind)
    site = Site(page("own_key", f"http://127.0.0.1:{proxy.port}"))
    log = await visited(site, await upstream(site.script), tmp_path)
    for status, slug, body in log.values():
        assert (status, slug) in [(403, "cross-origin"), (404, "unknown-path")]
        assert "OPENROUTER_ALLOWED_ORIGINS" in body or "base URL" in body
    assert [log["chat"][0], log["nowhere"][0]] == [403, 404]
    assert not behind.connections


SHARED = message(
    "HTTP/1.1 200 OK",
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Headers: authorization,content-type",
    "Content-Length: 2",
    body=b"ok",
)


async def test_a_page_of_this_machine(upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path) -> None:
    """Promise 24: a page of localhost is served with its visitor's key, and can read that its base URL is wrong."""
    behind = await upstream(reply(SHARED))
    proxy = await proxy_for(behind)
    site = Site(page("own_key", f"http://127.0.0.1:{proxy.port}"))
    at = await upstream(site.script)
    async with chromium(f"http://localhost:{at.port}/", {}, tmp_path), asyncio.timeout(60):
        log = await site.report
    assert log["chat"] == [200, None, "ok"]
    assert log["nowhere"][:2] == [404, "unknown-path"]
    assert behind.requests[-1].values("authorization") == [b"Bearer of-the-visitor"]


DOCUMENT = b"""<!doctype html><title>Of the upstream</title>
<script>document.write('<img src="http://collector.test/ran">')</script>
<noscript><img src="http://collector.test/sandboxed"></noscript>
"""


@pytest.mark.parametrize("settings", [{"api_key": KEY}, {}], ids=["configured key", "own keys"])
async def test_a_document_of_the_upstream_runs_nothing(
    upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Promise 12: HTML that the upstream answers with, and that somebody opens, runs no script in our origin."""
    lines = ["Content-Type: text/html; charset=utf-8", f"Content-Length: {len(DOCUMENT)}"]
    behind = await upstream(reply(message("HTTP/1.1 200 OK", *lines, body=DOCUMENT)))
    proxy = await proxy_for(behind, **settings)
    collector = await upstream(Site("").script)
    address = f"http://127.0.0.1:{proxy.port}/api/v1/models"
    async with chromium(address, {"collector.test": collector.port}, tmp_path):
        request = await collector.request()
    assert request.target == b"/sandboxed"


@pytest.mark.parametrize("settings", [{"api_key": KEY}, {}], ids=["configured key", "own keys"])
@pytest.mark.parametrize("name", ["site.test", "free-wifi", "a.svc.cluster.local"])
async def test_a_rebound_name(
    upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    """Promise 23: a page whose own name becomes the proxy's address is the same origin, and still gets nothing.

    Neither of the API nor of the proxy's own pages: the live page, its feed and its question, and the metrics.
    """
    behind = await upstream(reply(ANSWER))
    proxy = await proxy_for(behind, **settings)
    site = Site(page("rebinding", ""))
    site.rebind_to = (proxy.host, proxy.port)
    # The page sends its report elsewhere: its own name is the proxy now.
    collector = Site("")
    log = await reported(collector, await upstream(collector.script), await upstream(site.script), tmp_path, name)
    assert log.pop("EventSource") == "failed"
    assert len(log) == 9
    assert set(log.values()) == {421}
    assert not behind.connections
    assert proxy.feed.viewers == 0
    refused = [record for record in proxy.records if record.error == "untrusted-host"]
    assert {record.method for record in refused} >= {"GET", "POST"}
    assert {record.path for record in refused} >= {"/", "/live/events", "/live/ask", "/metrics", "/api/v1/key"}
    assert [record.path for record in proxy.records if record.error is None] == []


async def reported(collector: Site, at: Upstream, site: Upstream, profile: Path, name: str) -> dict[str, Any]:
    names = {name: site.port, "collector.test": at.port}
    async with chromium(f"http://{name}/", names, profile), asyncio.timeout(60):
        return await collector.report


async def test_a_page_of_an_allowed_origin(upstream: OpenUpstream, proxy_for: StartProxy, tmp_path: Path) -> None:
    """Promise 25: a page that was invited streams an answer, reads its headers, and can read a refusal."""
    events = message(
        "HTTP/1.1 200 OK", "Content-Type: text/event-stream", "X-Generation-Id: gen-1", "Connection: close"
    )
    stream: Script = reply(events, b"data: one\n\n", b"data: [DONE]\n\n", close=True)
    behind = await upstream(stream)
    proxy = await proxy_for(behind, api_key=KEY, allowed_origins="http://site.test")
    site = Site(page("allowed", f"http://127.0.0.1:{proxy.port}"))
    log = await visited(site, await upstream(site.script), tmp_path)
    assert log == {
        "stream": "data: one\n\ndata: [DONE]\n\n",
        "generation id": "gen-1",
        "refusal": "unclear-credentials",
    }
    assert {bytes(request.method) for request in behind.requests} == {b"POST"}
    assert [request.values("authorization") for request in behind.requests] == [BEARER_KEY]
