"""``verify``: whether OpenRouter credits requests to the configured app, by its own record.

One tiny request goes through the proxy, with the configured key; then its record is asked for until it is there, which
takes from half a second to many minutes. ``http_referer`` of the record is null even for credited traffic, and proves
nothing: ``app_id`` and ``origin`` do (seen in November 2026).
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click
import httpx2 as httpx
from pydantic import SecretStr

from proxy.app import create_app
from proxy.commands import terminal
from proxy.commands.program import NAME
from proxy.commands.records import (
    Record,
    by_status,
    complaint,
    is_page,
    json_object,
    retry_after,
    verdict,
    why_not,
)
from proxy.commands.terminal import Style
from proxy.openrouter.api import GENERATION_ID
from proxy.server.server import running
from proxy.settings.addresses import Listen
from proxy.settings.model import Settings

if TYPE_CHECKING:  # click has no public name for it
    from click._termui_impl import ProgressBar

CREDITED, NOT_CREDITED, REFUSED, UNKNOWN_YET = 0, 1, 2, 3
"""The exit codes."""

_PROMPT = "Say hi."
_ANSWER_TOKENS = 16  # the fewest that every provider allows
_PROMPT_TOKENS = 100  # at most: it has 7 bytes; models add some of their own
_DEAREST = {"prompt": 20, "completion": 100}  # dollars for a million tokens; OpenRouter takes no dearer provider
AT_MOST = (_PROMPT_TOKENS * _DEAREST["prompt"] + _ANSWER_TOKENS * _DEAREST["completion"]) / 1_000_000
"""Dollars that a request of `ask` costs at most."""

_ANSWER_WITHIN = 60.0  # seconds for each piece of the answer
_ANSWER_WITHIN_AT_LEAST = 10.0  # seconds for all of it, however short the wait for the record may be
RECORD_WITHIN = 10.0  # seconds for one look at the record
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0  # seconds between two looks; each is twice the one before
_TICK = 0.25  # seconds between two states of the bar
_BAR = 20  # columns of it


class Refused(Exception):
    """There is nothing to verify; the text is one line that says what to do."""


def run_verify(settings: Settings, generation_id: str | None, model: str, within: float, style: Style) -> int:
    """Verify with these settings, which must have a key and an app; the exit code.

    Without a ``generation_id``, one request to ``model`` is sent. Raises `Refused`.
    """
    try:
        return asyncio.run(_verify(settings, generation_id, model, within, style))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _verify(settings: Settings, generation_id: str | None, model: str, within: float, style: Style) -> int:
    async with _client(settings) as client:
        # A refusal leaves no task group, which would wrap it: those of the server and of the bar.
        found = await _found(client, generation_id, model, within)
    match found:
        case Refused():
            raise found
        case Record():
            click.echo(verdict(found, settings, style), color=True)
            return CREDITED if found.credits(settings.http_referer or "") else NOT_CREDITED
        case Search():
            click.echo(not_yet(found))
            return UNKNOWN_YET


async def _found(
    client: httpx.AsyncClient, generation_id: str | None, model: str, within: float
) -> "Record | Search | Refused":
    """The record; or the search that did not find it in time; or why there is none."""
    limit = max(within, _ANSWER_WITHIN_AT_LEAST)
    try:
        if generation_id is None:
            if terminal.is_terminal(sys.stderr):
                click.echo(f"Waiting for {model} to answer", err=True)
            async with asyncio.timeout(limit):
                generation_id = await ask(client, model)
    except TimeoutError:
        return Refused(f"{model} did not answer within {_minutes(limit)}: try again, or name another with --model")
    except Refused as refusal:
        return refusal
    click.echo(f"The generation is {generation_id}", err=True)
    search = Search(generation_id, within)
    async with _bar(search):
        try:
            return await search.run(client) or search
        except Refused as refusal:
            return refusal
        except asyncio.CancelledError:  # Ctrl+C
            click.echo(f"\n{_again(search)}", err=True)
            raise


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy with ``settings``, that listens for as long as the block lasts."""
    token = secrets.token_urlsafe(32)
    here = Listen("127.0.0.1", 0)
    own = settings.model_copy(
        update={"access_token": SecretStr(token), "listen": here, "shutdown_grace": 0.0, "warm_connections": 0}
    )
    async with running(create_app(own), own) as address:
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        async with httpx.AsyncClient(base_url=f"{address.url}/api/v1", headers=headers, trust_env=False) as client:
            yield client


async def ask(client: httpx.AsyncClient, model: str) -> str:
    """Send the tiny request and read its answer to the end; the generation's id. Raises `Refused`."""
    body = {
        "model": model,
        "stream": True,
        "max_tokens": _ANSWER_TOKENS,
        "provider": {"max_price": _DEAREST},
        "messages": [{"role": "user", "content": _PROMPT}],
    }
    try:
        async with client.stream("POST", "/chat/completions", json=body, timeout=_ANSWER_WITHIN) as response:
            if response.status_code != 200:
                await response.aread()
                raise Refused(complaint(response, response.text))
            generation_id = response.headers.get("x-generation-id", "")
            async for line in response.aiter_lines():
                event = json_object(line.removeprefix("data: ")) if line.startswith("data: {") else {}
                generation_id = generation_id or str(event.get("id") or "")
                if isinstance(error := event.get("error"), dict):
                    raise Refused(by_status(error.get("code")))
    except httpx.TransportError as error:
        silent = isinstance(error, httpx.TimeoutException)
        raise Refused(by_status(408) if silent else "the answer broke off: try again") from None
    if not GENERATION_ID.fullmatch(generation_id):  # it goes to a terminal, in a line to paste into a shell
        raise Refused("the answer names no generation, so nothing can be looked up: is OPENROUTER_UPSTREAM_URL right?")
    return generation_id


class Search:
    """The search for one record. ``reason`` is why it is not there yet, for whoever waits."""

    def __init__(self, generation_id: str, within: float) -> None:
        self.generation_id = generation_id
        self.within = within
        self.reason = "no record yet"
        self.next_look = 0.0  # of the loop's time

    async def run(self, client: httpx.AsyncClient) -> Record | None:
        """The record, or None if it is not there in time. Raises `Refused` where no waiting helps."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self.within, _FIRST_PAUSE
        while True:
            wait = pause
            try:
                within = min(RECORD_WITHIN, max(end - loop.time(), 1.0))
                response = await client.get("/generation", params={"id": self.generation_id}, timeout=within)
            except httpx.TimeoutException:
                self.reason = "OpenRouter did not answer in time"
            except httpx.TransportError:
                self.reason = "OpenRouter's answer broke off"
            else:
                data = json_object(response.text).get("data")
                if response.status_code == 200 and isinstance(data, dict):
                    return Record.of(data)
                if response.status_code in {401, 403} and not is_page(response):
                    raise Refused(complaint(response, response.text))
                self.reason = why_not(response)
                wait = max(pause, retry_after(response))
            if loop.time() + wait > end:
                return None
            self.next_look = loop.time() + wait
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)


@asynccontextmanager
async def _bar(search: Search) -> AsyncIterator[None]:
    """A bar on standard error that fills while ``search`` waits, and tells why; one line where nobody watches."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    label = f"Waiting for OpenRouter's record, for {_minutes(search.within)} at most"
    if watched := terminal.is_terminal(sys.stderr):
        # On a line of its own: a bar that is wider than the terminal is drawn anew below itself.
        click.echo(label, err=True)
    width = os.get_terminal_size(sys.stderr.fileno()).columns if watched else 0
    room = (width or 80) - _BAR - len("  []  ") - 1
    bar: ProgressBar[str] = click.progressbar(
        length=max(1, round(search.within / _TICK)),
        label="" if watched else label,
        file=sys.stderr,
        width=_BAR,
        show_eta=False,
        show_percent=False,
        item_show_func=lambda reason: reason,
    )

    async def fill() -> None:
        while True:
            now = loop.time()
            passed = now - began
            state = f"{int(passed) // 60}:{int(passed) % 60:02} {search.reason}"
            if search.next_look > now:
                state += f", next look in {search.next_look - now:.0f} s"
            bar.update(round(passed / _TICK) - bar.pos, state[: max(room, 0)])
            await asyncio.sleep(_TICK)

    with bar:
        async with asyncio.TaskGroup() as group:
            filling = group.create_task(fill())
            try:
                yield
            finally:
                filling.cancel()


def not_yet(search: Search) -> str:
    """What to say when the record has not come, which says nothing about whom it will credit."""
    return (
        f"Not known yet: {search.reason}, after {_minutes(search.within)}. It can take ten minutes, and longer for "
        f"free models. {_again(search)}"
    )


def _again(search: Search) -> str:
    return f"Ask again with:\n  {NAME} verify {search.generation_id}"


def _minutes(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
