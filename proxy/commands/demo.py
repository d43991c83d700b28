"""``demo``: one streamed chat through the proxy to an imitation of OpenRouter, shown and checked on both sides.

Everything but OpenRouter is real: the tool is an ordinary HTTP client, the proxy is the one that ``serve`` runs, and
what "OpenRouter received" came out of a socket. It reads no setting and needs no key.
"""

import asyncio
import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import nan
from operator import lt

import click
import httpx2 as httpx

from proxy.app import create_app
from proxy.commands.program import start_command
from proxy.commands.signals import until_signal
from proxy.commands.terminal import Style, columns, wants_colour
from proxy.headers import HeaderList, folded
from proxy.imitation import Exchange, Imitation, create_imitation, serving
from proxy.observe.formatters import set_up_logging
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS, Attribution
from proxy.openrouter.identity import stored_form
from proxy.server.server import running
from proxy.server.sockets import Address, CannotListen
from proxy.settings.addresses import Listen
from proxy.settings.profiles import settings_with

IDENTITY = Attribution("https://example.com", "My App", ("cli-agent",))
PROFILES = {"team-a": "https://a.example", "team-b": "https://b.example"}
PATH = "/api/v1/chat/completions"
BODY = b'{"model":"imitation/credit","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
TOOL = {
    "User-Agent": "some-tool/1.0",
    "Authorization": "Bearer sk-or-demo",
    "Content-Type": "application/json",
    "Connection": "keep-alive",
    "HTTP-Referer": "https://tool.test",
    "X-Title": "Some Tool",
}

_PORTS = range(6776, 6796)  # the demo's own, so that what was pasted from it works at the next start too
_PACE = 0.12  # seconds between two events: slow enough to be watched
_PATIENCE = 5.0  # seconds that the imitation waits for an event to reach the tool before it sends the next one


@dataclass
class Chat:
    """The tool's side: what it sent, and what it got. Times are of `time.perf_counter`."""

    sent: HeaderList = field(default_factory=list)
    began: float = 0.0
    generation_id: str = ""
    answer: bytes = b""
    arrived: list[float] = field(default_factory=list)
    over: bool = False
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def events(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        """Each event of the answer, without its blank line, as soon as it is here."""
        rest = b""
        async for piece in response.aiter_raw():
            self.answer += piece
            *complete, rest = (rest + piece).split(b"\n\n")
            for event in complete:
                async with self.progress:
                    self.arrived.append(time.perf_counter())
                    self.progress.notify_all()
                yield event.decode(errors="replace")

    def exchange(self, imitation: Imitation) -> Exchange | None:
        """What the imitation received of it, if anything has arrived."""
        agent = [TOOL["User-Agent"].encode()]
        return next((each for each in imitation.exchanges if each.head.values(b"user-agent") == agent), None)


@dataclass(frozen=True)
class Check:
    """One thing that the demo claims, and whether it was so."""

    claim: str
    holds: bool


def run_demo(*, once: bool, port: int | None = None) -> int:
    """Print the proof; then stay up until Ctrl+C or SIGTERM, unless ``once``.

    Returns the exit code: 0, or 1 if a check fails or ``port`` (default: 6776, or the next free one) is taken. A signal
    is a proper end, but not with ``once``: then the code is 128 + the signal's number.
    """
    ports = _PORTS if port is None else (port,)
    try:
        return asyncio.run(until_signal(_demo(once=once, ports=ports), ends_well=not once))
    except BaseExceptionGroup as group:  # of the tasks that were under way
        if group.subgroup(BrokenPipeError) is not None:  # `demo | head -3`: click ends quietly, as for any command
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        raise


async def _demo(*, once: bool, ports: Sequence[int]) -> int:
    style = Style(wants_colour(sys.stdout))
    chat = Chat()

    async def in_step() -> None:
        """Send an event only when the one before has reached the tool: so nobody holds events back."""
        await asyncio.sleep(_PACE)
        exchange = chat.exchange(imitation)
        if exchange is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE), chat.progress:
                    await chat.progress.wait_for(lambda: chat.over or len(chat.arrived) >= len(exchange.sent))

    imitation = create_imitation(pace=in_step, record_delay=0)
    async with serving(imitation) as upstream:
        try:
            async with _first_free(ports, upstream) as address:
                proven = await _prove(chat, address.url, imitation, style)
                _print(_next_steps(address.url, style, stays=proven and not once))
                if proven and not once:
                    set_up_logging("info", as_json=False, colour=style.colour)
                    await asyncio.Event().wait()
        except CannotListen:
            click.echo(f"Cannot listen on 127.0.0.1:{ports[-1]}: take another --port, or leave it out.", err=True)
            return 1
    return 0 if proven else 1


@asynccontextmanager
async def _first_free(ports: Sequence[int], upstream: str) -> AsyncIterator[Address]:
    """Run the proxy on the first of ``ports`` that is free; raises `CannotListen` if none is."""
    async with AsyncExitStack() as stack:
        for port in ports:
            settings = settings_with(
                {
                    "http_referer": IDENTITY.referer,
                    "app_title": IDENTITY.title,
                    "app_categories": IDENTITY.categories,
                    "listen": Listen("127.0.0.1", port),
                    "upstream_url": upstream,
                    "shutdown_grace": 1,
                },
                {name: {"http_referer": referer} for name, referer in PROFILES.items()},
            )
            try:
                yield await stack.enter_async_context(running(create_app(settings), settings))
            except CannotListen:
                if port == ports[-1]:
                    raise
            else:
                return


async def _prove(chat: Chat, url: str, imitation: Imitation, style: Style) -> bool:
    """Do the chat, print both sides of it as it happens, and whether every check holds."""
    title = "A tool streams one chat, through the proxy, from an imitation of OpenRouter:"
    _print([style.heading(title), ""])
    async with httpx.AsyncClient(trust_env=False, timeout=2 * _PATIENCE) as client:
        try:
            await _stream(chat, client, url, imitation, style)
            credited_to = await _credited_to(chat.generation_id, client, url)
            found = await asyncio.gather(*(_credited_to_profile(client, f"{url}/{name}") for name in PROFILES))
            of_profiles = dict(zip(PROFILES, found, strict=True))
        except httpx.RequestError as error:
            _print([style.error(f"The chat broke off: {type(error).__name__}")])
            credited_to, of_profiles = None, {}
    exchange = chat.exchange(imitation)
    if exchange is None:
        _print([style.error("Nothing reached the imitation.")])
        return False
    proof = [*checks(chat, exchange, credited_to), check_of_profiles(of_profiles)]
    rows = [(style.good("ok") if check.holds else style.error("FAILED"), check.claim) for check in proof]
    _print(["", *columns(rows, indent=0), ""])
    return all(check.holds for check in proof)


async def _stream(chat: Chat, client: httpx.AsyncClient, url: str, imitation: Imitation, style: Style) -> None:
    request = httpx.Request("POST", url + PATH, headers=TOOL, content=BODY)
    chat.sent = list(request.headers.raw)
    chat.began = time.perf_counter()
    response = await client.send(request, stream=True)
    chat.generation_id = response.headers.get("x-generation-id", "")
    exchange = chat.exchange(imitation)
    if exchange is None:
        return
    _print([*columns(_side_by_side(chat, exchange, style), indent=0), ""])
    _print([style.heading(f"{'sent':>8} {'arrived':>8}  The answer, live (milliseconds since the request)")])
    try:
        async with aclosing(chat.events(response)) as events:
            async for event in events:
                at = len(chat.arrived) - 1
                moments = (exchange.sent[at : at + 1] or [nan])[0], chat.arrived[at]
                sent, arrived = ((moment - chat.began) * 1000 for moment in moments)
                _print([f"{sent:8.1f} {arrived:8.1f}  {_shown(event, style)}"])
    finally:
        await response.aclose()
        async with chat.progress:
            chat.over = True
            chat.progress.notify_all()


async def _credited_to(generation_id: str, client: httpx.AsyncClient, url: str) -> str | None:
    """The URL of the app to which OpenRouter's own record credits a generation."""
    query, key = {"id": generation_id}, {"Authorization": TOOL["Authorization"]}
    answer = await client.get(f"{url}/api/v1/generation", params=query, headers=key)
    record = answer.json().get("data", {}) if answer.status_code == 200 else {}
    return record.get("origin") if isinstance(record.get("app_id"), int) else None


async def _credited_to_profile(client: httpx.AsyncClient, url: str) -> str | None:
    """The same of a chat by another tool, whose base URL has a profile in it."""
    headers = {**TOOL, "User-Agent": "another-tool/1.0"}
    answer = await client.post(url + PATH, headers=headers, content=BODY.replace(b'"stream":true,', b""))
    return await _credited_to(answer.headers.get("x-generation-id", ""), client, url)


def check_of_profiles(credited: Mapping[str, str | None]) -> Check:
    """Whether each profile's chat is credited to its own app; shown side by side."""
    first, second = PROFILES
    shown = (
        f"/{first} is credited to {credited.get(first) or 'nobody'}, /{second} to {credited.get(second) or 'nobody'}"
    )
    return Check(shown, credited == {name: stored_form(app) for name, app in PROFILES.items()})


def checks(chat: Chat, exchange: Exchange, credited_to: str | None) -> list[Check]:
    """What was claimed, and whether the bytes of both sides say so."""
    head = exchange.head
    stamped = tuple(line for line in head.headers if folded(line[0]) in ATTRIBUTION_HEADERS)
    unchanged = (b"POST", PATH.encode(), _others(chat.sent, but={b"connection"}), hashlib.sha256(BODY).hexdigest())
    in_step = len(chat.arrived) == len(exchange.sent) and all(map(lt, chat.arrived, exchange.sent[1:]))
    whole = chat.answer.endswith(b"data: [DONE]\n\n")
    return [
        Check("exactly the configured attribution arrived, and none of the tool's own", stamped == IDENTITY.headers),
        Check(
            "every other header and every byte of the body arrived unchanged",
            unchanged == (head.method, head.target, _others(head.headers), exchange.body_sha256),
        ),
        Check(
            "each event reached the tool unchanged, before OpenRouter sent the next",
            whole and in_step and hashlib.sha256(chat.answer).hexdigest() == exchange.answer_sha256,
        ),
        Check(
            f"{chat.generation_id or 'the answer'} is credited to {credited_to or 'nobody'}",
            credited_to == stored_form(IDENTITY.referer),
        ),
    ]


def _others(headers: Sequence[tuple[bytes, bytes]], but: Collection[bytes] = ()) -> HeaderList:
    """What must cross as it is, in order. Names count without case (RFC 9110, 5.1), values byte for byte."""
    lines = [(name.lower(), value) for name, value in headers]
    hop = {b"host", *but}
    return [line for line in lines if line[0] not in hop and folded(line[0]) not in ATTRIBUTION_HEADERS]


def _side_by_side(chat: Chat, exchange: Exchange, style: Style) -> Iterator[tuple[str, str, str]]:
    """The two heads, a row for each line: what was sent, what became of it, and in a word how."""
    yield style.heading("The tool sent"), style.heading("OpenRouter received"), ""
    head = exchange.head
    yield f"POST {PATH}", f"{head.method.decode()} {head.target.decode()}", ""
    arrived = [(name, _line(name, value)) for name, value in head.headers]
    for name, value in chat.sent:
        here = next((line for line in arrived if line[0].lower() == name.lower()), None)
        if here is None:
            yield _line(name, value), "", style.warning("gone")
            continue
        arrived.remove(here)
        if here[1].lower() == _line(name, value).lower():
            yield _line(name, value), here[1], style.faint("same")
        elif name.lower() == b"host":
            yield _line(name, value), here[1], style.faint("its own")
        else:
            yield _line(name, value), style.good(here[1]), style.good("replaced")
    for _, line in arrived:
        yield "", style.good(line), style.good("added")
    digests = [hashlib.sha256(BODY).hexdigest(), exchange.body_sha256]
    sizes = [len(BODY), exchange.body_size]
    sent, received = (f"{size} bytes, SHA-256 {digest[:10]}…" for size, digest in zip(sizes, digests, strict=True))
    yield sent, received, style.faint("same") if sent == received else style.error("changed")


def _line(name: bytes, value: bytes) -> str:
    return f"{name.decode('latin-1')}: {value.decode('latin-1')}"


def _shown(event: str, style: Style) -> str:
    """One event, with what matters of it."""
    if not event.startswith("data: {"):
        return style.faint(event)
    try:
        chunk = json.loads(event.removeprefix("data: "))
        if "usage" in chunk:
            return style.faint(f"usage: {chunk['usage']['total_tokens']} tokens")
        choice = chunk["choices"][0]
        if choice["finish_reason"]:
            return style.faint(f"finish_reason: {choice['finish_reason']}")
        return style.good(choice["delta"]["content"].strip())
    except (ValueError, LookupError):
        return style.error(event)


def _next_steps(url: str, style: Style, *, stays: bool) -> list[str]:
    try_it = [
        style.heading(f"Watch it in a browser: {url}/"),
        style.heading(f"Try it until you press Ctrl+C (or point a tool at {url}/api/v1):"),
        f"  curl -N {url}{PATH} \\",
        """    -H "Authorization: Bearer sk-or-demo" -d '{"model":"imitation/credit","stream":true}'""",
    ]
    return [
        *(try_it if stays else []),
        style.heading("Start it for real:"),
        f"  OPENROUTER_HTTP_REFERER=https://your-app.example {start_command()}",
    ]


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line, color=True)
