"""The live page in a real browser, while real SDKs send requests: what a person sees, and what they can do."""

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.live.conftest import CHAT, MODEL, ROWS, OpenPage, SetStage, Stage, ended
from tests.support.browser import Browser, Tab
from tests.support.client import Client, get
from tests.support.http1 import message
from tests.support.ports import reserved
from tests.support.proxies import in_process
from tests.support.secrets import KEY

AXE = Path(__file__).with_name("axe.min.js")
AIDER = {"User-Agent": "aider/0.86", "HTTP-Referer": "https://aider.chat", "X-Title": "Aider"}


async def no_complaints(tab: Tab) -> None:
    """Neither an error of a script, nor anything that the policy has blocked."""
    assert tab.events("Runtime.exceptionThrown") == []
    logged = [event["entry"] for event in tab.events("Log.entryAdded")]
    assert [entry["text"] for entry in logged if entry["level"] == "error" and entry["source"] != "network"] == []
    hosts = {
        event["request"]["url"].split("/")[2].partition(":")[0] for event in tab.events("Network.requestWillBeSent")
    }
    assert hosts <= {"localhost"}


async def first_row(tab: Tab) -> str:
    return " ".join((await tab.text("#list > li summary")).split())


async def noticed(tab: Tab, title: str) -> None:
    await tab.until(f"document.getElementById('notices').innerText.includes('{title}')")


async def open_first(tab: Tab, row: str = "#list > li summary") -> str:
    await tab.click(row)
    await tab.until("document.querySelector('.more')")
    return await tab.text(".more")


async def asked(tab: Tab) -> str:
    """What OpenRouter answers about the only request, once it says that the right app is credited."""
    await ended(tab, 1)
    await open_first(tab)
    await tab.click(".ask button")
    await tab.until("document.querySelector('.ask output').dataset.kind === 'good'")
    return await tab.text(".ask")


async def test_empty(stage: SetStage, page: OpenPage) -> None:
    """Before the first request: who will be credited, where to point a tool, a line to try."""
    at = await stage()
    tab = await page(at)
    text = await tab.text("main")
    for said in ("Requests are credited to", "Example App", "https://app.example", "cli-agent", "programming-app"):
        assert said in text
    for path in ("/api/v1", "/api", "/v1"):
        assert f"{at.url}{path}\n" in text
    assert f"curl {at.url}/api/v1/chat/completions" in text
    assert "Nothing yet" in text
    link = await tab.js("document.querySelector('.app-link').href")
    assert link == "https://openrouter.ai/apps?url=https%3A%2F%2Fapp.example%2F"
    await no_complaints(tab)


async def test_claimed_and_sent(stage: SetStage, page: OpenPage) -> None:
    """A chat of the real SDK is there by itself: what it claimed, struck through, and what was sent in its place."""
    at = await stage()
    tab = await page(at)
    await at.chat(**AIDER)
    await ended(tab, 1)
    row = await first_row(tab)
    for said in ("aider/0.86", "POST /api/v1/chat/completions", "Aider", "→ Example App", "stamped", "200"):
        assert said in row
    assert await tab.text("#list s") == "Aider"
    await tab.until(
        "document.querySelector('#latest').innerText.includes('aider/0.86 claimed Aider, sent as Example App (200')"
    )
    await tab.until("document.querySelector('#fig-total').innerText === '1'")
    more = await open_first(tab)
    for said in (
        "https://aider.chat",
        "X-Title: Example App",
        "X-OpenRouter-Categories: cli-agent",
        "Generation",
        "gen-",
    ):
        assert said in more
    await no_complaints(tab)


async def test_under_way(stage: SetStage, page: OpenPage) -> None:
    """A stream has a bar that moves with its bytes, and a title that says so; when it ends, both are gone."""
    turns = asyncio.Semaphore(0)

    async def pace() -> None:
        await turns.acquire()

    def send(events: int) -> None:
        for _ in range(events):
            turns.release()

    at = await stage(pace)
    tab = await page(at)
    async with asyncio.TaskGroup() as group:
        group.create_task(at.chat())
        await tab.until("document.querySelector('.flow') && document.title.startsWith('1 under way')")
        before = await tab.js("document.querySelector('.flow').style.backgroundPositionX")
        send(3)
        await tab.until(f"(document.querySelector('.flow')?.style.backgroundPositionX ?? '{before}') !== '{before}'")
        send(1000)  # the rest
    await tab.until("!document.querySelector('.flow') && document.title === 'openrouter-proxy'")
    await no_complaints(tab)


async def test_refused_cut_and_left(stage: SetStage, page: OpenPage) -> None:
    """What went wrong is said in words, where it happens and at the top, with what to do."""
    at = await stage()
    tab = await page(at)
    async with openai.AsyncOpenAI(base_url=f"{at.url}/v1/v1", api_key="sk-or-x", max_retries=0) as wrong:
        with suppress(openai.NotFoundError):
            await wrong.chat.completions.create(model=MODEL, messages=CHAT)
    await tab.until("document.querySelector('.is-refused .outcome')?.textContent === 'refused'")
    await noticed(tab, "A tool has a wrong base URL")
    assert "/api/v1 (OpenAI-style tools)" in await open_first(tab)

    await at.chat("imitation/cut")
    await tab.until("document.querySelector('.is-failed .outcome')?.textContent === 'failed'")
    await noticed(tab, "An answer was cut")

    await at.chat("imitation/error-401")
    await noticed(tab, "OpenRouter refuses the key")
    await at.chat()
    await tab.until("!document.getElementById('notices').innerText.includes('refuses the key')")

    async with at.tool() as client:
        stream = await client.chat.completions.create(model="imitation/silent-stream", messages=CHAT, stream=True)
        async for _ in stream:
            break
        await stream.close()
    await tab.until("[...document.querySelectorAll('.status')].some((cell) => cell.textContent === 'left')")
    await no_complaints(tab)


async def test_three_hundred_requests(stage: SetStage, page: OpenPage) -> None:
    """The newest 200 are shown, filters and pause work among them, and the tab never stalls."""
    at = await stage()
    tab = await page(at)
    await tab.js(
        "window.longest = 0; new PerformanceObserver((list) => {for (const each of list.getEntries())"
        " window.longest = Math.max(window.longest, each.duration)}).observe({type: 'longtask'})"
    )
    client = await Client.open(at.proxy)
    for n in range(300):
        tool = ("one/1", "two/2", "three/3")[n % 3]
        target = "/nowhere" if n % 10 == 0 else "/api/v1/models"
        await client.ask(get(f"User-Agent: {tool}", target=target))
    await client.aclose()
    await tab.until(f"{ROWS} === 200 && document.getElementById('fig-total').textContent === '300'")
    assert await tab.js("window.longest") < 500
    await tab.until("document.querySelectorAll('#by-tool option').length === 4")
    assert await choose(tab, "by-tool", "two/2") == {"two/2"}
    assert "of 200" in await tab.text("#shown")
    await choose(tab, "by-tool", "")
    await choose(tab, "by-outcome", "refused")
    assert await tab.js(ROWS) == 20
    await choose(tab, "by-outcome", "")

    await tab.click("#pause")
    top = await first_row(tab)
    await at.chat(**AIDER)
    await tab.until("document.getElementById('pause').textContent === 'Resume (1 new)'")
    assert await first_row(tab) == top
    await tab.click("#pause")
    await tab.until("document.querySelector('#list .tool').textContent === 'aider/0.86'")
    await no_complaints(tab)


async def test_what_went_by_too_fast(stage: SetStage, page: OpenPage) -> None:
    """Somebody who misses requests is told how many; what they read stays open, what they hold still stays so."""
    at = await stage()
    tab = await page(at)
    client = await Client.open(at.proxy)
    for _ in range(3):
        await client.ask(get(target="/nowhere"))
    await ended(tab, 3)
    await open_first(tab)
    await tab.js(
        "window.said = []; const place = document.getElementById('said'); new MutationObserver(() =>"
        " window.said.push(place.textContent)).observe(place, {childList: true, characterData: true, subtree: true})"
    )
    [viewer] = at.proxy.feed._viewers
    for pausing, missed in ((False, 5), (True, 7)):
        if pausing:
            await tab.click("#pause")
            await tab.until("document.getElementById('pause').getAttribute('aria-pressed') === 'true'")
        viewer._lost = missed  # as when the kernel's buffers are full: see test_a_viewer_that_does_not_read
        await client.ask(get(target="/nowhere/else"))
        await tab.until(f"window.said.some((text) => text.startsWith('{missed} requests went by'))")
        await tab.until(f"{ROWS} === 4")  # it may be told a fifth of a second later
        assert await tab.js("document.querySelectorAll('#list details[open] .more').length") == 1
    await client.aclose()
    await tab.until("document.getElementById('pause').textContent === 'Resume (1 new)'")
    await noticed(tab, "5 times")  # what is told again is no trouble again
    await tab.click("#pause")
    await ended(tab, 5)
    await no_complaints(tab)


async def test_it_answers_while_requests_pour_in(stage: SetStage, page: OpenPage) -> None:
    """At hundreds of requests a second a key does what it is for, frames are drawn, and none goes uncounted."""
    at = await stage()
    tab = await page(at)
    await tab.js("window.frames_drawn = 0; (function next() {window.frames_drawn++; requestAnimationFrame(next)})()")
    answered = asyncio.Event()

    async def pour() -> None:
        client = await Client.open(at.proxy)
        for n in itertools.count():
            await client.ask(get(f"User-Agent: tool-{n % 7}/1", f"X-Title: Title {n}", target="/nowhere"))
            if answered.is_set():
                break
        await client.aclose()

    async with asyncio.TaskGroup() as group:
        group.create_task(pour())
        await tab.until(f"{ROWS} === 200")
        drawn, before = await tab.js("window.frames_drawn"), len(at.proxy.records)
        await press_pause(tab, "true")
        assert "/api/v1 (OpenAI-style tools)" in await open_first(tab)
        await tab.until("/^Resume .[0-9]+ new.$/.test(document.getElementById('pause').textContent)")
        await press_pause(tab, "false")
        await at.proxy.news.until(lambda: len(at.proxy.records) > before + 400, "400 more", within=60)
        await tab.until(f"window.frames_drawn > {drawn + 10}")
        answered.set()
    total = sum(record.error == "unknown-path" for record in at.proxy.records)
    await tab.until(f"document.getElementById('fig-total').textContent.replace(/[^0-9]/g, '') === '{total}'")
    assert await tab.js("document.querySelectorAll('#list > li').length") == 200
    await no_complaints(tab)


async def press_pause(tab: Tab, pressed: str) -> None:
    """By keyboard: what stands above the button grows and moves it while requests come in."""
    await tab.js("document.getElementById('pause').focus()")
    await tab.key("Enter", 13, "\r")
    await tab.until(f"document.getElementById('pause').getAttribute('aria-pressed') === '{pressed}'")


async def choose(tab: Tab, select: str, value: str) -> set[str]:
    """Which tools are shown when that is chosen."""
    await tab.js(
        f"document.getElementById('{select}').value = '{value}';"
        f"document.getElementById('{select}').dispatchEvent(new Event('change'))"
    )
    tools = "[...document.querySelectorAll('#list > li:not([hidden]) .tool')].map((cell) => cell.textContent)"
    return set(await tab.js(tools))


async def test_copy(stage: SetStage, page: OpenPage, browser: Browser) -> None:
    """A base URL and a generation id go onto the clipboard with one click, and the button says so."""
    at = await stage()
    tab = await page(at)
    await browser.call("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    await tab.call("Page.bringToFront")
    await tab.click(".base button")
    await tab.until("document.querySelector('.base button').textContent === 'Copied'")
    assert await tab.js("navigator.clipboard.readText()") == f"{at.url}/api/v1"
    await at.chat()
    await ended(tab, 1)
    await open_first(tab)
    await tab.click(".facts button")
    await tab.until("document.querySelector('.facts button').textContent === 'Copied'")
    generation = await tab.js("navigator.clipboard.readText()")
    assert generation == (await at.proxy.record()).generation_id


async def test_ask_openrouter(stage: SetStage, page: OpenPage) -> None:
    """Where the proxy holds a key, OpenRouter is asked on the spot, and its answer stands beside the stamp."""
    at = await stage(api_key=KEY)
    tab = await page(at)
    await at.chat(**AIDER)
    assert "As it was sent: OpenRouter credits https://app.example/" in await asked(tab)
    assert KEY not in await tab.js("document.documentElement.outerHTML")
    await no_complaints(tab)


TEAMS = {
    "search": {"http_referer": "https://search.example", "app_title": "Search", "api_key": KEY},
    "support": {"http_referer": "https://support.example", "app_title": "Support"},
}


async def test_profiles(stage: SetStage, page: OpenPage) -> None:
    """Each has its app and its base URL on the page; a request shows whose it is, and can be filtered by that."""
    at = await stage(profiles=TEAMS)
    tab = await page(at)
    text = await tab.text("#apps")
    for said in ("Example App", "search → Search", f"{at.url}/search/api/v1", "support → Support"):
        assert said in text
    await at.chat(**AIDER)
    await at.chat(profile="search", **AIDER)
    await at.chat(profile="support", **AIDER)
    await ended(tab, 3)
    rows = " ".join((await tab.text("#list")).split())
    for title in ("→ Example App", "→ Search", "→ Support"):
        assert title in rows
    await tab.until("document.querySelectorAll('#by-profile option').length === 4")
    await choose(tab, "by-profile", "search")
    assert await tab.js(ROWS) == 1
    more = await open_first(tab, "#list > li:not([hidden]) summary")
    assert "X-Title: Search" in more
    assert "Profile" in more
    await no_complaints(tab)


async def test_ask_openrouter_with_the_key_of_a_profile(stage: SetStage, page: OpenPage) -> None:
    """What a profile's key paid for is asked about with that key, and compared with that profile's app."""
    at = await stage(profiles=TEAMS)
    tab = await page(at)
    await at.chat(profile="search")
    assert "OpenRouter credits https://search.example/" in await asked(tab)
    assert KEY not in await tab.js("document.documentElement.outerHTML")
    await no_complaints(tab)


async def test_profiles_alone(stage: SetStage, page: OpenPage) -> None:
    """Without a default, only the profiles are offered, and a request that names none says what it lacks."""
    nobody: dict[str, Any] = {"http_referer": None, "app_title": None, "app_categories": ()}
    at = await stage(profiles=TEAMS, **nobody)
    tab = await page(at)
    text = await tab.text("#apps")
    assert "Example App" not in text
    assert "search → Search" in text
    await at.chat()
    await ended(tab, 1)
    assert "refused" in await first_row(tab)
    await at.chat(profile="support")
    await ended(tab, 2)
    assert "→ Support" in await first_row(tab)
    await no_complaints(tab)


async def test_gone_and_back(browser: Browser, stage: SetStage) -> None:
    """When the proxy stops, the page says so; when another one starts there, it is live again, with its requests."""
    with reserved() as address:
        tab = await browser.tab()
        settings: dict[str, Any] = {"listen": str(address)}
        async with in_process("http://127.0.0.1:9", **settings) as proxy:
            await tab.open(f"http://localhost:{proxy.port}")
            client = await Client.open(proxy)
            await client.ask(message("GET /nowhere HTTP/1.1", "Host: localhost"))
            await client.aclose()
            await ended(tab, 1)
        await tab.until("document.getElementById('notices').innerText.includes('The proxy has stopped')")
        assert await tab.text("#state") == "Not reachable"
        async with in_process("http://127.0.0.1:9", **settings, app_title="Another App") as proxy:
            await tab.until("document.getElementById('state').dataset.state === 'live'")
            await tab.until("document.querySelector('.app-name').textContent === 'Another App'")
            assert await tab.js(ROWS) == 0
            assert "stopped" not in await tab.text("#notices")
            await tab.close()


async def test_by_keyboard(stage: SetStage, page: OpenPage) -> None:
    """Everything can be reached and used without a mouse: the first stop leads to the requests, Enter opens one."""
    at = await stage()
    tab = await page(at)
    await at.chat()
    await ended(tab, 1)
    await tab.key("Tab", 9)
    assert await tab.js("document.activeElement.textContent") == "Skip to the requests"
    await tab.key("Enter", 13, "\r")
    await tab.key("Tab", 9)
    assert await tab.js("document.activeElement.matches('summary.row')")
    await tab.key("Enter", 13, "\r")
    await tab.until("document.querySelector('.more')")
    reached = set()
    for _ in range(40):
        await tab.key("Tab", 9)
        reached.add(await tab.js("document.activeElement.id || document.activeElement.tagName"))
    assert reached >= {"by-tool", "by-outcome", "pause", "SUMMARY", "A", "BUTTON"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 3840])
async def test_axe_finds_nothing(stage: SetStage, page: OpenPage, width: int, dark: bool) -> None:  # noqa: FBT001
    """axe-core has nothing serious to say, in each state, at three widths and in both themes; nothing overflows."""
    at = await stage(api_key=KEY)
    tab = await page(at, width, 900, dark=dark)
    await tab.call("Runtime.evaluate", expression=AXE.read_text())
    assert await violations(tab) == []
    await fill(at)
    await tab.until(f"{ROWS} >= 4 && !document.querySelector('.flow')")
    await open_first(tab)
    assert await violations(tab) == []
    assert await tab.js("document.documentElement.scrollWidth") <= width


async def fill(at: Stage) -> None:
    await at.chat(**AIDER)
    await at.chat()
    await at.chat("imitation/cut", **{"User-Agent": "a-tool-with-a-very-long-name-that-goes-on-and-on/1.0"})
    await at.chat(
        "imitation/error-402", **{"X-Title": "A title " * 20, "HTTP-Referer": f"https://x.example/{'y' * 150}"}
    )
    client = await Client.open(at.proxy)
    await client.ask(get(target=f"/nowhere/{'long/' * 60}"))
    await client.aclose()


async def violations(tab: Tab) -> list[str]:
    found = await tab.js("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


async def test_reduced_motion(stage: SetStage, page: OpenPage) -> None:
    """Who wants no motion gets none."""
    at = await stage()
    tab = await page(at, prefers_reduced_motion="reduce")
    await at.chat()
    await ended(tab, 1)
    moving = "document.getAnimations().length"
    assert await tab.js(moving) == 0


async def test_screen_reader(stage: SetStage, page: OpenPage) -> None:
    """A row is read as a sentence, with words for what is shown by a line through a name or by an arrow."""
    at = await stage()
    tab = await page(at)
    await at.chat(**AIDER)
    await ended(tab, 1)
    tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    names = [
        node.get("name", {}).get("value", "") for node in tree if node["role"].get("value") == "DisclosureTriangle"
    ]
    [row] = [name for name in names if "aider" in name]
    assert "claimed Aider" in " ".join(row.split())
    assert "sent as" in row
    states = [node for node in tree if node["role"].get("value") == "status"]
    assert states
