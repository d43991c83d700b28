"""Takes the pictures of docs/live-page.md: the live page, light and dark, with the traffic of some tools.

    python -m tests.live.pictures

Everything but OpenRouter is real; the imitation that the demo has stands in for it.
"""

import asyncio
import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx

from proxy.imitation import create_imitation, serving
from tests.support.browser import chromium
from tests.support.proxies import ROOT, in_process

PICTURES = ROOT / "docs/pictures"
IDENTITY: dict[str, Any] = {
    "http_referer": "https://github.com/acme/atlas",
    "app_title": "Atlas",
    "app_categories": "cli-agent",
}
TOOLS = [
    ("aider/0.86", {"HTTP-Referer": "https://aider.chat", "X-Title": "Aider"}, "/api/v1/chat/completions"),
    ("claude-cli/2.1", {}, "/api/v1/messages"),
    ("opencode/1.2", {"HTTP-Referer": "https://opencode.ai/", "X-Title": "opencode"}, "/api/v1/chat/completions"),
    ("OpenAI/Python", {}, "/api/v1/chat/completions"),
    ("litellm/1.109", {"HTTP-Referer": "https://litellm.ai", "X-Title": "liteLLM"}, "/api/v1/chat/completions"),
]
_SECONDS = 24.0  # of traffic before the pictures


async def main() -> None:
    chance = random.Random(7)  # noqa: S311 - for looks only

    async def pace() -> None:
        await asyncio.sleep(chance.uniform(0.05, 0.3))

    async def request(client: httpx.AsyncClient, url: str, number: int) -> None:
        tool, claims, path = TOOLS[number % len(TOOLS)]
        headers = {"User-Agent": tool, "Authorization": "Bearer sk-or-demo", **claims}
        body = {
            "model": "imitation/credit",
            "stream": True,
            "max_tokens": 99,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        await asyncio.sleep(chance.uniform(0, 0.4))
        async with client.stream("POST", url + path, headers=headers, json=body) as response:
            async for _ in response.aiter_raw():
                pass

    async def traffic(client: httpx.AsyncClient, url: str) -> None:
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                group.create_task(request(client, url, number))
                await asyncio.sleep(chance.expovariate(1.6))

    imitation = create_imitation(pace=pace, record_delay=0)
    async with (
        serving(imitation) as upstream,
        in_process(upstream, **IDENTITY) as proxy,
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
    ):
        url = f"http://localhost:{proxy.port}"
        with TemporaryDirectory() as profile:
            async with chromium(Path(profile)) as browser, asyncio.TaskGroup() as group:
                sending = group.create_task(traffic(client, url))
                await asyncio.sleep(_SECONDS)
                for theme in ("light", "dark"):
                    tab = await browser.tab(1280, 900, dark=theme == "dark")
                    await tab.open(url)
                    await tab.until("document.querySelectorAll('#list > li').length > 8")
                    await asyncio.sleep(1.5)
                    await tab.picture(PICTURES / f"live-page-{theme}.png")
                    await tab.close()
                sending.cancel()


if __name__ == "__main__":
    asyncio.run(main())
