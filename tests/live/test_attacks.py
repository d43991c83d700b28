"""The live page under attack in a real browser: by pages of other origins, and by what tools send."""

import asyncio
import json
from typing import Any

import pytest

from tests.live.conftest import OpenPage, SetStage, ended
from tests.security.test_browser import Site
from tests.support.browser import Browser
from tests.support.client import Client
from tests.support.fixtures import OpenUpstream
from tests.support.http1 import message
from tests.support.secrets import KEY, OWN_KEY

# Its body is JSON for a reader that does not look at the media type.
FORM = (
    "const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'text/plain';"
    " form.action = 'PROXY/live/ask'; form.target = TARGET; const field = document.createElement('input');"
    ' field.name = \'{"generation": "GENERATION", "x": "\'; field.value = \'"}\'; form.append(field);'
    " document.body.append(form); form.submit();"
)
# What a page of another origin tries, each as an expression whose value says what it got.
ATTEMPTS = {
    "fetch": "fetch('PROXY/').then((r) => r.text(), () => 'failed')",
    "fetch of the events": "fetch('PROXY/live/events').then((r) => r.text(), () => 'failed')",
    "fetch, no-cors": "fetch('PROXY/', {mode: 'no-cors'}).then((r) => r.text(), () => 'failed')",
    "fetch with credentials": "fetch('PROXY/metrics', {credentials: 'include'}).then((r) => r.text(), () => 'failed')",
    "POST that asks": "fetch('PROXY/live/ask', {method: 'POST', mode: 'no-cors',"
    " body: '{\"generation\":\"GENERATION\"}'}).then((r) => r.text(), () => 'failed')",
    "POST of JSON": "fetch('PROXY/live/ask', {method: 'POST', headers: {'Content-Type': 'application/json'},"
    " body: '{\"generation\":\"GENERATION\"}'}).then((r) => r.text(), () => 'failed')",
    "EventSource": "new Promise((done) => {const s = new EventSource('PROXY/live/events');"
    " s.onmessage = s.onopen = () => done('read'); s.addEventListener('setup', () => done('read'));"
    " s.onerror = () => {s.close(); done('failed')}})",
    "image": "new Promise((done) => {const i = new Image(); i.onload = () => done('read');"
    " i.onerror = () => done('failed'); i.src = 'PROXY/live/icon.svg'})",
    "script": "new Promise((done) => {const s = document.createElement('script'); s.onload = () => done('read');"
    " s.onerror = () => done('failed'); s.src = 'PROXY/live/live.js'; document.head.append(s)})",
    "style sheet": "new Promise((done) => {const s = document.createElement('link'); s.rel = 'stylesheet';"
    " s.onload = () => done('read'); s.onerror = () => done('failed'); s.href = 'PROXY/live/live.css';"
    " document.head.append(s)})",
    "frame": "new Promise((done) => {const f = document.createElement('iframe'); f.onload = () => {"
    " try {done(f.contentDocument.body.innerText || 'empty')} catch (e) {done('failed')}};"
    " f.src = 'PROXY/'; document.body.append(f)})",
    "form in a frame": "new Promise((done) => {const f = document.createElement('iframe'); f.name = 'inner';"
    " document.body.append(f); f.onload = () => {"
    " try {done(f.contentDocument.body.innerText || 'empty')} catch (e) {done('failed')}};"
    + FORM.replace("TARGET", "'inner'")
    + "})",
    "form in a window": "new Promise((done) => {const w = window.open('', 'outer'); setTimeout(() => {"
    " try {done(w.document.body.innerText || 'empty')} catch (e) {done('failed')}}, 1000);"
    + FORM.replace("TARGET", "'outer'")
    + "})",
    "window": "new Promise((done) => {const w = window.open('PROXY/'); setTimeout(() => {"
    " try {done(w.document.body.innerText || 'empty')} catch (e) {done('failed')}}, 1000)})",
}
NOTHING = {"failed", "", "empty"}


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}], ids=["own keys", "configured key"])
async def test_pages_of_another_origin(
    stage: SetStage, browser: Browser, upstream: OpenUpstream, settings: dict[str, Any]
) -> None:
    """Nothing is read, run or framed: neither by another port of this machine nor by another site."""
    at = await stage(**settings)
    await at.chat()
    generation = (await at.proxy.record()).generation_id
    assert generation
    before = len(at.proxy.records)
    site = Site("<!doctype html><title>evil</title><body>")
    other = await upstream(site.script)
    for name in ("localhost", "127.0.0.1"):
        tab = await browser.tab()
        await tab.open(f"http://{name}:{other.port}/")
        for attempt, expression in ATTEMPTS.items():
            attack = expression.replace("PROXY", f"http://127.0.0.1:{at.proxy.port}").replace("GENERATION", generation)
            got = await tab.js(attack)
            # Where no key is held, a page may read the proxy's own errors (promise 24): this one says nothing.
            assert got in NOTHING or '"proxy_error": "foreign-page"' in got, f"{attempt}: {got}"
        await tab.close()

    def posted() -> int:
        return sum((record.method, record.path) == ("POST", "/live/ask") for record in at.proxy.records[before:])

    # That it did try, twice: without a preflight, in a frame, and in a window.
    await at.proxy.news.until(lambda: posted() == 2 * 3, "what was posted", state=posted)
    assert at.proxy.feed.viewers == 0
    for record in at.proxy.records[before:]:  # a preflight is told nothing that would let the request follow
        assert record.error == "foreign-page" or (record.method, record.status) == ("OPTIONS", 405)
    assert len(at.imitation.exchanges) == 1  # the chat: nobody has made the proxy ask


HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


async def test_markup_is_text(stage: SetStage, page: OpenPage) -> None:
    """A title, a URL, a tool's name and a path made of HTML and script are shown letter by letter, and do nothing."""
    at = await stage()
    tab = await page(at)
    client = await Client.open(at.proxy)
    headers = [f"User-Agent: {HOSTILE}", f"X-Title: {HOSTILE}", f"HTTP-Referer: javascript:{HOSTILE}"]
    target = "/api/v1/<script>window.hacked=1</script>"
    await client.ask(message(f"GET {target} HTTP/1.1", "Host: localhost", *headers))
    await client.aclose()
    await ended(tab, 1)
    await tab.click("#list > li summary")
    await tab.until("document.querySelector('.more')")
    assert HOSTILE in await tab.text("#list .claim")
    assert f"javascript:{HOSTILE}" in await tab.text(".more")
    assert await tab.js("document.querySelectorAll('#list img, #list script, #list a').length") == 0
    assert await tab.js("window.hacked") is None
    assert tab.events("Runtime.exceptionThrown") == []


async def test_megabytes(stage: SetStage, page: OpenPage) -> None:
    """Values of 10 MB are refused, and the largest that are let in are cut: the page stays small and alive."""
    at = await stage()
    tab = await page(at)
    for size in (10_000_000, 60_000):
        client = await Client.open(at.proxy)
        head = message("GET /api/v1/models HTTP/1.1", "Host: localhost", f"X-Title: {'x' * size}")
        sending = asyncio.ensure_future(client.send(head))
        await client.answer()
        sending.cancel()
        await asyncio.wait([sending])
        await client.aclose()
    await ended(tab, 2)
    assert await tab.js("document.body.innerText.length") < 5000
    assert "431" in await tab.text("#list")


async def test_no_secret_in_the_tab(stage: SetStage, page: OpenPage) -> None:
    """Promise 28: not in the page, not in what it has loaded, not in what it is told, with rows open."""
    at = await stage(api_key=KEY)
    tab = await page(at)
    encoded = "".join(f"%{ord(character):02X}" for character in OWN_KEY)
    claims = {"X-Title": f"my key is {OWN_KEY}", "HTTP-Referer": f"https://a.example/{encoded}"}
    await at.chat(**claims, **{"User-Agent": "tool/1"})
    await ended(tab, 1)
    await tab.click("#list > li summary")
    await tab.until("document.querySelector('.more')")
    seen = await tab.js("document.documentElement.outerHTML")
    told = json.dumps([event["data"] for event in tab.events("Network.eventSourceMessageReceived")])
    assert "my key is (hidden)" in seen
    assert encoded not in seen + told
    assert "setup" in json.dumps(tab.events("Network.eventSourceMessageReceived"))
    for secret in (KEY, OWN_KEY):
        assert secret not in seen
        assert secret not in told
