"""Promise 2: whose attribution counts is decided for the whole set, never header by header."""

import pytest

from tests.support.client import post
from tests.support.fixtures import Through
from tests.support.proxies import STAMP

OURS = [(name.lower(), value) for name, value in STAMP]
NAMES = (b"http-referer", b"x-title", b"x-openrouter-title", b"x-openrouter-categories", b"x-openrouter-app-visibility")


async def attribution_of(
    through: Through, mode: str, theirs: list[str]
) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """What U got of the set, and what the record says was done."""
    client, upstream, proxy = await through(attribution_mode=mode)
    assert (await client.ask(post(*theirs))).status == 200
    got = [(name, value) for name, value in upstream.requests[0].fields if name.replace(b"_", b"-") in NAMES]
    return got, (await proxy.record()).attribution


def pairs(lines: list[str]) -> list[tuple[bytes, bytes]]:
    split = [line.partition(":") for line in lines]
    return [(name.lower().encode(), value.strip().encode()) for name, _, value in split]


AIDER = ["HTTP-Referer: https://aider.chat", "X-Title: Aider"]
ALL_FIVE = [
    "X-OpenRouter-App-Visibility: hidden",
    "X-OpenRouter-Categories: game",
    "X-Title: One",
    "X-OpenRouter-Title: Two",
    "HTTP-Referer: https://client.example",
]
TITLES_ONLY = ["X-Title: Aider", "X-OpenRouter-Title: Aider", "X-OpenRouter-Categories: cli-agent"]


@pytest.mark.parametrize("theirs", [[], AIDER, ALL_FIVE, TITLES_ONLY])
async def test_override(through: Through, theirs: list[str]) -> None:
    """Promise 2: in `override` ours replaces whatever set the client sent."""
    assert await attribution_of(through, "override", theirs) == (OURS, "stamped")


async def test_override_is_the_default(through: Through) -> None:
    """Promise 2: without a mode, ours replaces the client's."""
    client, upstream, proxy = await through()
    await client.ask(post(*AIDER))
    assert upstream.requests[0].values("http-referer") == [b"https://app.example"]
    assert (await proxy.record()).attribution == "stamped"


@pytest.mark.parametrize(
    "theirs",
    [
        AIDER,
        ALL_FIVE,
        ["HTTP-Referer: https://client.example"],
        ["http-referer: https://client.example", "x-openrouter-title: T"],
        [*AIDER, *AIDER],  # some tools send their pair twice
        ["HTTP-Referer:", "HTTP-Referer: https://client.example"],
    ],
)
async def test_fill_keeps(through: Through, theirs: list[str]) -> None:
    """Promise 2: in `fill` a client that names an app keeps its whole set, and gets nothing of ours."""
    assert await attribution_of(through, "fill", theirs) == (pairs(theirs), "kept")


@pytest.mark.parametrize(
    "theirs",
    [
        [],
        TITLES_ONLY,
        ["HTTP-Referer:", *TITLES_ONLY],
        ["HTTP-Referer: \t ", "X-Title: Aider"],
        ["HTTP_Referer: https://client.example", "X-Title: Aider"],  # no server need read it as HTTP-Referer
        ["Referer: https://client.example", "X-Title: Aider"],
        [*AIDER, "Connection: HTTP-Referer"],  # it was meant for this hop only
    ],
)
async def test_fill_fills(through: Through, theirs: list[str]) -> None:
    """Promise 2: in `fill` a client that names no app gets our whole set, and keeps nothing of its own."""
    assert await attribution_of(through, "fill", theirs) == (OURS, "stamped")


@pytest.mark.parametrize("theirs", [[], AIDER, ALL_FIVE, TITLES_ONLY, ["HTTP_Referer: x", "X-Title:", "X-Title: a"]])
async def test_passthrough(through: Through, theirs: list[str]) -> None:
    """Promise 2: in `passthrough` nothing is touched."""
    assert await attribution_of(through, "passthrough", theirs) == (pairs(theirs), "passed")


async def test_passthrough_needs_no_identity(through: Through) -> None:
    """Promise 2: in `passthrough` no identity has to be configured."""
    client, upstream, _ = await through(
        attribution_mode="passthrough", http_referer=None, app_title=None, app_categories=""
    )
    assert (await client.ask(post(*AIDER))).status == 200
    assert upstream.requests[0].values("http-referer") == [b"https://aider.chat"]
