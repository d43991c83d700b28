"""``run``, in order: the settings, the plan, the port, the command, its end, and what there is to say about it."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from proxy.commands.profiles import NoSuchProfile, chosen, identity_text
from proxy.commands.program import NAME
from proxy.commands.run import dry_run
from proxy.commands.run.door import Door
from proxy.commands.run.ending import NOT_FOUND, CannotStart, Ended
from proxy.commands.run.folder import temporary_folder, write_files
from proxy.commands.run.plan import Given, Plan, plan_for
from proxy.commands.run.recognition import program_name
from proxy.commands.terminal import Style
from proxy.faults import Faulty
from proxy.openrouter.tools import BaseUrls, Reach, Tool
from proxy.settings.environment import environment
from proxy.settings.model import Settings
from proxy.settings.sources import load_settings
from proxy.settings.validators import secret

TOKEN_PREFIX = "openrouter-proxy-run-"  # noqa: S105 - what a token begins with, so that a `run` within a `run` is noticed


_ASKED_ABOUT_ITSELF = {"--help", "-h", "--version", "-V", "-v"}


class Refused(Exception):
    """`run` does not start the command; the text is one line that says what to do."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    command: tuple[str, ...]
    env_file: str | None = None
    profile: str | None = None
    key_variable: str | None = None
    log: Path | None = None
    insert: bool = True


def run(options: Options, tell: Callable[[str], None]) -> Ended:
    """Start the command beside a proxy of its own, and wait for it.

    ``tell`` prints one line to whoever started it. Raises `Refused`, `CannotStart`, `Interrupted` and `SettingsError`,
    each before the command is started.
    """
    inherited = environment()
    settings, known, warnings = _settings(options)
    key = _key(options, settings, inherited)
    _check_trust(settings, inherited)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with ExitStack() as stack:
        stack.enter_context(_log(options.log, settings, key))
        door = _door()
        stack.callback(door.close)
        _check_program(options.command[0])
        mask = _hold_signals()
        given = _given(options, BaseUrls(door.origin), token, (key, *known))
        plan = plan_for(options.command, inherited, given)
        if plan.files:
            try:
                folder = stack.enter_context(temporary_folder())
                plan = plan_for(options.command, inherited, replace(given, folder=str(folder)))
                write_files(folder, plan.files)
            except OSError:
                raise Refused(
                    "this program needs a temporary file, and none can be written: set TMPDIR, or --no-flags"
                ) from None
        for warning in warnings:
            tell(f"warning: {warning}")
        tell(opening(settings, door.origin, plan.tool))
        child = _start(plan, mask, settings.shutdown_grace)
        door.open(settings.model_copy(update={"api_key": SecretStr(key)}), token)
        ended = child.wait()
    if line := closing(door, ended, options.command, plan.tool):
        tell(line)
    return ended


def look(options: Options, style: Style) -> str:
    """What `run` would do, without a secret. Raises `Refused` and `SettingsError`."""
    inherited = environment()
    settings, known, _ = _settings(options)
    try:
        known = (_key(options, settings, inherited), *known)
        told = "is set, and stays with the proxy"
    except Refused as refusal:
        told = str(refusal)
    given = _given(options, BaseUrls(dry_run.ORIGIN), dry_run.TOKEN, known)
    plan = plan_for(options.command, inherited, given)
    bare = plan_for(options.command, {}, given).environment.values
    facts = {"credited to": identity_text(settings.attribution), "key": told}
    return dry_run.report(plan, bare, inherited, facts, style)


def opening(settings: Settings, origin: str, tool: Tool | None) -> str:
    """The line that is told before the command starts."""
    if tool is not None and tool.reach in {Reach.NO, Reach.SETTINGS}:
        return f"{tool.name} cannot be pointed at this proxy: {tool.silent} ({NAME} tools {tool.slug})"
    return f"requests through {origin} are credited to {identity_text(settings.attribution)}"


def closing(door: Door, ended: Ended, command: Sequence[str], tool: Tool | None) -> str | None:
    """The line that is told when the command has ended, if something was not as it should be."""
    visits, failure = door.visits, door.failure
    name = tool.name if tool else program_name(command[0])
    more = f" ({NAME} tools {tool.slug})" if tool else ""
    if failure is not None:
        return (
            f"the proxy failed ({type(failure).__name__}), so {name} could reach nothing through it: please report it"
        )
    # Some ask for the list of models without a credential; whoever came with the token as well is well.
    if visits.with_own_key or (visits.without_token and not visits.with_token):
        what = "an OpenRouter key of its own" if visits.with_own_key else "another credential, or none,"
        count = visits.with_own_key or visits.without_token
        times = "once" if count == 1 else f"{count} times"
        where = f": it takes one from {tool.key_store}" if tool and tool.key_store else ""
        return f"{name} came {times} with {what} in place of its token, and was refused (401){where}{more}"
    if visits.none_at_all and ended.signal is None and not _ASKED_ABOUT_ITSELF & set(command[1:]):
        why = f": {tool.silent}" if tool and tool.silent else ""
        return f"{name} has ended without one request through the proxy{why}{more}"
    return None


def _settings(options: Options) -> tuple[Settings, tuple[str, ...], tuple[str, ...]]:
    """The settings of the identity that was asked for, every key and token that is known here, and what is doubtful.

    The folder, which is the command's and not ours, has no say, and the address is our own choice.
    """
    loaded = load_settings({"listen": "127.0.0.1:0"}, env_file=options.env_file, folder=None)
    every = [loaded.settings, *(each.settings for each in loaded.profiles.values())]
    known = [found.get_secret_value() for each in every for found in each.secrets]
    try:
        return chosen(loaded, options.profile), tuple(dict.fromkeys(known)), loaded.warnings
    except NoSuchProfile as error:
        raise Refused(str(error)) from None


def _key(options: Options, settings: Settings, inherited: Mapping[str, str]) -> str:
    """The key that pays. Raises `Refused` if there is none, or if it would not stay here."""
    if options.key_variable is not None:  # whoever names a key wants no other one to pay
        named = inherited.get(options.key_variable)
        if not named:
            name = options.key_variable or "the variable of --key-env"
            raise Refused(f"{name} is not set: set it to your OpenRouter key")
        try:
            key = str(secret(named))
        except Faulty as error:
            raise Refused(f"{options.key_variable} {error}") from None
    elif settings.api_key is not None:
        key = settings.api_key.get_secret_value()
    else:
        raise Refused(
            "no OpenRouter key is set: set OPENROUTER_API_KEY, or OPENROUTER_API_KEY_FILE to the path of a file with it"
        )
    if key.startswith(TOKEN_PREFIX):
        raise Refused(f"this is inside of another `{NAME} run`, whose token is no key: start the command directly")
    if any(key in word for word in options.command):
        raise Refused(
            "the command line holds your key, where every program on this machine can read it: leave it out, or write "
            "'$OPENROUTER_API_KEY' in single quotes behind sh -c"
        )
    return key


def _check_trust(settings: Settings, inherited: Mapping[str, str]) -> None:
    """Find out before the command starts what the proxy's thread would find too late. Raises `Refused`."""
    if settings.upstream_url.scheme == "https" and (inherited.get("SSL_CERT_FILE") or inherited.get("SSL_CERT_DIR")):
        from proxy.upstream.trust import CannotTrust, tls_context  # noqa: PLC0415 - a tenth of a second that few need

        try:
            tls_context()
        except CannotTrust as error:
            raise Refused(str(error)) from None


def _door() -> Door:
    """Raises `Refused`."""
    try:
        return Door()
    except OSError as error:
        raise Refused(f"no port of this machine can be listened on ({error.strerror})") from None


def _check_program(name: str) -> None:
    """Tell a misspelt name without a word about the proxy. Raises `CannotStart`."""
    if shutil.which(name, mode=os.F_OK) is None:
        raise CannotStart(NOT_FOUND, f"{name!a} is not found: is it installed, and in PATH?")


@contextmanager
def _log(path: Path | None, settings: Settings, key: str) -> Iterator[None]:
    """The proxy's log goes to that file, or nowhere: the terminal is the command's. Raises `Refused`."""
    from proxy.observe.formatters import set_up_logging, silence  # noqa: PLC0415

    if path is None:
        silence()
        yield
        return
    from proxy.observe.redaction import Redaction  # noqa: PLC0415

    try:
        path.touch(0o600)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise Refused(f"--log {str(path)!a} cannot be written ({error.strerror})") from None
    with file:
        redaction = Redaction((*settings.secrets, SecretStr(key)))
        as_json = settings.log_format != "text"
        set_up_logging(settings.log_level, as_json=as_json, colour=False, redaction=redaction, stream=file)
        yield
        silence()


def _given(options: Options, urls: BaseUrls, token: str, hidden: tuple[str, ...]) -> Given:
    return Given(urls, token, dry_run.FOLDER, options.insert, options.key_variable, hidden)


class _Running(Protocol):
    def wait(self) -> Ended: ...


def _hold_signals() -> set[int]:
    if sys.platform == "win32":
        return set()
    from proxy.commands.run.child import block_signals  # noqa: PLC0415

    return block_signals()


def _start(plan: Plan, mask: set[int], grace: float) -> _Running:
    if sys.platform == "win32":
        from proxy.commands.run import child_windows  # noqa: PLC0415

        return child_windows.Child.start(plan.command, plan.environment.values)
    from proxy.commands.run.child import Child  # noqa: PLC0415

    return Child.start(plan.command, plan.environment.values, mask, grace=grace)
