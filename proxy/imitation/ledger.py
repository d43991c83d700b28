"""Who made a request, by its attribution headers, and what OpenRouter remembers of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from proxy.imitation.exchange import Head
from proxy.imitation.scenes import Recording
from proxy.imitation.turn import Turn

T = TypeVar("T")

REMEMBERED = 10_000  # requests, generations and apps, so that an imitation that stays up for weeks stays small

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass
class App:
    """An app of OpenRouter's: the URL is its key, the title may change."""

    id: int
    url: str
    title: str | None


class Ledger:
    """The apps seen so far, and a record of each generation that can be read ``delay`` seconds after it was made."""

    def __init__(self, delay: float) -> None:
        self.apps: dict[str, App] = {}
        self._delay = delay
        self._next_id = 100_001
        self._generations: dict[str, tuple[float, dict[str, Any]]] = {}
        self._unusual: dict[str, Recording] = {}
        self._asked: dict[str, int] = {}

    def credit(self, head: Head) -> App | None:
        """The app that these headers name, made known or renamed; None if the request is nobody's.

        Lines of one name are joined as the Fetch standard does, so a doubled ``HTTP-Referer`` is no URL any more.
        A loopback URL counts only with a title. Which title wins if the two names differ is not documented by
        OpenRouter: here the new name does.
        """
        title = _joined(head.values(b"x-openrouter-title")) or _joined(head.values(b"x-title")) or None
        url = _app_url(_joined(head.values(b"http-referer")))
        if url is None or (title is None and urlsplit(url).hostname in _LOOPBACK):
            return None
        app = self.apps.get(url)
        if app is None:
            app = App(self._next_id, url, title)
            self._next_id += 1
            remember(self.apps, url, app, REMEMBERED)
        app.title = title or app.title
        return app

    def enter(
        self, turn: Turn, app: App | None, *, now: float, streamed: bool, recording: Recording = Recording.USUAL
    ) -> None:
        """Remember a generation."""
        if recording is not Recording.USUAL:
            remember(self._unusual, turn.id, recording, REMEMBERED)
        if recording is Recording.OTHER_APP:
            app = App(100_000, "https://another.example/", "Another App")
        if recording is Recording.NOBODY:
            app = None
        reason = "tool_calls" if turn.tool else "stop"
        record = (
            now,
            {
                "id": turn.id,
                "upstream_id": None,
                "total_cost": turn.cost,
                "usage": turn.cost,
                "cache_discount": None,
                "upstream_inference_cost": None,
                "provider_name": "Imitation",
                "created_at": datetime.fromtimestamp(now, UTC).isoformat(),
                "model": turn.model,
                "app_id": app.id if app else None,
                "origin": app.url if app else "",
                "http_referer": None,  # null at the real one even for attributed traffic
                "streamed": streamed,
                "cancelled": False,
                "latency": 1,
                "moderation_latency": None,
                "generation_time": 1,
                "tokens_prompt": turn.prompt_tokens,
                "tokens_completion": turn.completion_tokens,
                "native_tokens_prompt": turn.prompt_tokens,
                "native_tokens_completion": turn.completion_tokens,
                "native_tokens_reasoning": 0,
                "is_byok": False,
                "finish_reason": reason,
                "native_finish_reason": reason,
                "api_type": "completions",
                "external_user": None,
                "router": None,
            },
        )
        remember(self._generations, turn.id, record, REMEMBERED)

    def asked(self, generation_id: str) -> tuple[Recording, int]:
        """How a generation is recorded, and how often it has been asked for before."""
        before = self._asked.get(generation_id, 0)
        remember(self._asked, generation_id, before + 1, REMEMBERED)
        return self._unusual.get(generation_id, Recording.USUAL), before

    def generation(self, generation_id: str, now: float) -> dict[str, Any] | None:
        """The record, None as long as it is unknown or too young to be read."""
        made, record = self._generations.get(generation_id, (now, None))
        return record if now - made >= self._delay else None


def remember(known: dict[str, T], name: str, value: T, at_most: int) -> None:
    """Put ``value`` into ``known``, and let the oldest go beyond ``at_most``."""
    known[name] = value
    while len(known) > at_most:
        del known[next(iter(known))]


def _joined(values: Iterable[bytes]) -> str:
    return ", ".join(value.decode("latin-1") for value in values).strip()


def _app_url(referer: str) -> str | None:
    """The app's URL as OpenRouter stores it: a bare origin gets a slash."""
    if " " in referer:
        return None
    try:
        parts = urlsplit(referer)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts._replace(path=parts.path or "/").geturl()
