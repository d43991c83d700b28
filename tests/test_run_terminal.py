"""``run`` in a terminal: the command behaves as if nothing stood between it and the shell (promise 36)."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.marks import needs_curl
from tests.support.proxies import ROOT
from tests.support.secrets import KEY
from tests.support.terminal import CTRL_BACKSLASH, CTRL_C, CTRL_D, CTRL_Z, Terminal

pytestmark = pytest.mark.integration

RUN = [sys.executable, "-m", "proxy", "run", "--"]
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "OPENROUTER_HTTP_REFERER": "https://app.example",
    "OPENROUTER_API_KEY": KEY,
    "OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:9",
    "PS1": "$ ",
}
STARTED = "are credited to https://app.example"

# Tells of each signal that it gets, and asks the proxy whether it serves.
OBSERVER = """
import os, signal, sys, time, urllib.request
heard = []
def hear(number, frame):
    heard.append(number)
    # Not by print(): the signal may come while that is printing, and Python has it raise then.
    os.write(1, f"{signal.Signals(number).name} {heard.count(number)}\\n".encode())
for name in sys.argv[1].split(","):
    signal.signal(getattr(signal, name), hear)
print("ready", os.getpid(), flush=True)
while sys.stdin.readline().strip() != "end":
    url = os.environ["OPENROUTER_HOST"] + "/healthz"
    print("the proxy says", urllib.request.urlopen(url, timeout=5).read().decode().strip(), flush=True)
sys.exit(7)
"""


def observer(*signals: str) -> list[str]:
    return [*RUN, sys.executable, "-c", OBSERVER, ",".join(signals)]


@contextmanager
def terminal(tmp_path: Path, command: list[str]) -> Iterator[Terminal]:
    with Terminal(command, cwd=tmp_path, env={**os.environ, **ENVIRONMENT, "TMPDIR": str(tmp_path)}) as opened:
        yield opened


def ready(screen: Terminal) -> int:
    """The observer's number, once it listens."""
    screen.expect("ready ")
    return int(screen.expect("\n").strip())


def once_gone(pid: int) -> None:
    """Waits until no process has that number any more."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} lives"
        time.sleep(0.02)


class TestKeys:
    def test_ctrl_c_reaches_the_command_once_each_time(self, tmp_path: Path) -> None:
        """Twice is something else to many tools than once; and the proxy goes on serving."""
        with terminal(tmp_path, observer("SIGINT")) as screen:
            ready(screen)
            screen.type(CTRL_C)
            screen.expect("SIGINT 1\r\n")
            screen.type("\n")
            screen.expect("the proxy says ok")
            screen.type(CTRL_C)
            screen.expect("SIGINT 2\r\n")
            screen.type("\n")
            screen.expect("the proxy says ok")
            screen.type("end\n")
            assert screen.exit_code() == 7
            assert "SIGINT 3" not in screen.output

    @pytest.mark.parametrize(("key", "number"), [(CTRL_C, signal.SIGINT), (CTRL_BACKSLASH, signal.SIGQUIT)])
    def test_a_command_that_a_key_ends_ends_run_in_the_same_way(
        self, tmp_path: Path, key: str, number: signal.Signals
    ) -> None:
        """So that a loop of the shell stops as well. No core is left: it would hold the key."""
        with terminal(tmp_path, [*RUN, "sh", "-c", "echo ready; exec sleep 60"]) as screen:
            screen.expect("ready")
            screen.type(key)
            assert screen.exit_code() == -number
            assert not list(tmp_path.glob("core*"))

    def test_ctrl_d_is_the_commands(self, tmp_path: Path) -> None:
        with terminal(tmp_path, [*RUN, "cat"]) as screen:
            screen.expect(STARTED)
            screen.type("hello\n")
            screen.expect("hello\r\nhello")
            screen.type(CTRL_D)
            assert screen.exit_code() == 0

    def test_the_command_has_the_terminal(self, tmp_path: Path) -> None:
        """Colours, full screens and questions work: what it writes to is no pipe, and it is in the foreground."""
        script = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], os.tcgetpgrp(0) == os.getpgrp())"
        with terminal(tmp_path, [*RUN, sys.executable, "-c", script]) as screen:
            screen.expect("[True, True, True] True")
            assert screen.exit_code() == 0

    def test_a_new_size_of_the_window_reaches_the_command(self, tmp_path: Path) -> None:
        with terminal(
            tmp_path, [*RUN, "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done"]
        ) as screen:
            screen.expect("ready")
            screen.resize(33, 101)
            screen.expect("33 101")


class TestJobControl:
    @pytest.fixture
    def shell(self, tmp_path: Path) -> Iterator[Terminal]:
        """A person's shell."""
        with terminal(tmp_path, ["sh", "-i"]) as screen:
            screen.expect("$ ")
            yield screen

    def test_ctrl_z_and_fg(self, shell: Terminal) -> None:
        """The shell has its prompt back, and the command goes on where it was, with the proxy."""
        shell.type(f"{' '.join(RUN)} {sys.executable} -c '{OBSERVER}' SIGUSR1\n")
        ready(shell)
        shell.type(CTRL_Z)
        shell.expect("Stopped")
        shell.expect("$ ")
        shell.type("echo between\n")
        shell.expect("between\r\n")
        shell.type("fg\n")
        shell.type("\n")
        shell.expect("the proxy says ok")
        shell.type("end\n")
        shell.expect("$ ")
        shell.type("echo code $?\n")
        shell.expect("code 7")

    def test_a_command_that_stops_itself_stops_run_as_well(self, shell: Terminal) -> None:
        """As tools do that take the keys themselves; the shell would otherwise wait for ever."""
        shell.type(f"{' '.join(RUN)} sh -c 'echo stopping; kill -STOP $$; echo again; exit 4'\n")
        shell.expect("stopping\r\n")
        shell.expect("Stopped")
        shell.expect("$ ")
        shell.type("fg\n")
        shell.expect("again\r\n")
        shell.expect("$ ")
        shell.type("echo code $?\n")
        shell.expect("code 4")

    def test_a_shell_within(self, shell: Terminal) -> None:
        """It has its own jobs, and gives the terminal back at its end."""
        shell.type(f"{' '.join(RUN)} sh -i\n")
        shell.expect(STARTED)
        shell.expect("$ ")
        shell.type("sleep 60\n")
        shell.expect("sleep 60\r\n")
        shell.expect_in_front("sleep")
        shell.type(CTRL_Z)
        shell.expect("Stopped")
        shell.type("fg\n")
        shell.expect("sleep 60\r\n")
        shell.expect_in_front("sleep")
        shell.type(CTRL_C)
        shell.type("exit 5\n")
        shell.expect("without one request")
        shell.type("echo code $?\n")
        shell.expect("code 5")

    def test_a_loop_of_the_shell_ends_with_ctrl_c(self, shell: Terminal) -> None:
        shell.type(f"for n in 1 2 3; do {' '.join(RUN)} sh -c 'echo started; exec sleep 60'; done\n")
        shell.expect("started\r\n")
        shell.type(CTRL_C)
        shell.expect("$ ")
        shell.type("echo over\n")
        assert STARTED not in shell.expect("over\r\n")


class TestSignals:
    def test_a_killed_command(self, tmp_path: Path) -> None:
        with terminal(tmp_path, observer("SIGUSR1")) as screen:
            os.kill(ready(screen), signal.SIGKILL)
            assert screen.exit_code() == -signal.SIGKILL

    @needs_curl
    def test_a_killed_run(self, tmp_path: Path) -> None:
        """The command lives on without the proxy: its next request finds nobody."""
        script = 'echo "ready $PPID"; read line; exec 2>&1; curl -sS "$OPENROUTER_HOST/healthz"'
        # The shell keeps the terminal, and reads nothing from it: the line is the command's.
        with terminal(tmp_path, ["sh", "-c", f"{' '.join(RUN)} sh -c '{script}'; sleep 60"]) as screen:
            os.kill(ready(screen), signal.SIGKILL)
            screen.expect("Killed")  # Until the shell has seen its end, the kernel may still accept for it.
            screen.type("\n")
            screen.expect("Failed to connect")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
    def test_a_signal_to_run_alone_goes_on(self, tmp_path: Path, number: signal.Signals) -> None:
        """To the command, once."""
        with terminal(tmp_path, observer(number.name)) as screen:
            ready(screen)
            screen.process.send_signal(number)
            screen.expect(f"{number.name} 1\r\n")
            screen.type("end\n")
            assert screen.exit_code() == 7
            assert f"{number.name} 2" not in screen.output

    def test_a_second_sigterm_kills(self, tmp_path: Path) -> None:
        """A command that does not end when it is told to is ended; two at once are one wish."""
        with terminal(tmp_path, observer("SIGTERM")) as screen:
            ready(screen)
            screen.process.send_signal(signal.SIGTERM)
            screen.process.send_signal(signal.SIGTERM)
            screen.expect("SIGTERM 1\r\n")
            screen.type("\n")
            screen.expect("the proxy says ok")
            time.sleep(0.6)
            screen.process.send_signal(signal.SIGTERM)
            assert screen.exit_code() == -signal.SIGKILL
            assert "SIGTERM 2" not in screen.output

    def test_a_command_that_does_not_end_in_time_is_killed(self, tmp_path: Path) -> None:
        """After OPENROUTER_SHUTDOWN_GRACE."""
        command = ["env", "OPENROUTER_SHUTDOWN_GRACE=0.4", *observer("SIGTERM")]
        with terminal(tmp_path, command) as screen:
            ready(screen)
            screen.process.send_signal(signal.SIGTERM)
            screen.expect("SIGTERM 1\r\n")
            assert screen.exit_code() == -signal.SIGKILL

    def test_a_sigint_that_is_sent_to_run_alone_does_nothing(self, tmp_path: Path) -> None:
        """Nothing tells whether the command has had it as well, as it has the terminal's."""
        with terminal(tmp_path, observer("SIGINT")) as screen:
            ready(screen)
            screen.process.send_signal(signal.SIGINT)
            screen.type("\n")
            screen.expect("the proxy says ok")
            screen.type("end\n")
            assert screen.exit_code() == 7
            assert "SIGINT 1" not in screen.output

    @pytest.mark.parametrize("under_a_shell", [True, False])
    def test_a_closed_terminal_reaches_the_command_once(self, tmp_path: Path, *, under_a_shell: bool) -> None:
        """The kernel tells all of a shell's group by itself; if `run` leads the session, it tells `run` alone."""
        told = tmp_path / "told"
        script = f"""
import os, signal, time
heard = []
def hear(*_):
    heard.append("HUP")
    with open({str(told)!r}, "a") as file:
        file.write("HUP\\n")
signal.signal(signal.SIGHUP, hear)
print("ready", os.getpid(), flush=True)
while not heard:
    time.sleep(0.01)
time.sleep(0.5)  # in which a second one would come
"""
        (tmp_path / "hear.py").write_text(script)
        command = [*RUN, sys.executable, "hear.py"]
        if under_a_shell:
            command = ["sh", "-c", f"{' '.join(command)}; true"]
        with terminal(tmp_path, command) as screen:
            pid = ready(screen)
            screen.hang_up()
            once_gone(pid)
        assert told.read_text() == "HUP\n"

    @pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM"])
    def test_what_run_was_told_to_ignore_the_command_ignores(self, tmp_path: Path, name: str) -> None:
        """By nohup, or by a shell for its background. What was not ignored is not ignored."""
        look = "from signal import *; print([n for n in (1, 2, 3, 15) if getsignal(n) == SIG_IGN])"
        script = f"trap '' {name}; exec {' '.join(RUN)} {sys.executable} -c \"{look}\""
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=tmp_path,
            # Measured by coverage, `run` has a handler for SIGTERM before it can see what it was started with.
            env={**os.environ, **ENVIRONMENT, "COVERAGE_PROCESS_CONFIG": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stdout == f"[{int(signal.Signals['SIG' + name])}]\n"

    def test_a_signal_that_comes_before_the_command_starts_is_not_lost(self, tmp_path: Path) -> None:
        """It would have reached the command; so there is none, and `run` ends by it."""
        script = (
            "import os, signal\n"
            "from proxy.commands.run.child import Child, block_signals\n"
            "from proxy.commands.run.ending import Ended, Interrupted, end_as\n"
            "mask = block_signals()\n"
            "os.kill(os.getpid(), signal.SIGTERM)\n"
            "try:\n    Child.start(['touch', 'started'], dict(os.environ), mask, grace=1)\n"
            "except Interrupted as error:\n    end_as(Ended(signal=error.number))\n"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **ENVIRONMENT}, timeout=30, check=False)
        assert done.returncode == -signal.SIGTERM
        assert not (tmp_path / "started").exists()

    def test_the_command_starts_with_the_signals_that_run_had(self, tmp_path: Path) -> None:
        """Nothing is held back or ignored that would not be without `run`."""
        look = ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]
        ways = [
            subprocess.run(
                [*before, *look],
                cwd=tmp_path,
                env={**os.environ, **ENVIRONMENT},
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            ).stdout
            for before in ([], RUN)
        ]
        # Without the two at the end, which glibc keeps to itself and ignores in whatever it spawns.
        ordinary = [[int(mask, 16) & 0x7FFFFFFF for mask in re.findall(r"\t(\w+)", way)] for way in ways]
        assert len(ordinary[0]) == 2
        assert ordinary[0] == ordinary[1]
