"""``service``: the proxy as a service of one user, by systemd on Linux and by launchd on macOS.

What it would write is decided without doing anything; ``--dry-run`` shows just that. deploy/ has the files as they come
out for an example, and a unit for the whole system, which needs an administrator and is installed by hand.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import click

from proxy.commands.health import health
from proxy.commands.program import NAME
from proxy.commands.terminal import columns
from proxy.settings.environment import environment, read_environment

LABEL = "openrouter-attribution-proxy"
_WITHIN = 60.0  # seconds for a service manager to answer; a stop waits for open streams

UNIT = """\
# For one user: ~/.config/systemd/user/openrouter-proxy.service, as `openrouter-proxy service install` writes it.
[Unit]
Description=OpenRouter attribution proxy
Documentation=https://openrouter.ai/docs/app-attribution

[Service]
Type=exec
ExecStart={command} serve
Restart=on-failure
RestartSec=1
# Wrong settings (2) stay wrong.
RestartPreventExitStatus=2
# Longer than OPENROUTER_SHUTDOWN_GRACE: open streams may end.
TimeoutStopSec=35
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
"""

PLIST = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- For one user: ~/Library/LaunchAgents/{label}.plist, as `openrouter-proxy service install` writes it. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{label}</string>
  <key>ProgramArguments</key>
  <array>
{arguments}
    <string>serve</string>
  </array>
  <key>RunAtLoad</key>
  <true/>
  <!-- Again after a crash, at most every ten seconds; not after a clean end. -->
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <!-- Longer than OPENROUTER_SHUTDOWN_GRACE: open streams may end. -->
  <key>ExitTimeOut</key>
  <integer>35</integer>
  <key>StandardOutPath</key>
  <string>{log}</string>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"""


class CannotManage(Exception):
    """It could not be done; the text is one line that says why, and what to do."""


@dataclass(frozen=True)
class Manager:
    """How one system keeps a service: the file that describes it, and the commands around that file."""

    file: Path
    content: str
    install: tuple[tuple[str, ...], ...]
    uninstall: tuple[tuple[str, ...], ...]
    forget: tuple[tuple[str, ...], ...]
    """Once the file is gone."""
    state: tuple[str, ...]
    """Ends with 0 if the service runs."""
    log: str
    note: str


def systemd(command: Sequence[str], config: Path) -> Manager:
    """A unit of the user's own manager."""
    unit = f"{NAME}.service"
    control = ("systemctl", "--user")
    return Manager(
        file=config / "systemd/user" / unit,
        content=UNIT.format(command=" ".join(map(_in_unit, command))),
        install=((*control, "daemon-reload"), (*control, "enable", unit), (*control, "restart", unit)),
        uninstall=((*control, "disable", "--now", unit),),
        forget=((*control, "daemon-reload"),),
        state=(*control, "is-active", "--quiet", unit),
        log=f"journalctl --user --unit {NAME}",
        note="It stops when you log out; `loginctl enable-linger` lets it run from the machine's start on.",
    )


def launchd(command: Sequence[str], home: Path, user: int) -> Manager:
    """An agent of the user's own session."""
    file = home / f"Library/LaunchAgents/{LABEL}.plist"
    log = home / f"Library/Logs/{NAME}.log"
    domain = f"gui/{user}"
    arguments = "\n".join(f"    <string>{escape(word)}</string>" for word in command)
    return Manager(
        file=file,
        content=PLIST.format(label=LABEL, arguments=arguments, log=escape(str(log))),
        install=(("launchctl", "bootstrap", domain, str(file)), ("launchctl", "kickstart", f"{domain}/{LABEL}")),
        uninstall=(("launchctl", "bootout", f"{domain}/{LABEL}"),),
        forget=(),
        state=("launchctl", "print", f"{domain}/{LABEL}"),
        log=f"tail -f {shlex.quote(str(log))}",
        note="It runs while you are logged in.",
    )


def manage(what: str, *, dry_run: bool) -> int:
    """Do ``install``, ``status`` or ``uninstall``; the exit code. Raises `CannotManage`."""
    manager = _manager()
    match what:
        case "install":
            _install(manager, dry_run=dry_run)
        case "uninstall":
            _uninstall(manager, dry_run=dry_run)
        case _:
            return _status(manager)
    return 0


def _install(manager: Manager, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(f"{manager.file} would be written:\n\n{manager.content}\nand then run:\n")
        _show(manager.install)
        return
    _check_settings()
    _find_program(manager)
    replaced = manager.file.exists()
    if replaced:
        _run(manager.uninstall, must=False)
    try:
        manager.file.parent.mkdir(parents=True, exist_ok=True)
        manager.file.write_text(manager.content, encoding="utf-8")
    except OSError as error:
        raise CannotManage(f"{manager.file} cannot be written ({error.strerror})") from None
    _run(manager.install)
    click.echo(f"{'Replaced' if replaced else 'Installed'} and started: {manager.file}")
    rows = [("ask it", f"{NAME} service status"), ("log", manager.log), ("remove it", f"{NAME} service uninstall")]
    click.echo("\n".join(columns(rows)))
    click.echo(manager.note)


def _uninstall(manager: Manager, *, dry_run: bool) -> None:
    if dry_run:
        click.echo("Would be run, and the file removed in between:\n")
        _show([*manager.uninstall, ("rm", str(manager.file)), *manager.forget])
        return
    if not manager.file.exists():
        raise CannotManage(f"it is not installed: there is no {manager.file}")
    _find_program(manager)
    _run(manager.uninstall, must=False)  # it may not run
    try:
        manager.file.unlink(missing_ok=True)
    except OSError as error:
        raise CannotManage(f"{manager.file} cannot be removed ({error.strerror})") from None
    _run(manager.forget)
    click.echo(f"Stopped, and removed: {manager.file}. The settings stay: {_settings_file()}")


def _status(manager: Manager) -> int:
    if not manager.file.exists():
        click.echo(f"not installed: {NAME} service install")
        return 1
    _find_program(manager)
    runs = _ran(manager.state).returncode == 0
    click.echo(f"{'runs' if runs else 'does not run'}: {manager.file}\nlog: {manager.log}")
    code = health()
    return 0 if runs and code == 0 else 1


def _manager() -> Manager:
    platform = str(sys.platform)
    if platform.startswith("linux"):
        return systemd(_command(), _config())
    if platform == "darwin":
        return launchd(_command(), Path.home(), os.getuid())
    raise CannotManage(
        "this is for systemd (Linux) and launchd (macOS); docs/service.md says how Windows' Task Scheduler keeps it"
    )


def _command() -> list[str]:
    """How this very installation is started, by absolute path: a service manager knows no PATH of a shell."""
    script = Path(sys.argv[0])
    if script.name == NAME and os.access(script, os.X_OK):
        return [str(script.absolute())]
    return [sys.executable, "-P", "-m", "proxy"]  # -P: not whatever is called proxy where the manager starts it


def _config() -> Path:
    base = Path(read_environment("XDG_CONFIG_HOME") or "")
    return base if base.is_absolute() else Path.home() / ".config"


def _settings_file() -> Path:
    return _config() / NAME / "env"


def _check_settings() -> None:
    """Raise `CannotManage` unless the settings are in order as the service will find them: without this shell's."""
    kept = ("HOME", "PATH", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "PYTHONPATH")
    bare = {name: value for name, value in environment().items() if name in kept}
    ran = subprocess.run(  # noqa: S603 - our own command
        [*_command(), "check"], env=bare, cwd=Path.home(), capture_output=True, text=True, timeout=_WITHIN, check=False
    )
    if ran.returncode != 0:
        click.echo(ran.stderr, err=True, nl=False)
        raise CannotManage(
            f"the service would not start with its settings: it reads {_settings_file()} "
            "(NAME=value on each line), and nothing of this shell"
        )


def _find_program(manager: Manager) -> None:
    program = manager.state[0]
    if shutil.which(program) is None:
        raise CannotManage(f"there is no {program} here; docs/service.md says what else keeps it running")


def _run(commands: Sequence[Sequence[str]], *, must: bool = True) -> None:
    for each in commands:
        ran = _ran(each)
        if must and ran.returncode != 0:
            said = " ".join((ran.stderr or ran.stdout).split()) or f"exit code {ran.returncode}"
            raise CannotManage(f"`{shlex.join(each)}` failed: {said}")


def _ran(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        raise CannotManage(f"`{shlex.join(command)}` did not end within {_WITHIN:.0f} seconds") from None


def _show(commands: Sequence[Sequence[str]]) -> None:
    for each in commands:
        click.echo(f"  {shlex.join(each)}")


def _in_unit(word: str) -> str:
    """One word of ExecStart (systemd.service(5), Command Lines): quoted, without specifiers and variables."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if " " in word or "\\" in word or "'" in word else word
