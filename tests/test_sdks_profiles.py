"""The real Python clients of OpenAI and Anthropic, unmodified but for the base URL, each for a profile of its own."""

import asyncio
from typing import Any

import anthropic
import openai
import pytest

from proxy.imitation import Imitation, create_imitation, serving
from tests.support.footprint import Footprint
from tests.support.proxies import in_process
from tests.test_sdks import CHAT, KEY, MODEL

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("footprint")]

TOKEN_B = "CANARY-token-of-team-b-4d5e6f"
KEY_B = "sk-or-v1-CANARY-of-team-b-9876543210"
PROFILES: dict[str, dict[str, Any]] = {
    "team-a": {"http_referer": "https://a.test/", "app_title": "A"},
    "team-b": {"http_referer": "https://b.test/", "app_title": "B", "api_key": KEY_B, "access_token": TOKEN_B},
}


async def ask_openai(base_url: str, key: str = KEY) -> str:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=CHAT, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def ask_anthropic(base_url: str, key: str = KEY) -> str:
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key=key, max_retries=0) as client:
        answer = await client.messages.create(model=MODEL, messages=CHAT, max_tokens=100)
        return answer.content[0].text  # type: ignore[union-attr]  # the imitation answers with text


def credited(imitation: Imitation) -> list[tuple[bytes, bytes, bytes]]:
    """Of each request: the app, its title, and the key that came along."""
    return [
        (
            exchange.head.values(b"http-referer")[0],
            exchange.head.values(b"x-title")[0],
            (exchange.head.values(b"authorization") or exchange.head.values(b"x-api-key"))[0].removeprefix(b"Bearer "),
        )
        for exchange in imitation.exchanges
    ]


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (ask_openai, "/team-a/api/v1"),
        (ask_openai, "/team-a/v1"),
        (ask_anthropic, "/team-a/api"),
        (ask_anthropic, "/team-a"),
    ],
)
async def test_each_base_url(ask: Any, path: str) -> None:
    """Promise 33: as base URL of a tool, whatever the tool appends."""
    imitation = create_imitation(record_delay=0)
    async with serving(imitation) as origin, in_process(origin, profiles=PROFILES) as proxy:
        assert "Hello from" in await ask(f"http://{proxy.host}:{proxy.port}{path}")
    assert credited(imitation) == [(b"https://a.test/", b"A", KEY.encode())]


async def test_two_at_the_same_time(footprint: Footprint) -> None:
    """Promise 33: each is stamped with its own, by URL and by token, and pays with its own key."""
    imitation = create_imitation(record_delay=0)
    async with serving(imitation) as origin, in_process(origin, profiles=PROFILES) as proxy:
        here = f"http://{proxy.host}:{proxy.port}"
        asked = []
        for _ in range(5):
            asked += [
                ask_openai(f"{here}/team-a/api/v1"),
                ask_openai(f"{here}/api/v1", TOKEN_B),
                ask_anthropic(f"{here}/team-b/api", TOKEN_B),
            ]
        answers = await asyncio.gather(*asked)
    assert all("Hello from" in answer for answer in answers)
    found = credited(imitation)
    assert found.count((b"https://a.test/", b"A", KEY.encode())) == 5
    assert found.count((b"https://b.test/", b"B", KEY_B.encode())) == 10


async def test_a_wrong_base_url_is_explained_to_the_caller() -> None:
    """The error that an SDK raises says what to write."""
    async with serving(create_imitation()) as origin, in_process(origin, profiles=PROFILES) as proxy:
        with pytest.raises(openai.NotFoundError, match="does not have"):
            await ask_openai(f"http://{proxy.host}:{proxy.port}/team-c/api/v1")
        with pytest.raises(openai.PermissionDeniedError, match="another profile"):
            await ask_openai(f"http://{proxy.host}:{proxy.port}/team-a/api/v1", TOKEN_B)
