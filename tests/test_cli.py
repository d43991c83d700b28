"""The commands as a user starts them."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from proxy import __version__
from proxy.cli import cli
from proxy.commands import reference
from proxy.commands.terminal import Style, columns, is_terminal, logs_json, wants_colour
from proxy.settings.model import Settings, option
from proxy.settings.variables import flag
from tests.support.canaries import assert_none
from tests.support.proxies import ROOT, spawned
from tests.support.secrets import OWN_KEY

REFERER = "https://app.test/"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


@pytest.mark.integration
def test_the_help_page_can_be_used_without_the_readme() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: openrouter-proxy ")
    for needed in (
        "http://localhost:6767/api/v1\n",
        "http://localhost:6767/api\n",
        "http://localhost:6767/v1\n",
        "export OPENROUTER_HTTP_REFERER=",
        "OPENROUTER_APP_TITLE",
        "OPENROUTER_ATTRIBUTION_MODE",
        "passthrough",
        "curl http://localhost:6767/api/v1/chat/completions",
        "openrouter-proxy check",
        "openrouter-proxy demo",
        "openrouter-proxy serve --help",
        "https://openrouter.ai/docs/app-attribution",
    ):
        assert needed in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 92
    assert run("-h").stdout == result.stdout


@pytest.mark.parametrize("command", ["serve", "check"])
def test_each_setting_but_a_secret_has_a_flag(command: str) -> None:
    page = CliRunner().invoke(cli, [command, "--help"], prog_name="openrouter-proxy").stdout
    assert page.startswith(f"Usage: openrouter-proxy {command} ")
    public = [flag(field) for field in Settings.model_fields if not option(field).secret]
    assert re.findall(r"^  (--[a-z-]+) ", page, re.MULTILINE) == [
        "--env-file",
        *public,
        *(["--profile", "--online"] if command == "check" else []),
    ]


@pytest.mark.integration
@pytest.mark.parametrize("argument", ["--version", "-V", "version"])
def test_the_version_is_shown(argument: str) -> None:
    assert run(argument).stdout == f"openrouter-proxy, version {__version__}\n"


@pytest.mark.integration
def test_help_is_a_command_too() -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "check").stdout == run("check", "--help").stdout


@pytest.mark.integration
@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_help_is_broken_at_blanks_only(columns: str) -> None:
    """What is broken in two cannot be copied; a narrow terminal gets each meaning under its flag."""
    public = [field for field in Settings.model_fields if not option(field).secret]
    words = {word for field in public for word in reference.meaning(field).split()}
    for command in ("serve", "check"):
        assert words <= set(run(command, "--help", COLUMNS=columns).stdout.split())


@pytest.mark.integration
def test_a_command_behind_a_flag_is_explained() -> None:
    result = run("--app-title", "X", "check")
    assert result.returncode == 2
    assert "Error: Write the command first: openrouter-proxy check --app-title ..." in result.stderr
    # An app may be called so.
    assert "OPENROUTER_HTTP_REFERER is not set" in run("--app-title", "check").stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    "arguments",
    [
        (OWN_KEY,),
        (f"--{OWN_KEY}",),
        ("check", OWN_KEY),
        ("check", f"--{OWN_KEY}", "x"),
        ("demo", "--port", OWN_KEY),
        ("demo", "--port", "gsk_0123456789abcdefghijCANARY"),
        ("check", "--api-key", OWN_KEY),
        (f"--access-token={OWN_KEY}",),
        ("check", "--listen", OWN_KEY),
        ("check", "--listen", "gsk_0123456789abcdefghijCANARY"),
        ("check", "--log-level", "gsk_0123456789abcdefghijCANARY"),
        ("check", "--http-referer", OWN_KEY),
        ("check", "--app-title", OWN_KEY),
        ("check", "--env-file", OWN_KEY),
    ],
)
def test_a_key_on_the_command_line_is_never_repeated(arguments: tuple[str, ...]) -> None:
    """Promise 28: not in an error either."""
    result = run(*arguments)
    assert result.returncode == 2
    assert_none(result.stdout + result.stderr, "the output")


@pytest.mark.integration
def test_a_secret_has_no_flag_and_it_is_said_where_it_goes() -> None:
    result = run("check", "--extra-headers", '{"a": "b"}')
    assert "A secret has no flag, as other programs could read it there: set OPENROUTER_EXTRA_HEADERS" in result.stderr


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [(), ("--app-title", "My App"), ("serve",)])
def test_serve_is_the_command_if_none_is_named(arguments: tuple[str, ...]) -> None:
    """Promise 31: bad configuration stops the start with one line for each fault and exit code 2."""
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: OPENROUTER_HTTP_REFERER is not set")


@pytest.mark.integration
def test_help_of_flags_alone_is_that_of_serve() -> None:
    assert run("--app-title", "My App", "--help").stdout.startswith("Usage: openrouter-proxy serve ")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chekc",), "No such command 'chekc'. Did you mean 'check'?"),
        (("check", "--app-titel", "x"), "No such option '--app-titel'."),
        (("check", "more"), "Got unexpected extra argument (more)"),
        (("check", "--app-title"), "Option '--app-title' requires an argument."),
        (("demo", "--port", "65536"), "Invalid value for '--port': 65536 is not in the range 0<=x<=65535."),
    ],
)
def test_wrong_usage_is_told_in_a_line_and_ends_with_2(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert f"Error: {message}" in result.stderr


@pytest.mark.integration
def test_a_value_that_is_not_utf_8_is_a_fault_and_no_crash() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "check", "--http-referer", REFERER],
        env={**os.environb, b"PYTHONPATH": os.fsencode(ROOT), b"OPENROUTER_APP_TITLE": b"Caf\xe9"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: OPENROUTER_APP_TITLE holds the byte 0xE9 (not UTF-8) at character 4: ")


@pytest.mark.integration
def test_an_output_that_nobody_reads_is_no_crash() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "check", "--http-referer", REFERER],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(writer)
    assert result.stderr == b""


@pytest.mark.integration
def test_an_output_without_unicode_is_no_crash() -> None:
    result = run("check", "--http-referer", REFERER, "--app-title", "Caf\u00e9", PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


# serve


@pytest.mark.integration
async def test_a_terminal_gets_a_banner_with_the_urls_to_paste(tmp_path: Path) -> None:
    async with spawned(
        "--app-title",
        "My App",
        cwd=tmp_path,
        http_referer="https://www.app.test",
        log_format="text",
        upstream_url="https://gw.example/team",
    ) as child:
        await child.until(lambda: child.stdout.endswith("www.app.test/\n\n"), "the banner")
        port = child.stdout.partition("http://127.0.0.1:")[2].partition("\n")[0]
        child.signal(signal.SIGTERM)
        assert await child.exit_code() == 0
    assert child.stderr == ""
    assert child.stdout.startswith(f"""\
openrouter-proxy {__version__} listens on http://127.0.0.1:{port}

  OpenAI-style tools     http://127.0.0.1:{port}/api/v1
  Anthropic-style tools  http://127.0.0.1:{port}/api
  tools that want /v1    http://127.0.0.1:{port}/v1
  watch requests         http://127.0.0.1:{port}/

  credited to            My App | https://www.app.test | cli-agent, programming-app
  shown at               https://openrouter.ai/apps?url=https%3A%2F%2Fwww.app.test%2F
  mode                   override: it replaces what a tool sends itself
  upstream               https://gw.example/team (OPENROUTER_UPSTREAM_URL)
  reached                direct

  warning: OPENROUTER_HTTP_REFERER is stored by OpenRouter with a slash at its end: write https://www.app.test/
  warning: OPENROUTER_HTTP_REFERER names www.app.test, another app than app.test to OpenRouter; \
stored as https://www.app.test/
""")


@pytest.mark.integration
async def test_a_log_gets_a_line_for_the_start_and_one_for_each_warning(tmp_path: Path) -> None:
    async with spawned("serve", cwd=tmp_path, http_referer="https://app.test", log_format="auto") as child:
        await child.until(lambda: child.stdout.count("\n") == 2, "the lines of the start")
        child.signal(signal.SIGINT)
        assert await child.exit_code() == 0
    started, warning = map(json.loads, child.stdout.splitlines())
    assert (started["level"], warning["level"]) == ("info", "warning")
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+", started["message"])
    assert warning["message"].startswith("OPENROUTER_HTTP_REFERER is stored by OpenRouter with a slash")
    assert child.stderr == ""


@pytest.mark.integration
async def test_passthrough_serves_without_an_identity(tmp_path: Path) -> None:
    nobody = {"http_referer": "", "app_title": "", "app_categories": ""}
    async with spawned(cwd=tmp_path, attribution_mode="passthrough", log_format="text", **nobody) as child:
        await child.until(lambda: "upstream" in child.stdout, "the banner")
        child.signal(signal.SIGTERM)
        assert await child.exit_code() == 0
    assert "credited to" not in child.stdout
    assert "passthrough: nothing is stamped" in child.stdout


@pytest.mark.integration
def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("--http-referer", REFERER, "--listen", listen)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: Cannot listen on {listen}: the port is taken")


def test_demo_runs_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run_demo(*, once: bool, port: int | None) -> int:
        asked.append((once, port))
        return 7

    monkeypatch.setattr("proxy.commands.demo.run_demo", run_demo)
    assert CliRunner().invoke(cli, ["demo", "--once", "--port", "8080"]).exit_code == 7
    assert CliRunner().invoke(cli, ["demo"]).exit_code == 7
    assert asked == [(True, 8080), (False, None)]


# The terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    assert not wants_colour(None)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_declined(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert not wants_colour(Terminal())


def test_an_empty_no_color_declines_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_colour(Terminal())


def test_a_closed_stream_is_no_terminal() -> None:
    stream = Terminal()
    stream.close()
    assert not is_terminal(stream)


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    assert not logs_json("auto", Terminal())
    assert logs_json("auto", io.StringIO())
    assert logs_json("auto", None)
    assert logs_json("json", Terminal())
    assert not logs_json("text", io.StringIO())


def test_columns_are_aligned_whatever_their_colour() -> None:
    style = Style(colour=True)
    rows = [(style.faint("a"), "b", style.good("c")), ("aaa", style.warning("bb"), "c"), ("only",)]
    assert [click.unstyle(line) for line in columns(rows)] == ["  a    b   c", "  aaa  bb  c", "  only"]
    assert columns([("a", "b"), ("", "")], indent=0, gap=1) == ["a b", ""]


def test_without_colour_text_stays_as_it_is() -> None:
    style = Style()
    for styled in (style.heading, style.good, style.warning, style.error, style.faint):
        assert styled("text") == "text"
    assert Style(colour=True).error("text") == "\033[31mtext\033[0m"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("typed", "offered"), [("ser", {"serve", "service"}), ("hea", {"health"}), ("", {"check", "demo"})]
)
def test_a_shell_completes_commands(typed: str, offered: set[str]) -> None:
    """As docs/running.md sets it up in one line."""
    result = run(_OPENROUTER_PROXY_COMPLETE="bash_complete", COMP_WORDS=f"openrouter-proxy {typed}", COMP_CWORD="1")
    assert offered <= {line.partition(",")[2] for line in result.stdout.splitlines()}
