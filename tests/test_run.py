"""``run`` against an imitation of OpenRouter: stamped, with the real key, which the command never has (promise 36)."""

import asyncio
import fcntl
import json
import os
import re
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.commands.run.command import Options, Refused, closing, run
from proxy.commands.run.door import Door
from proxy.commands.run.ending import Ended
from proxy.commands.run.folder import temporary_folder, write_files
from proxy.imitation import Imitation, create_imitation, serving
from proxy.settings.model import Settings
from tests.support.footprint import Footprint
from tests.support.marks import needs_curl
from tests.support.proxies import STAMP, spawned
from tests.support.secrets import KEY, OWN_KEY

PYTHON = sys.executable
ASK = """
import json, os, sys, urllib.request, urllib.error
token = os.environ["OPENAI_API_KEY"]
def ask(headers, path="/chat/completions", model="imitation/hello", base=os.environ["OPENAI_BASE_URL"]):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}).encode()
    request = urllib.request.Request(base + path, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
"""
ASK_ONCE = ASK + 'print(ask({"Authorization": f"Bearer {token}"})[0])'


class Finished(NamedTuple):
    code: int
    stdout: str
    stderr: list[str]


@dataclass
class Launch:
    """Runs ``run``, in an empty folder, with the key in the environment, against the imitation."""

    imitation: Imitation
    url: str
    folder: Path
    temporary: Path

    async def __call__(self, *words: str, **settings: str) -> Finished:
        given = {"upstream_url": self.url, "api_key": KEY, **settings}
        async with spawned("run", *words, cwd=self.folder, **given) as child:
            code = await child.exit_code(within=20)
            # The app of all these tests is an example's, without a slash at its end, and that is told each time.
            lines = [line for line in child.stderr.splitlines() if "warning: OPENROUTER_HTTP_REFERER" not in line]
            return Finished(code, child.stdout, lines)


@pytest.fixture
async def launch(footprint: Footprint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Launch]:
    made = create_imitation(record_delay=0)
    folder, temporary = tmp_path / "here", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    async with serving(made) as url:
        yield Launch(made, url, folder, temporary)
    assert not list(temporary.iterdir()), "a temporary file is left"


def values(launch: Launch, name: bytes, n: int = 0) -> list[bytes]:
    return launch.imitation.exchanges[n].head.values(name)


@pytest.mark.integration
class TestTheWayThrough:
    async def test_the_real_key_takes_the_place_of_the_token(self, launch: Launch) -> None:
        """And the stamp is there; what the command prints is all that stands on stdout."""
        done = await launch("--", PYTHON, "-c", ASK_ONCE)
        assert (done.code, done.stdout) == (0, "200\n")
        assert values(launch, b"authorization") == [f"Bearer {KEY}".encode()]
        head = launch.imitation.exchanges[0].head
        assert [line for line in head.headers if line[0] in {name for name, _ in STAMP}] == STAMP
        (line,) = done.stderr
        assert re.fullmatch(
            r"openrouter-proxy: requests through http://127\.0\.0\.1:\d+ are credited to "
            r"Example App \| https://app\.example \| cli-agent, programming-app",
            line,
        )

    async def test_anthropics_dialect(self, launch: Launch) -> None:
        """By x-api-key as well, at the base URL of Anthropic's tools."""
        script = ASK + 'print(ask({"x-api-key": token}, "/v1/messages", base=os.environ["ANTHROPIC_BASE_URL"])[0])'
        done = await launch("--", PYTHON, "-c", script)
        assert done.stdout == "200\n"
        assert values(launch, b"authorization") == [f"Bearer {KEY}".encode()]
        assert values(launch, b"x-api-key") == []

    @needs_curl
    async def test_a_request_before_the_proxy_is_ready_waits(self, launch: Launch) -> None:
        """The port is open before the command starts."""
        done = await launch("--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:1/")
        assert done.code == 7  # what curl says where nobody listens: the test's own check
        done = await launch("--", "sh", "-c", 'curl -sS "$OPENROUTER_HOST/healthz"')
        assert done == (0, "ok\n", done.stderr)

    async def test_the_key_may_stand_in_a_file(self, launch: Launch, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(KEY)
        done = await launch("--", PYTHON, "-c", ASK_ONCE, api_key="", api_key_file=str(file))
        assert (done.code, done.stdout) == (0, "200\n")

    async def test_the_key_may_stand_in_a_file_of_settings(
        self, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That the user names, or that is always the user's own."""
        file = tmp_path / "settings"
        file.write_text(f"OPENROUTER_API_KEY={KEY}\n")
        file.chmod(0o600)
        done = await launch("--env-file", str(file), "--", PYTHON, "-c", ASK_ONCE, api_key="")
        assert (done.code, done.stdout) == (0, "200\n")
        own = tmp_path / "config/openrouter-proxy/env"
        own.parent.mkdir(parents=True)
        file.rename(own)
        program = tool(launch, "asks", ASK_ONCE)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        done = await launch("--", program, api_key="")
        assert (done.code, done.stdout) == (0, "200\n")

    async def test_no_file_of_the_folder_is_read(self, launch: Launch) -> None:
        """Promise 37: neither a harmless line of its .env nor one that would stop every other command."""
        (launch.folder / ".env").write_text(
            f"OPENROUTER_API_KEY={OWN_KEY}\nOPENROUTER_UPSTREAM_URL=https://evil.example\nOPENROUTER_APP_TITLE=Evil\n"
        )
        done = await launch("--", PYTHON, "-c", ASK_ONCE)
        assert (done.code, done.stdout) == (0, "200\n")
        assert values(launch, b"x-title") == [b"Example App"]
        done = await launch("--", "true", api_key="")
        assert done.code == 125

    async def test_the_key_may_stand_under_another_name(self, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command has the token under that name as well."""
        monkeypatch.setenv("MY_KEY", KEY)
        script = ASK + 'assert os.environ["MY_KEY"] == token; print(ask({"Authorization": f"Bearer {token}"})[0])'
        done = await launch("--key-env", "MY_KEY", "--", PYTHON, "-c", script, api_key="")
        assert (done.code, done.stdout) == (0, "200\n")

    async def test_a_command_can_be_a_profile(self, launch: Launch) -> None:
        """With its identity and its key, and no way to another one's."""
        own = {"profiles__team_a__http_referer": "https://team.example", "profiles__team_a__api_key": OWN_KEY}
        script = (
            f'{ASK}\nprint(ask({{"Authorization": f"Bearer {{token}}"}})[0])\n'
            'print(ask({"Authorization": f"Bearer {token}"}, base=os.environ["OPENROUTER_HOST"] + "/team-a/api/v1")[0])'
        )
        done = await launch("--profile", "team-a", "--", PYTHON, "-c", script, **own)
        assert done.stdout == "200\n404\n"
        assert values(launch, b"authorization") == [f"Bearer {OWN_KEY}".encode()]
        assert values(launch, b"http-referer") == [b"https://team.example"]
        done = await launch("--", PYTHON, "-c", script, **own)
        assert done.stdout == "200\n404\n"
        assert values(launch, b"authorization", 1) == [f"Bearer {KEY}".encode()]

    async def test_no_profiles_key_is_passed_on(self, launch: Launch) -> None:
        own = {"profiles__team_a__http_referer": "https://team.example", "profiles__team_a__api_key": OWN_KEY}
        script = f"import os; print([n for n, v in os.environ.items() if {OWN_KEY[:20]!r} in v])"
        assert (await launch("--", PYTHON, "-c", script, **own)).stdout == "[]\n"

    async def test_without_an_identity_a_profile_must_be_named(self, launch: Launch) -> None:
        own = {"profiles__team_a__http_referer": "https://team.example", "http_referer": "", "app_title": ""}
        done = await launch("--", "true", app_categories="", **own)
        assert done.code == 125
        assert done.stderr == [
            "error: Without a profile there is no app to be credited: choose one with --profile (there are team-a)"
        ]
        done = await launch("--profile", "team-b", "--", "true", app_categories="", **own)
        assert done.stderr == ['error: There is no profile "team-b": there are team-a']

    async def test_what_is_doubtful_is_told(self, launch: Launch) -> None:
        """As serve and check do, before the command starts; also where a doubt is the reason for a fault."""
        misspelt = {"app_titel": "App"}
        doubt = "warning: OPENROUTER_APP_TITEL is not a setting: did you mean OPENROUTER_APP_TITLE?"
        done = await launch("--", PYTHON, "-c", ASK_ONCE, **misspelt)
        assert (done.code, done.stderr[0]) == (0, f"openrouter-proxy: {doubt}")
        done = await launch("--", "true", http_referer="", **misspelt)
        assert (done.code, done.stderr[-1]) == (125, doubt)

    async def test_a_profile_without_a_name_is_none(self, launch: Launch) -> None:
        """As a script writes it whose variable is not set: nobody else is credited, and nobody else pays."""
        done = await launch("--profile", "", "--", "true")
        assert (done.code, done.stderr) == (125, ['error: There is no profile "": there are none'])

    async def test_words_that_look_like_our_options_are_the_commands(self, launch: Launch) -> None:
        """With or without ``--``, what comes behind the program's name is its own."""
        script = "import sys; print(sys.argv[1:])"
        for dashes in ([], ["--"]):
            done = await launch(*dashes, PYTHON, "-c", script, "--log", "--", "--help")
            assert done.stdout == "['--log', '--', '--help']\n"

    async def test_the_log_goes_to_a_file_of_ones_own(self, launch: Launch, tmp_path: Path) -> None:
        log = tmp_path / "log"
        await launch("--log", str(log), "--", PYTHON, "-c", ASK_ONCE)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["status"] for line in lines if "status" in line] == [200]
        assert KEY not in log.read_text()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.integration
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "headers",
        [
            "{}",
            f'{{"Authorization": "Bearer {OWN_KEY}"}}',
            f'{{"Authorization": f"Bearer {{token}}", "x-api-key": "{OWN_KEY}"}}',
            f'{{"Authorization": "Bearer {OWN_KEY}", "x-api-key": token}}',
            '{"x_api_key": token + "x"}',
            '{"Authorization": "Bearer sk-ant-CANARY"}',
        ],
    )
    async def test_anything_but_the_token(self, launch: Launch, headers: str) -> None:
        """It gets a 401 of ours, and nothing of it reaches OpenRouter."""
        done = await launch(
            "--", PYTHON, "-c", f"{ASK}\nstatus, text = ask({headers}); print(status, 'access-token-required' in text)"
        )
        assert done.stdout == "401 True\n"
        assert launch.imitation.exchanges == []

    async def test_a_key_of_its_own_is_told_at_the_end(self, launch: Launch) -> None:
        """Once, and not which."""
        script = f'{ASK}\nfor n in range(3): ask({{"Authorization": "Bearer {OWN_KEY}"}})'
        done = await launch("--", PYTHON, "-c", script)
        assert len(done.stderr) == 2
        assert done.stderr[1].endswith(
            "came 3 times with an OpenRouter key of its own in place of its token, and was refused (401)"
        )

    async def test_a_question_without_any_credential_is_not_told(self, launch: Launch) -> None:
        """Of a command that came with its token as well: some ask for the list of models that way."""
        script = f'{ASK}\nprint(ask({{}})[0], ask({{"Authorization": f"Bearer {{token}}"}})[0])'
        done = await launch("--", PYTHON, "-c", script)
        assert (done.stdout, len(done.stderr)) == ("401 200\n", 1)
        done = await launch("--", PYTHON, "-c", f"{ASK}\nask({{}})")
        assert done.stderr[1].endswith(
            "came once with another credential, or none, in place of its token, and was refused (401)"
        )

    async def test_where_a_known_tool_takes_its_key_from_is_told(self, launch: Launch) -> None:
        program = tool(launch, "hermes", f'{ASK}\nask({{"Authorization": "Bearer {OWN_KEY}"}})')
        done = await launch("--", program)
        assert "it takes one from ~/.hermes/.env" in done.stderr[1]
        assert done.stderr[1].endswith("(openrouter-proxy tools hermes)")

    async def test_a_command_that_never_came_is_told(self, launch: Launch) -> None:
        """With the reason that is known for it."""
        done = await launch("--", tool(launch, "gptme", "pass"))
        assert done.stderr[1].startswith("openrouter-proxy: gptme has ended without one request through the proxy: ")
        assert "fixed address" in done.stderr[1]

    async def test_a_command_that_was_asked_about_itself_need_not_come(self, launch: Launch) -> None:
        done = await launch("--", tool(launch, "codex", "pass"), "--version")
        assert len(done.stderr) == 1

    async def test_a_tool_that_cannot_is_told_at_once(self, launch: Launch) -> None:
        done = await launch("--", tool(launch, "gemini", "pass"))
        assert done.stderr[0].startswith("openrouter-proxy: Gemini CLI cannot be pointed at this proxy: ")


def tool(launch: Launch, name: str, script: str) -> str:
    """A program of that name, in a folder that is in no one's way."""
    path = launch.folder / name
    path.write_text(f"#!{PYTHON}\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.integration
class TestItsEnd:
    @pytest.mark.parametrize("code", [0, 1, 2, 125, 255])
    async def test_the_exit_code_is_the_commands(self, launch: Launch, code: int) -> None:
        assert (await launch("--", "sh", "-c", f"exit {code}")).code == code

    async def test_a_command_that_is_not_found(self, launch: Launch) -> None:
        done = await launch("--", "no-such-command")
        assert done == (127, "", ["error: 'no-such-command' is not found: is it installed, and in PATH?"])

    async def test_a_command_that_cannot_be_executed(self, launch: Launch) -> None:
        (launch.folder / "plain").write_text("text")
        done = await launch("--", "./plain")
        assert done.code == 126
        assert done.stderr[-1] == "error: './plain' cannot be executed: Permission denied"

    async def test_a_script_without_an_interpreter_is_the_shells(self, launch: Launch) -> None:
        """As for every other program that starts one."""
        script = launch.folder / "script"
        script.write_text("echo hello $1\n")
        script.chmod(0o755)
        assert (await launch("--", "./script", "you")).stdout == "hello you\n"

    async def test_nobody_listens_afterwards(self, launch: Launch) -> None:
        """A daemon that the command has left finds neither proxy nor token, though it holds what the command had."""
        script = (
            "import os, sys, subprocess\n"
            "print(os.environ['OPENROUTER_HOST'], flush=True)\n"
            "child = subprocess.Popen(['sleep', '60'], stdin=-3, stdout=-3, stderr=-3, start_new_session=True)\n"
            "print(child.pid)\n"
        )
        done = await launch("--", PYTHON, "-c", script)
        url, pid = done.stdout.split()
        try:
            with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", urlsplit(url).port)):
                pass
        finally:
            os.kill(int(pid), 9)

    @needs_curl
    async def test_an_open_stream_ends_with_the_command(self, launch: Launch) -> None:
        """One that a process it has left behind still reads."""
        script = (
            ASK + "import subprocess\n"
            "body = json.dumps({'model': 'imitation/silent-stream', 'stream': True, 'messages': []})\n"
            "left = subprocess.Popen(['curl', '-sSN', '-o', 'stream', '-H', f'Authorization: Bearer {token}', '-H', "
            "'Content-Type: application/json', '-d', body, os.environ['OPENAI_BASE_URL'] + '/chat/completions'], "
            "stdin=-3, stdout=-3, stderr=-3, start_new_session=True)\n"
            "import time\n"
            "while not os.path.exists('stream') or not os.path.getsize('stream'): time.sleep(0.01)\n"
        )
        done = await launch("--", PYTHON, "-c", script)
        assert done.code == 0
        exchange = launch.imitation.exchanges[0]
        await exchange.ended.wait()
        assert exchange.left

    async def test_no_zombie_is_left_of_the_command(self, launch: Launch) -> None:
        done = await launch("--", "sh", "-c", "echo $PPID")
        assert not Path(f"/proc/{done.stdout.strip()}").exists()


@pytest.mark.integration
class TestWhatItInherits:
    async def test_limits_and_files(self, launch: Launch) -> None:
        """The same as without `run`: its folder, mask and limits, and a file that its shell has opened for it."""
        (launch.folder / "file").write_text("from the shell\n")
        script = "pwd; umask; ulimit -Sn; ulimit -Hn; ulimit -Hc; cat <&3"
        opened = ["sh", "-c", 'umask 027; ulimit -Sn 200; exec 3<file; exec "$@"', "sh"]
        given = {"upstream_url": launch.url, "api_key": KEY}
        async with spawned("run", "--", "sh", "-c", script, cwd=launch.folder, prefix=opened, **given) as child:
            assert await child.exit_code(within=20) == 0
            through = child.stdout
        plain = await asyncio.create_subprocess_exec(
            *opened, "sh", "-c", script, cwd=launch.folder, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await plain.communicate()
        assert through == out.decode()
        assert through.splitlines()[1:3] == ["0027", "200"]
        assert through.endswith("from the shell\n")

    async def test_nothing_of_the_proxys_is_open_in_it(self, launch: Launch) -> None:
        """No socket, no log: only what was there before."""
        log = launch.folder / "log"
        done = await launch(
            "--log", str(log), "--", PYTHON, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"
        )
        assert done.stdout == "['0', '1', '2', '3']\n"  # the last is of the listing itself


class TestBeforeItsStart:
    @pytest.mark.integration
    async def test_without_a_key_nothing_is_started(self, launch: Launch) -> None:
        done = await launch("--", "touch", "started", api_key="")
        assert done.code == 125
        (line,) = done.stderr
        assert line.startswith("error: no OpenRouter key is set: set OPENROUTER_API_KEY, or OPENROUTER_API_KEY_FILE to")
        assert not (launch.folder / "started").exists()

    @pytest.mark.integration
    async def test_a_key_variable_that_is_not_set(self, launch: Launch) -> None:
        """No other key pays in its place."""
        for other in ("", KEY):
            done = await launch("--key-env", "MY_KEY", "--", "true", api_key=other)
            assert (done.code, done.stderr) == (125, ["error: MY_KEY is not set: set it to your OpenRouter key"])

    @pytest.mark.integration
    async def test_a_key_that_is_none(self, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_KEY", "two words")
        done = await launch("--key-env", "MY_KEY", "--", "true")
        assert done.code == 125
        assert done.stderr[0].startswith("error: MY_KEY is empty, or holds a blank")

    @pytest.mark.integration
    async def test_wrong_settings(self, launch: Launch) -> None:
        done = await launch("--", "touch", "started", http_referer="")
        assert done.code == 125
        assert done.stderr[0].startswith("error: OPENROUTER_HTTP_REFERER is not set")
        assert not (launch.folder / "started").exists()

    @pytest.mark.integration
    @pytest.mark.parametrize("words", [["--no-such-option", "--", "true"], [], ["--"]])
    async def test_wrong_usage(self, launch: Launch, words: list[str]) -> None:
        done = await launch(*words)
        assert (done.code, done.stdout) == (125, "")
        assert done.stderr[0].startswith("Usage: openrouter-proxy run ")

    @pytest.mark.integration
    async def test_a_key_on_the_command_line(self, launch: Launch) -> None:
        """Where every program of the machine could read it; the message does not repeat it."""
        done = await launch("--", "curl", "-H", f"Authorization: Bearer {KEY}")
        assert done.code == 125
        assert done.stderr[0].startswith("error: the command line holds your key")

    @pytest.mark.integration
    async def test_a_run_within_a_run(self, launch: Launch) -> None:
        done = await launch("--", PYTHON, "-m", "proxy", "run", "--", "true")
        assert done.code == 125
        assert any("inside of another `openrouter-proxy run`" in line for line in done.stderr)

    @pytest.mark.integration
    async def test_certificates_that_cannot_be_believed(self, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
        """Found out before the command starts."""
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
        done = await launch("--", "touch", "started", upstream_url="https://127.0.0.1:9")
        assert done.code == 125
        assert done.stderr[0].startswith('error: SSL_CERT_FILE names "/nowhere", which is not there')
        assert not (launch.folder / "started").exists()

    @pytest.mark.integration
    async def test_no_room_for_a_tools_file(self, launch: Launch) -> None:
        program = tool(launch, "cn", "open('started', 'w')")
        full = ["prlimit", "--fsize=0"]  # as a full disk, for this process
        given = {"upstream_url": launch.url, "api_key": KEY}
        async with spawned("run", "--", program, cwd=launch.folder, prefix=full, **given) as child:
            assert await child.exit_code(within=20) == 125
            assert child.stderr.startswith(
                "error: this program needs a temporary file, and none can be written: set TMPDIR"
            )
        assert not (launch.folder / "started").exists()

    def test_no_port(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*arguments: object, **more: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(socket, "create_server", refuse)
        monkeypatch.setenv("OPENROUTER_HTTP_REFERER", "https://app.example")
        monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
        with pytest.raises(Refused, match=r"no port of this machine can be listened on \(Too many open files\)"):
            run(Options(("true",)), print)

    @pytest.mark.integration
    def test_no_thread_once_the_command_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is refused its connections, and told at the end."""

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        door = Door()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        door.open(Settings(http_referer="https://app.example", api_key=KEY), "token")
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", urlsplit(door.origin).port)):
            pass
        door.close()
        line = closing(door, Ended(), ["x"], None)
        assert line == "the proxy failed (RuntimeError), so x could reach nothing through it: please report it"

    @pytest.mark.integration
    async def test_a_log_that_cannot_be_written(self, launch: Launch) -> None:
        done = await launch("--log", "no/such/folder", "--", "true")
        assert (done.code, done.stderr) == (
            125,
            ["error: --log 'no/such/folder' cannot be written (No such file or directory)"],
        )


class TestFiles:
    @pytest.mark.integration
    async def test_a_tools_file_is_private_and_goes(self, launch: Launch) -> None:
        """In a folder of its own; the fixture sees that nothing is left."""
        script = (
            "import os, sys\npath = sys.argv[2]\n"
            "print(sys.argv[1], oct(os.stat(path).st_mode), oct(os.stat(os.path.dirname(path)).st_mode))\n"
            "text = open(path).read()\n"
            "print(os.environ['OPENAI_BASE_URL'] in text, os.environ['OPENAI_API_KEY'] in text)"
        )
        done = await launch("--", tool(launch, "cn", script))
        assert done.stdout == "--config 0o100600 0o40700\nTrue False\n"

    @pytest.mark.integration
    async def test_a_tool_may_change_and_add_files_there(self, launch: Launch) -> None:
        script = (
            "import os\npath = os.environ['CLINE_PROVIDER_SETTINGS_PATH']\n"
            "open(path, 'w').write('x')\nos.makedirs(path + '.d/a'); open(path + '.d/a/b', 'w').close()"
        )
        assert (await launch("--", tool(launch, "cline", script))).code == 0

    @pytest.mark.integration
    async def test_the_folder_of_a_run_that_was_killed_goes_with_the_next(self, launch: Launch) -> None:
        """And only that: what belongs to one that lives stays."""
        mine = launch.temporary / "openrouter-proxy-run-alive"
        dead = launch.temporary / "openrouter-proxy-run-dead"
        for folder in (mine, dead):
            folder.mkdir(0o700)
            (folder / ".lock").touch()
            (folder / "settings.json").touch()
        with (mine / ".lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await launch("--", tool(launch, "cn", "pass"))
            assert [path.name for path in launch.temporary.iterdir()] == [mine.name]
        await launch("--", tool(launch, "cn", "pass"))

    def test_a_folder_that_is_just_being_made_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        newborn = tmp_path / "openrouter-proxy-run-newborn"
        newborn.mkdir()
        with temporary_folder():
            assert newborn.exists()
        os.utime(newborn, (0, 0))
        with temporary_folder() as folder:
            assert not newborn.exists()
            write_files(folder, {"a": "ü"})
            assert (folder / "a").read_bytes() == "ü".encode()

    @pytest.mark.integration
    async def test_without_flags_there_is_no_file(self, launch: Launch) -> None:
        done = await launch("--no-flags", "--", tool(launch, "cn", "import sys; print(sys.argv[1:])"))
        assert done.stdout == "[]\n"


class TestDryRun:
    def test_shows_what_would_be_done_and_no_secret(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("OPENROUTER_HTTP_REFERER", "https://app.example")
        monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_ORG_ID", "org-CANARY")
        monkeypatch.setenv("OPENCODE_CONFIG_CONTENT", '{"provider": {"x": {"apiKey": "CANARY"}}}')
        monkeypatch.setenv("MY_COPY", KEY)
        shown = CliRunner().invoke(cli, ["run", "--dry-run", "--", "cn", "-p", "hi there"])
        assert shown.exit_code == 0
        for line in (
            "  cn --config FOLDER/config.yaml -p 'hi there'",
            "  recognised as  Continue CLI (yes)",
            "  inserted       --config FOLDER/config.yaml",
            "  key            is set, and stays with the proxy",
            "  OPENAI_ORG_ID",
            "  ANTHROPIC_API_KEY",
            "  config.yaml",
            "        apiBase: http://127.0.0.1:PORT/api/v1",
        ):
            assert line in shown.output.splitlines()
        assert re.search(r"OPENAI_API_KEY +TOKEN$", shown.output, re.MULTILINE)
        assert re.search(r"OPENCODE_CONFIG_CONTENT .+\(joined with yours\)$", shown.output, re.MULTILINE)
        assert re.search(r"MY_COPY +with TOKEN in place of the key$", shown.output, re.MULTILINE)
        assert "CANARY" not in shown.output
        assert not list(tmp_path.iterdir())

    def test_needs_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENROUTER_HTTP_REFERER", "https://app.example")
        shown = CliRunner().invoke(cli, ["run", "--dry-run", "--", "claude"])
        assert shown.exit_code == 0
        assert "no OpenRouter key is set" in shown.output
