"""`service`: the proxy kept running by systemd or launchd; the managers are played by programs that note their words.

No systemd runs in a sandbox. What it makes of the unit is for `systemd-analyze` to say, and for a real login.
"""

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.commands import service
from tests.support.proxies import ROOT

EXAMPLE = ["/home/you/.local/bin/openrouter-proxy"]
ANALYZE = shutil.which("systemd-analyze") or ""
LINUX = [
    "systemctl --user daemon-reload",
    "systemctl --user enable openrouter-proxy.service",
    "systemctl --user restart openrouter-proxy.service",
]


class Machine:
    """A home and a service manager: what it was told is in `told`; `fail` names commands that it refuses."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.log = home / "told"
        self.log.touch()
        self.refused = home / "refused"
        tools = home / "bin"
        tools.mkdir()
        for name in ("systemctl", "launchctl"):
            tool = tools / name
            tool.write_text(
                f'#!/bin/sh\necho "{name} $*" >>{self.log}\n'
                f'if [ -e {self.refused} ]; then echo "Failed to connect to bus" >&2; exit 1; fi\n'
            )
            tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
        settings = home / ".config/openrouter-proxy/env"
        settings.parent.mkdir(parents=True)
        settings.write_text("OPENROUTER_HTTP_REFERER=https://app.example/\nOPENROUTER_APP_TITLE=App\n")
        settings.chmod(0o600)
        self.settings = settings

    @property
    def told(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(sys, "platform", "linux")
    return Machine(tmp_path, monkeypatch)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["service", *arguments], prog_name="openrouter-proxy")


@pytest.mark.integration
def test_install_writes_the_unit_and_starts_it(machine: Machine) -> None:
    result = run("install")
    assert result.exit_code == 0, result.output
    unit = (machine.home / ".config/systemd/user/openrouter-proxy.service").read_text()
    assert f"ExecStart={sys.executable} -P -m proxy serve\n" in unit
    assert machine.told == LINUX
    for needed in ("Installed and started", "service status", "journalctl --user", "service uninstall", "linger"):
        assert needed in result.output
    again = run("install")
    assert "Replaced and started" in again.output


def test_a_dry_run_shows_all_and_does_nothing(machine: Machine) -> None:
    for what in ("install", "uninstall"):
        result = run(what, "--dry-run")
        assert result.exit_code == 0
        assert "openrouter-proxy.service" in result.output
    assert machine.told == []
    assert not (machine.home / ".config/systemd").exists()


@pytest.mark.integration
def test_settings_that_would_not_start_it_are_told_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this shell has is not what the service gets."""
    monkeypatch.setenv("OPENROUTER_HTTP_REFERER", "https://app.example/")
    machine.settings.unlink()
    result = run("install")
    assert result.exit_code == 1
    assert "OPENROUTER_HTTP_REFERER is not set" in result.output
    assert f"it reads {machine.settings}" in result.output
    assert machine.told == []


@pytest.mark.integration
def test_uninstall_removes_what_install_made(machine: Machine) -> None:
    assert "it is not installed" in run("uninstall").output
    run("install")
    result = run("uninstall")
    assert result.exit_code == 0, result.output
    assert machine.told[3:] == ["systemctl --user disable --now openrouter-proxy.service", LINUX[0]]
    assert not list((machine.home / ".config/systemd/user").iterdir())
    assert machine.settings.exists()
    assert f"The settings stay: {machine.settings}" in result.output


@pytest.mark.integration
def test_status_says_whether_it_is_there_and_answers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run("status")
    assert (result.exit_code, result.output) == (1, "not installed: openrouter-proxy service install\n")
    run("install")
    monkeypatch.setenv("OPENROUTER_LISTEN", "127.0.0.2:9")
    result = run("status")
    assert result.exit_code == 1
    assert "runs: " in result.output
    assert "not ready: http://127.0.0.2:9 does not answer" in result.output
    machine.refused.touch()
    assert "does not run: " in run("status").output


@pytest.mark.integration
def test_a_manager_that_does_not_answer_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, or in a shell of `su`."""
    machine.refused.touch()
    result = run("install")
    assert result.exit_code == 1
    assert "error: `systemctl --user daemon-reload` failed: Failed to connect to bus" in result.output
    machine.refused.unlink()
    (machine.home / "bin/systemctl").unlink()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "error: there is no systemctl here; docs/service.md" in run("install").output


@pytest.mark.integration
def test_macos(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    result = run("install")
    assert result.exit_code == 0, result.output
    plist = machine.home / "Library/LaunchAgents/openrouter-attribution-proxy.plist"
    agent = plistlib.loads(plist.read_bytes())
    assert agent["ProgramArguments"] == [sys.executable, "-P", "-m", "proxy", "serve"]
    assert agent["StandardOutPath"] == str(machine.home / "Library/Logs/openrouter-proxy.log")
    assert [line.split()[1] for line in machine.told] == ["bootstrap", "kickstart"]
    assert run("uninstall").exit_code == 0
    assert machine.told[-1].split()[1] == "bootout"
    assert not plist.exists()


def test_elsewhere_it_says_where_to_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    result = run("install")
    assert result.exit_code == 1
    assert "Windows' Task Scheduler" in result.output


def test_the_program_is_named_as_the_manager_reads_it() -> None:
    """Blanks, quotes and signs that systemd and XML would take for something else."""
    odd = ['/home/a b/100%/$HOME/"q"&<', "-m", "proxy"]
    unit = service.systemd(odd, Path("/home/you/.config")).content
    assert 'ExecStart="/home/a b/100%%/$$HOME/\\"q\\"&<" -m proxy serve\n' in unit
    agent = plistlib.loads(service.launchd(odd, Path("/Users/a & b"), 501).content.encode())
    assert agent["ProgramArguments"] == [*odd, "serve"]


@pytest.mark.parametrize(
    ("file", "made"),
    [
        ("systemd/openrouter-proxy.user.service", service.systemd(EXAMPLE, Path()).content),
        (
            "launchd/openrouter-attribution-proxy.plist",
            service.launchd(["/Users/you/.local/bin/openrouter-proxy"], Path("/Users/you"), 501).content,
        ),
    ],
)
def test_deploy_shows_what_would_be_written(file: str, made: str) -> None:
    assert (ROOT / "deploy" / file).read_text() == made


@pytest.mark.integration
@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", ["openrouter-proxy.service", "openrouter-proxy.user.service"])
def test_systemd_understands_the_units(unit: str, tmp_path: Path) -> None:
    """Every line, with a program that is there."""
    text = (ROOT / "deploy/systemd" / unit).read_text()
    for program in ("/opt/openrouter-proxy/bin/openrouter-proxy", EXAMPLE[0]):
        text = text.replace(program, "/bin/true")
    file = tmp_path / unit.replace(".user", "")
    file.write_text(text)
    socket = tmp_path / "openrouter-proxy.socket"
    if unit == "openrouter-proxy.service":  # the one that it belongs to
        shutil.copy(ROOT / "deploy/systemd" / socket.name, socket)
    ran = subprocess.run(
        [ANALYZE, "verify", *map(str, tmp_path.glob("openrouter-proxy.*"))], capture_output=True, text=True, check=False
    )
    about = [line for line in ran.stderr.splitlines() if "openrouter" in line]
    assert about == []


@pytest.mark.integration
@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze here")
def test_the_unit_of_the_system_may_do_little() -> None:
    """systemd's own judgement, from 0 (nothing) to 10 (everything): what an ordinary service has is 9.6."""
    command = [ANALYZE, "security", "--offline=true", "--threshold=15"]
    ran = subprocess.run(
        [*command, str(ROOT / "deploy/systemd/openrouter-proxy.service")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-200:]
