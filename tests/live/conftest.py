"""A browser for the tests of the live page, and an imitation of OpenRouter behind the proxy that it looks at."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import openai
import pytest

from proxy.imitation import Imitation, create_imitation, serving
from tests.support.browser import CHROMIUM, Browser, Tab, chromium
from tests.support.fixtures import StartProxy
from tests.support.footprint import Footprint
from tests.support.proxies import Proxy
from tests.support.secrets import OWN_KEY

MODEL = "imitation/hello"
CHAT: list[Any] = [{"role": "user", "content": "Hi"}]
ROWS = "document.querySelectorAll('#list > li:not([hidden])').length"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(120))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: apt-get install chromium"))


@pytest.fixture
async def browser(footprint: Footprint, tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path / "profile") as opened:
        yield opened


class Stage:
    """A proxy with an imitation of OpenRouter behind it, and tools that call it."""

    def __init__(self, proxy: Proxy, imitation: Imitation) -> None:
        self.proxy = proxy
        self.imitation = imitation
        self.url = f"http://localhost:{proxy.port}"

    def tool(self, profile: str | None = None, **headers: str) -> openai.AsyncOpenAI:
        """The OpenAI SDK, unmodified but for its base URL and what it claims."""
        base = f"{self.url}/{profile}" if profile else self.url
        return openai.AsyncOpenAI(
            base_url=f"{base}/api/v1", api_key=OWN_KEY, max_retries=0, default_headers={**headers}
        )

    async def chat(self, model: str = MODEL, profile: str | None = None, **headers: str) -> None:
        """One chat, streamed to its end; an error of OpenRouter's or the proxy's is what the page has to show."""
        async with self.tool(profile, **headers) as client:
            try:
                stream = await client.chat.completions.create(model=model, messages=CHAT, stream=True)
                async for _ in stream:
                    pass
            except openai.APIError:
                pass


class SetStage(Protocol):
    async def __call__(self, pace: Callable[[], Awaitable[None]] | None = None, **settings: Any) -> Stage: ...


@pytest.fixture
async def stage(footprint: Footprint, proxy_for: StartProxy) -> AsyncIterator[SetStage]:
    async with AsyncExitStack() as stack:

        async def start(pace: Callable[[], Awaitable[None]] | None = None, **settings: Any) -> Stage:
            imitation = create_imitation(record_delay=0, pace=pace or _at_once)
            return Stage(await proxy_for(await stack.enter_async_context(serving(imitation)), **settings), imitation)

        yield start


async def _at_once() -> None:
    """Send the next event."""


class OpenPage(Protocol):
    async def __call__(self, stage: Stage, width: int = 1280, height: int = 900, **media: Any) -> Tab: ...


@pytest.fixture
async def page(stage: SetStage, browser: Browser) -> OpenPage:
    """Opens the live page, and waits until it is live."""

    async def open_page(stage: Stage, width: int = 1280, height: int = 900, **media: Any) -> Tab:
        tab = await browser.tab(width, height, **media)
        await tab.open(stage.url)
        await tab.until("document.getElementById('state').dataset.state === 'live'")
        return tab

    return open_page


async def ended(tab: Tab, requests: int) -> None:
    """So many are on the page, and none is under way any more."""
    await tab.until(f"{ROWS} === {requests} && !document.querySelector('.flow')")
