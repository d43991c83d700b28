"""The demo: what a newcomer sees first, and whether it would notice that the product does not work."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import httpx2 as httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from proxy.app import create_app
from proxy.commands import demo
from proxy.commands.demo import run_demo
from proxy.commands.program import start_command
from proxy.headers import HeaderList
from proxy.middleware import attribution
from proxy.observe.record import Outcome
from proxy.openrouter.attribution import Attribution, Mode
from proxy.settings.model import Settings
from tests.support.proxies import ROOT, ProxyProcess

pytestmark = pytest.mark.integration

KEYLESS = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, nobody watches the events."""
    monkeypatch.setattr(demo, "_PACE", 0)
    monkeypatch.setattr(demo, "_PATIENCE", 1)


@asynccontextmanager
async def demo_process(*arguments: str, cwd: Path, **environment: str) -> AsyncIterator[ProxyProcess]:
    """Runs ``openrouter-proxy demo`` as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "proxy", "demo", *arguments),
        cwd=cwd,
        env={**os.environ, **KEYLESS, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    child = ProxyProcess(process)
    try:
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        await child.exit_code()


class TestTranscript:
    def test_shows_the_proof_in_less_than_forty_lines(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both heads, what became of each line, the tokens, the checks and what to do next, on one screen."""
        monkeypatch.chdir(ROOT)  # elsewhere, the last line has the path of the checkout

        assert run_demo(once=True) == 0

        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert err == ""
        assert len(lines) < 40
        assert max(map(len, lines)) <= 80
        for sent, received, what in [
            ("HTTP-Referer: https://tool.test", "HTTP-Referer: https://example.com", "replaced"),
            ("X-Title: Some Tool", "X-Title: My App", "replaced"),
            ("", "X-OpenRouter-Title: My App", "added"),
            ("", "X-OpenRouter-Categories: cli-agent", "added"),
            ("Connection: keep-alive", "", "gone"),
            ("Authorization: Bearer sk-or-demo", "authorization: Bearer sk-or-demo", "same"),
        ]:
            assert any(re.fullmatch(rf"{re.escape(sent)} +{re.escape(received)} +{what}", line) for line in lines)
        tokens = [match[1] for line in lines if (match := re.fullmatch(r" +[\d.]+ +[\d.]+  (\S.*)", line))]
        assert tokens[2:7] == ["Credited", "to", "My", "App,", "https://example.com/"]
        assert tokens[-1] == "data: [DONE]"
        assert len([line for line in lines if line.startswith("ok  ")]) == 5
        assert "FAILED" not in out
        assert lines[-1] == f"  OPENROUTER_HTTP_REFERER=https://your-app.example {start_command()}"

    @pytest.mark.slow
    async def test_stays_up_to_be_tried(self, tmp_path: Path) -> None:
        """It goes on until SIGTERM, and the command that it shows works; then it ends with 0 and no word more."""
        (tmp_path / ".env").write_text("OPENROUTER_HTTP_REFERER=not a URL\n")
        environment = {"OPENROUTER_HTTP_REFERER": "nor this", "OPENROUTER_LISTEN": "nor that", "NO_COLOR": "1"}
        environment |= {"HTTPS_PROXY": "nor a URL", "ALL_PROXY": "nor this", "OPENROUTER_OUTBOUND_PROXY": "nor that"}
        async with demo_process(cwd=tmp_path, **environment) as child:
            await child.until(lambda: re.search(r"your-app\.example .+\n", child.stdout), "what to do next")
            url, key, body = _command(child.stdout)
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(url, content=body, headers={"Authorization": key})
            assert "".join(re.findall(r'"content":"(.*?)"', answer.text)) == "Credited to My App, https://example.com/"
            await child.until(lambda: "POST /api/v1/chat/completions  first byte" in child.stdout, "the access line")

            child.signal(signal.SIGTERM)

            assert await child.exit_code() == 0
            assert child.stderr == ""
            assert len(child.stdout.splitlines()) <= 41  # the transcript, and one access line below it

    @pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--once",), 130)])
    @pytest.mark.slow
    async def test_ctrl_c_in_the_middle(self, tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
        """Ctrl+C ends it at any moment without a traceback; an interrupted proof proves nothing."""
        async with demo_process(*arguments, cwd=tmp_path) as child:
            await child.until(lambda: "OPENROUTER PROCESSING" in child.stdout, "the first event")
            child.signal(signal.SIGINT)

            assert await child.exit_code() == code
            assert child.stderr == ""

    @pytest.mark.parametrize("arguments", [("--once",), ()])
    async def test_nobody_reads_on(self, tmp_path: Path, arguments: tuple[str, ...]) -> None:
        """`demo | head -3` is quiet, as any command is whose reader has gone."""
        async with demo_process(*arguments, cwd=tmp_path) as child:
            await child.until(lambda: "OpenRouter received" in child.stdout, "the third line")
            child.close_output()

            assert await child.exit_code() == 1
            assert child.stderr == ""

    def test_the_next_free_port(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The demo has a port of its own, and takes the next one if somebody has that already."""
        assert min(demo._PORTS) == 6776
        with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
            taken = first.getsockname()[1]
            free = second.getsockname()[1]
            second.close()
            monkeypatch.setattr(demo, "_PORTS", (taken, free))
            assert run_demo(once=True) == 0
            assert f"Host: 127.0.0.1:{free}" in capsys.readouterr().out

    def test_a_given_port(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The proxy can be put where the user wants it; a taken port is said in one line."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert run_demo(once=True, port=port) == 1
            out, err = capsys.readouterr()
            assert err == f"Cannot listen on 127.0.0.1:{port}: take another --port, or leave it out.\n"
            assert out == ""
        assert run_demo(once=True, port=port) == 0
        assert f"Host: 127.0.0.1:{port}" in capsys.readouterr().out

    def test_colours_only_add_to_the_text(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With colours, the columns stay aligned."""
        monkeypatch.setattr(demo, "wants_colour", lambda _stream: True)

        assert run_demo(once=True) == 0

        out = capsys.readouterr().out
        assert "\x1b[32m" in out
        places = {line.index(what) for line in click.unstyle(out).splitlines() if (what := _verdict(line))}
        assert len(places) == 1


def _command(transcript: str) -> tuple[str, str, str]:
    """URL, Authorization and body of the curl command that is shown."""
    found = re.search(r"curl -N (\S+) .*?-H \"Authorization: (.+?)\" .*?-d '(.+?)'", transcript, re.DOTALL)
    assert found
    return found[1], found[2], found[3]


def _verdict(line: str) -> str:
    found = re.search(r"\b(?:same|gone|replaced|added|its own)$", line)
    return found[0] if found else ""


class TestHonesty:
    """A broken proxy makes the demo fail, and say where."""

    def failed(self, capsys: pytest.CaptureFixture[str]) -> list[str]:
        assert run_demo(once=True) == 1
        return [line.removeprefix("FAILED  ") for line in capsys.readouterr().out.splitlines() if "FAILED" in line]

    def test_without_the_stamp(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The tool's own attribution arrives."""

        def untouched(headers: HeaderList, *_: Any, **__: Any) -> tuple[HeaderList, Outcome]:
            return headers, "passed"

        monkeypatch.setattr(attribution, "stamp", untouched)

        failed = self.failed(capsys)
        assert len(failed) == 3
        assert failed[0].startswith("exactly the configured attribution")
        assert failed[1].endswith("is credited to https://tool.test/")

    def test_with_a_leftover(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The right attribution arrives, and a line of the tool's beside it."""

        def added(headers: HeaderList, ours: Attribution | None, *_: Any, **__: Any) -> tuple[HeaderList, Outcome]:
            return [*headers, *(ours.headers if ours else ())], "stamped"

        monkeypatch.setattr(attribution, "stamp", added)

        assert self.failed(capsys)[0].startswith("exactly the configured attribution")

    def test_with_an_invented_header(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A header that the tool did not send arrives."""
        original = attribution.stamp

        def inventive(
            headers: HeaderList, ours: Attribution | None, mode: Mode, *, claims: bool
        ) -> tuple[HeaderList, Outcome]:
            return original([*headers, (b"Via", b"1.1 proxy")], ours, mode, claims=claims)

        monkeypatch.setattr(attribution, "stamp", inventive)

        assert self.failed(capsys) == ["every other header and every byte of the body arrived unchanged"]

    def test_when_events_are_held_back(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy that collects the answer before it passes it on."""

        def collecting(settings: Settings) -> Any:
            app = create_app(settings)

            async def collect(scope: Scope, receive: Receive, send: Send) -> None:
                held: list[Message] = []

                async def hold(message: Message) -> None:
                    held.append(message)
                    if message["type"] != "http.response.body" or not message.get("more_body", False):
                        for each in held:
                            await send(each)
                        held.clear()

                await app.handler(scope, receive, hold)

            return replace(app, handler=collect)

        monkeypatch.setattr("proxy.commands.demo.create_app", collecting)
        monkeypatch.setattr(demo, "_PATIENCE", 0.05)

        assert "each event reached the tool unchanged, before OpenRouter sent the next" in self.failed(capsys)

    def test_when_the_answer_is_changed(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy that writes an event anew, with a blank more."""

        def rewriting(settings: Settings) -> Any:
            app = create_app(settings)

            async def rewrite(scope: Scope, receive: Receive, send: Send) -> None:
                async def write(message: Message) -> None:
                    if b"data: " in message.get("body", b""):  # not in one that is compressed
                        message = {**message, "body": message["body"].replace(b'":', b'": ')}
                    await send(message)

                await app.handler(scope, receive, write)

            return replace(app, handler=rewrite)

        monkeypatch.setattr("proxy.commands.demo.create_app", rewriting)

        assert self.failed(capsys) == ["each event reached the tool unchanged, before OpenRouter sent the next"]

    def test_when_an_answer_cannot_be_decompressed(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy that changes bytes of a compressed answer: the demo says that it broke off, without a traceback."""

        def corrupting(settings: Settings) -> Any:
            app = create_app(settings)

            async def corrupt(scope: Scope, receive: Receive, send: Send) -> None:
                async def write(message: Message) -> None:
                    body = message.get("body", b"")
                    if body.startswith(b"\x1f\x8b"):  # gzip (RFC 1952, 2.3.1)
                        message = {**message, "body": body[:10] + bytes(len(body) - 10)}
                    await send(message)

                await app.handler(scope, receive, write)

            return replace(app, handler=corrupt)

        monkeypatch.setattr("proxy.commands.demo.create_app", corrupting)

        assert run_demo(once=True) == 1
        assert "The chat broke off: DecodingError" in capsys.readouterr().out

    def test_when_a_hop_by_hop_header_crosses(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A header of the tool's connection arrives."""
        original = attribution.stamp

        def leaking(
            headers: HeaderList, ours: Attribution | None, mode: Mode, *, claims: bool
        ) -> tuple[HeaderList, Outcome]:
            return original([*headers, (b"Connection", b"keep-alive")], ours, mode, claims=claims)

        monkeypatch.setattr(attribution, "stamp", leaking)

        assert self.failed(capsys) == ["every other header and every byte of the body arrived unchanged"]

    def test_when_nothing_arrives(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that answers by itself."""
        monkeypatch.setattr(demo, "PATH", "/nowhere")

        assert run_demo(once=True) == 1
        assert "Nothing reached the imitation." in capsys.readouterr().out

    def test_when_the_answer_breaks_off(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A chat without its end proves no streaming."""
        monkeypatch.setattr(demo, "BODY", demo.BODY.replace(b"credit", b"cut"))

        assert "each event reached the tool unchanged, before OpenRouter sent the next" in self.failed(capsys)
