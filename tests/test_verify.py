"""``verify`` against the imitation: every outcome, with its exit code and its text."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from proxy.commands import verify
from proxy.commands.records import Record, verdict
from proxy.commands.terminal import Style
from proxy.errors import UpstreamUnreachable
from proxy.imitation import Imitation, create_imitation, serving
from proxy.settings.model import Settings
from tests.support.footprint import Footprint
from tests.support.proxies import ROOT, STAMP, spawned
from tests.support.secrets import KEY, OWN_KEY
from tests.support.terminal import CTRL_C, Terminal


class Finished(NamedTuple):
    code: int
    stdout: list[str]
    stderr: list[str]


@dataclass
class Verify:
    """Runs ``verify`` as a process, against the imitation."""

    imitation: Imitation
    url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    async def __call__(self, *arguments: str, **settings: str) -> Finished:
        given = {"upstream_url": self.url, "api_key": KEY, **settings}
        async with spawned("verify", *arguments, cwd=self.folder, **given) as child:
            code = await child.exit_code(within=30)
            return Finished(code, child.stdout.splitlines(), child.stderr.splitlines())

    async def of(self, scene: str, *arguments: str) -> Finished:
        """For a request to the model that plays ``scene``."""
        return await self("--yes", "--model", f"imitation/{scene}", *arguments)


@pytest.fixture
async def run(footprint: Footprint, tmp_path: Path) -> AsyncIterator[Verify]:
    made = create_imitation(record_delay=0)
    async with serving(made) as url:
        yield Verify(made, url, tmp_path)


@pytest.mark.integration
async def test_an_app_that_is_credited(run: Verify) -> None:
    """Exit code 0, and what OpenRouter has recorded; the request was stamped and had the configured key."""
    done = await run("--yes")
    assert done.code == 0
    assert done.stdout == [
        "OpenRouter credits this app.",
        "",
        "  credited to  https://app.example/ (app 100001)",
        "  model        openai/gpt-4o-mini, by Imitation",
        f"  cost         {done.stdout[4].split()[-1]}",
        "  shown at     https://openrouter.ai/apps?url=https%3A%2F%2Fapp.example%2F",
    ]
    assert done.stderr[0].startswith("The generation is gen-")
    head = run.imitation.exchanges[0].head
    assert head.values(b"authorization") == [f"Bearer {KEY}".encode()]
    assert [line for line in head.headers if line[0] in {name for name, _ in STAMP}] == STAMP


@pytest.mark.integration
@pytest.mark.parametrize(
    ("scene", "whom"), [("record-other-app", "https://another.example/ (app 100000)"), ("record-nobody", "nobody")]
)
async def test_another_app_or_none(run: Verify, scene: str, whom: str) -> None:
    """Exit code 1, and both side by side."""
    done = await run.of(scene)
    assert done.code == 1
    assert done.stdout[:4] == [
        "OpenRouter does not credit this app.",
        "",
        "  configured   https://app.example/",
        f"  credited to  {whom}",
    ]


@pytest.mark.integration
@pytest.mark.parametrize("scene", ["record-late", "record-page", "record-busy"])
async def test_a_record_that_comes_late(run: Verify, scene: str) -> None:
    """Whatever came before it."""
    assert (await run.of(scene)).code == 0


@pytest.mark.integration
async def test_a_look_that_is_not_answered(run: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and another one succeeds."""
    monkeypatch.setattr(verify, "RECORD_WITHIN", 0.3)
    made = settings(run.url)
    assert await asyncio.to_thread(verify.run_verify, made, None, "imitation/record-slow", 20.0, Style()) == 0


@pytest.mark.integration
async def test_a_model_that_does_not_answer(run: Verify, footprint: Footprint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for it is bounded as well."""
    monkeypatch.setattr(verify, "_ANSWER_WITHIN_AT_LEAST", 0.3)
    with pytest.raises(verify.Refused, match=r"imitation/silent did not answer within 0\.5 s: try again"):
        await asyncio.to_thread(verify.run_verify, settings(run.url), None, "imitation/silent", 0.5, Style())
    footprint.complaints.remove("stopping: 1 request cut")  # for which the command would have silenced its proxy


@pytest.mark.integration
@pytest.mark.parametrize("given", ["", KEY, "two words"])
async def test_what_is_no_generations_id(run: Verify, given: str) -> None:
    """It is not asked for; a key that was pasted in its place goes nowhere."""
    done = await run(given)
    assert (done.code, done.stderr) == (2, ["error: this is no generation's id, as the proxy's log has them (gen-...)"])
    assert not run.imitation.exchanges


@pytest.mark.integration
async def test_a_record_that_does_not_come(run: Verify) -> None:
    """Exit code 3, and the command that asks again; with which nothing is sent."""
    done = await run.of("record-never", "--timeout", "1")
    assert done.code == 3
    generation_id = done.stderr[0].split()[-1]
    assert done.stdout == [
        "Not known yet: no record yet, after 1 s. It can take ten minutes, and longer for free models. Ask again with:",
        f"  openrouter-proxy verify {generation_id}",
    ]
    sent = len(run.imitation.exchanges)
    again = await run(generation_id, "--timeout", "0.1")
    assert again.code == 3
    assert {exchange.head.method for exchange in run.imitation.exchanges[sent:]} == {b"GET"}


@pytest.mark.integration
async def test_the_generation_of_another_request(run: Verify) -> None:
    """With an id nothing is sent, and nothing is asked."""
    await run("--yes")
    generation_id = run.imitation.exchanges[0].generation_id
    assert generation_id
    done = await run(generation_id)
    assert done.code == 0
    assert [exchange.head.method for exchange in run.imitation.exchanges].count(b"POST") == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("scene", "line"),
    [
        ("error-401", "OpenRouter does not know the key: check it at https://openrouter.ai/settings/keys"),
        ("record-refused", "OpenRouter does not know the key: check it at https://openrouter.ai/settings/keys"),
        ("error-402", "the account has no credits: add some at https://openrouter.ai/settings/credits"),
        ("error-403", "the key may not do this (a guardrail, or its limits): see https://openrouter.ai/settings/keys"),
        (
            "error-404",
            "no provider has this model at that price: name another with --model (the default is openai/gpt-4o-mini)",
        ),
        ("nonsense", "OpenRouter does not take the request: name another model with --model"),
        ("error-429", "there were too many requests: try again in 1 s"),
        ("error-429-upstream", "there were too many requests: try again"),
        ("error-503", "OpenRouter or the model's provider failed (503): try again, or name another with --model"),
        (
            "error-mid-stream",
            "OpenRouter or the model's provider failed (502): try again, or name another with --model",
        ),
        (
            "page",
            "a web page came in place of the API's answer (status 403): a firewall or CDN is in between; try again,",
        ),
        ("cut", "the answer broke off: try again"),
    ],
)
async def test_an_error_of_openrouters(run: Verify, scene: str, line: str) -> None:
    """Exit code 2, and one line that says what to do."""
    done = await run.of(scene)
    assert (done.code, done.stdout) == (2, [])
    assert done.stderr[-1].startswith(f"error: {line}")


@pytest.mark.integration
async def test_an_upstream_that_is_not_there(run: Verify) -> None:
    """The proxy's own error says what to do."""
    done = await run("--yes", upstream_url="http://127.0.0.1:9")
    assert done.code == 2
    assert done.stderr == [f"error: {UpstreamUnreachable.message}"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"api_key": ""}, "error: there is nothing to verify: no OpenRouter key is set"),
        ({"attribution_mode": "passthrough"}, "error: there is nothing to verify: passthrough stamps nothing"),
        ({"http_referer": ""}, "error: OPENROUTER_HTTP_REFERER is not set"),
    ],
)
async def test_settings_that_leave_nothing_to_verify(run: Verify, settings: dict[str, str], line: str) -> None:
    done = await run("--yes", **settings)
    assert done.code == 2
    assert done.stderr[0].startswith(line)
    assert run.imitation.exchanges == []


@pytest.mark.integration
async def test_a_profile_is_verified_as_itself(run: Verify) -> None:
    """With its own identity and key."""
    own = {"profiles__team_a__http_referer": "https://team.example", "profiles__team_a__api_key": OWN_KEY}
    done = await run("--yes", "--profile", "team-a", **own)
    assert (done.code, done.stdout[2]) == (0, "  credited to  https://team.example/ (app 100001)")
    assert run.imitation.exchanges[0].head.values(b"authorization") == [f"Bearer {OWN_KEY}".encode()]
    done = await run("--yes", "--profile", "team-b", **own)
    assert (done.code, done.stderr) == (2, ['error: There is no profile "team-b": there are team-a'])
    done = await run("--yes", "--profile", "", **own)
    assert (done.code, done.stderr) == (2, ['error: There is no profile "": there are team-a'])


@pytest.mark.integration
async def test_nothing_is_sent_unasked(run: Verify) -> None:
    """Without a terminal to ask on, `--yes` must say so; the price is told."""
    done = await run()
    assert done.code == 2
    assert done.stderr == [
        "error: One request to openai/gpt-4o-mini costs $0.0036 at most. Say --yes to send it without a question"
    ]
    assert run.imitation.exchanges == []


@pytest.mark.integration
async def test_the_price_is_the_most_that_openrouter_may_take(run: Verify) -> None:
    """What is told is what the request itself allows."""
    assert pytest.approx(0.0036) == verify.AT_MOST
    await run("--yes")
    assert run.imitation.exchanges[0].body_size < 100 * 4  # so few tokens, at four bytes each


@pytest.mark.integration
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
async def test_a_person_is_asked(run: Verify, answer: str, code: int) -> None:
    """On a terminal, where a bar shows that it waits."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENROUTER_HTTP_REFERER": "https://app.example",
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_UPSTREAM_URL": run.url,
    }
    command = [sys.executable, "-m", "proxy", "verify", "--model", "imitation/record-late", "--timeout", "30"]

    def talk() -> tuple[int, str]:
        with Terminal(command, cwd=run.folder, env=environment) as screen:
            screen.expect("imitation/record-late costs $0.0036 at most. Send it? [Y/n]: ")
            screen.type(f"{answer}\n")
            return screen.exit_code(within=30), screen.output

    ended, output = await asyncio.to_thread(talk)
    assert ended == code
    bars = {found.count("#") for found in re.findall(r"\[([#-]{20})\]", output)}
    if code == 0:
        assert "OpenRouter credits this app." in output
        assert "no record yet" in output
        assert len(bars) > 1, "the bar did not move"
    else:
        assert run.imitation.exchanges == []


@pytest.mark.integration
async def test_ctrl_c_gives_the_cursor_back(run: Verify) -> None:
    """And the command that asks again, so that what was paid for is not lost."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENROUTER_HTTP_REFERER": "https://app.example",
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_UPSTREAM_URL": run.url,
    }
    command = [sys.executable, "-m", "proxy", "verify", "--yes", "--model", "imitation/record-never"]

    def talk() -> tuple[int, str]:
        with Terminal(command, cwd=run.folder, env=environment) as screen:
            screen.resize(24, 60)
            screen.expect("no record yet, next")
            screen.type(CTRL_C)
            return screen.exit_code(within=30), screen.output

    ended, output = await asyncio.to_thread(talk)
    assert ended == 130
    drawn = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", output[output.index("\x1b[?25l") : output.rindex("Ask again")])
    widest = max(len(line.rstrip()) for line in drawn.partition("^C")[0].split("\r"))
    assert widest < 60, f"{drawn!r}: a bar that is wider than the terminal is drawn below itself"
    assert f"Ask again with:\r\n  openrouter-proxy verify {run.imitation.exchanges[0].generation_id}\r\n" in output
    assert output.rfind("\x1b[?25h") > output.rfind("\x1b[?25l"), "the cursor stays hidden"
    assert "Traceback" not in output


def settings(url: str) -> Settings:
    return Settings(http_referer="https://app.example", app_title="Example App", upstream_url=url, api_key=KEY)


class TestVerdict:
    def test_an_app_needs_both_number_and_url(self) -> None:
        """A null `http_referer` proves nothing, an URL without an app neither."""
        record = {"app_id": 1, "origin": "https://app.example/", "http_referer": None}
        assert Record.of(record).credits("https://app.example")
        assert not Record.of({**record, "app_id": None}).credits("https://app.example")
        assert not Record.of({**record, "app_id": True, "origin": ""}).credits("https://app.example")
        assert not Record.of({**record, "origin": "https://app.example/other"}).credits("https://app.example")

    def test_whatever_is_missing_is_not_there(self) -> None:
        assert Record.of({"app_id": "1", "origin": 5, "total_cost": None, "model": ""}) == Record(
            None, "", None, "-", "-", None
        )

    def test_a_title_is_shown(self) -> None:
        record = Record.of(
            {"app_id": 1, "origin": "https://app.example/", "app_title": "Example", "total_cost": 0.0001}
        )
        shown = verdict(record, settings("http://127.0.0.1:9"), Style())
        assert "  title        Example" in shown
        assert "  cost         $0.0001" in shown


@pytest.mark.parametrize("told", ["\x1b[2J", "a\nb", "sk-or-v1-0123456789abcdef"])
def test_a_records_words_are_shown_as_text(told: str) -> None:
    """They are the upstream's: nothing in them reaches the terminal as more than text, and no key does."""
    record = Record.of({"app_id": 1, "origin": told, "app_title": told, "model": told, "provider_name": told})
    shown = verdict(record, Settings(http_referer="https://app.test/"), Style())
    assert told not in shown
    assert all(line.isprintable() for line in shown.splitlines())
