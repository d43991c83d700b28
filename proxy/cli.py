"""The commands, and their exit codes: 0 done, 1 failed, 2 wrong configuration or usage.

What a command needs is imported when it runs, so that ``--help`` and ``check`` answer at once.
"""

import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

from proxy import __version__
from proxy.commands import operating, program, reference, terminal
from proxy.commands.usage import Command, Context, keys_unsaid
from proxy.faults import quoted
from proxy.settings.model import Settings, option
from proxy.settings.names import ENV_FILE_VARIABLE
from proxy.settings.options import flag, variable
from proxy.settings.sources import Loaded, SettingsError, load_settings, passed_sockets, read_environment

_HELP = """\
A local proxy that stamps your app's attribution onto every OpenRouter request.

\b
Your tools keep their own API keys. Change nothing but their base URL:
  OpenAI-style tools      http://localhost:6767/api/v1
  Anthropic-style tools   http://localhost:6767/api
  tools that want /v1     http://localhost:6767/v1

\b
Start it (serve is the command if none is given):
  export OPENROUTER_HTTP_REFERER=https://github.com/you/your-app
  export OPENROUTER_APP_TITLE="Your App"
  openrouter-proxy

\b
Send a request through it:
  curl http://localhost:6767/api/v1/chat/completions \\
    -H "Authorization: Bearer $OPENROUTER_API_KEY" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "openrouter/auto", "messages": [{"role": "user", "content": "Hello"}]}'

\b
The settings that matter most:
  OPENROUTER_HTTP_REFERER       your app's URL, by which it is known; required
  OPENROUTER_APP_TITLE          its display name
  OPENROUTER_ATTRIBUTION_MODE   override (default): replaces what tools send
                                fill: only for tools that send none
                                passthrough: sends none
"""

_EPILOG = """\
\b
Each setting is a flag of serve and check (keys and tokens are none), an
environment variable, or a line of a file that --env-file names; the first of
these that has it counts. See docs/settings.md for the files that are read unasked.
  openrouter-proxy serve --help   all settings
  openrouter-proxy check          what will be sent, and where each value came from
  openrouter-proxy demo           see it work, without a key or network
  openrouter-proxy run -- claude  start a tool beside a proxy of its own
About attribution: https://openrouter.ai/docs/app-attribution
"""


_ENV_FILE = (
    "A file of settings, one NAME=value on each line; what is set otherwise counts before it. "
    f"By default the one that {ENV_FILE_VARIABLE} names"
)


class _ServeByDefault(click.Group):
    """A group whose command is ``serve`` if none is named."""

    context_class = Context
    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {*ctx.help_option_names, "--version", "-V"}
        if args in (["help"], ["version"]):
            args = [f"--{args[0]}"]
        elif args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        elif ctx.resilient_parsing and not args:  # a shell completes the first word, which may be a command
            pass
        elif not args or (args[0].startswith("-") and args[0] not in own):
            command = next((arg for arg in args if arg in self.commands), None)
            if command is not None and not _is_value(self.commands["serve"], args, command):
                raise click.UsageError(f"Write the command first: {program.NAME} {command} {args[0]} ...", ctx)
            args = ["serve", *args]
        with keys_unsaid():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with keys_unsaid():
            return super().invoke(ctx)


def _is_value(command: click.Command, args: Sequence[str], word: str) -> bool:
    """Whether ``word`` stands among ``args`` as the value of a flag of ``command``: an app may be called "check"."""
    before = args[args.index(word) - 1]
    return any(before in param.opts for param in command.params)


def _setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Gives ``command`` a flag for each setting, in their order; their texts are checked by the settings."""
    for field in reversed([field for field in Settings.model_fields if not option(field).secret]):
        given = f"  [default: {reference.default(field)}]" if reference.default(field) else ""
        text = reference.meaning(field) + given
        command = click.option(flag(field), field, metavar=option(field).metavar, help=text)(command)
    return click.option("--env-file", metavar="PATH", help=_ENV_FILE)(command)


@click.group(cls=_ServeByDefault, help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name=program.NAME)
def cli() -> None:
    """Hold the commands."""


@cli.command(short_help="Run the proxy (the default).")
@_setting_flags
def serve(**flags: str | None) -> None:
    """Run the proxy.

    Each flag is also a variable: --app-title is OPENROUTER_APP_TITLE.
    """
    loaded = _load(flags)
    settings = loaded.settings

    from proxy import runtime_file  # noqa: PLC0415
    from proxy.app import create_app  # noqa: PLC0415
    from proxy.observe.formatters import set_up_logging  # noqa: PLC0415
    from proxy.observe.redaction import Redaction  # noqa: PLC0415
    from proxy.resource_limits import TooFewFiles  # noqa: PLC0415
    from proxy.server.server import run  # noqa: PLC0415
    from proxy.server.sockets import Address, CannotListen  # noqa: PLC0415
    from proxy.upstream.trust import CannotTrust  # noqa: PLC0415

    as_json = terminal.logs_json(settings.log_format, sys.stdout)
    redaction = Redaction(settings.secrets)
    set_up_logging(settings.log_level, as_json=as_json, colour=terminal.wants_colour(sys.stdout), redaction=redaction)
    announce = _log_start if as_json else _show_banner
    told_to = runtime_file.folders(read_environment("XDG_RUNTIME_DIR"))
    try:
        with runtime_file.telling(read_environment(variable("listen")), told_to) as tell:

            def ready(address: Address) -> None:
                tell(settings.listen.host, address.port)
                announce(loaded, address.port)

            code = run(create_app(settings), settings, on_ready=ready, inherited=passed_sockets())
    except (CannotListen, TooFewFiles) as error:
        code = 1
        _complain("error:", str(error))
    except CannotTrust as error:
        code = 2
        _complain("error:", str(error))
    sys.exit(code)


@cli.command(short_help="Check the configuration, and show what will be sent.")
@_setting_flags
@click.option("--profile", metavar="NAME", help="Show this profile alone.")
@click.option("--online", is_flag=True, help="Also look up the upstream, connect and shake hands; no request is sent.")
def check(profile: str | None, online: bool, **flags: str | None) -> None:  # noqa: FBT001 - click gives it so
    """Check the configuration; without any network, unless it is asked to.

    Prints the headers that will be sent, each setting and where it came from, and what looks doubtful. The exit code is
    0, or 2 if something is wrong; 1 if the way to the upstream was tried, and does not work.
    """
    import asyncio  # noqa: PLC0415

    from proxy.commands.check import report, report_on  # noqa: PLC0415
    from proxy.commands.online import is_reached  # noqa: PLC0415
    from proxy.commands.profiles import NoSuchProfile, chosen  # noqa: PLC0415
    from proxy.upstream.trust import CannotTrust, tls_context  # noqa: PLC0415

    loaded = _load(flags)
    if loaded.settings.upstream_url.scheme == "https":
        try:
            tls_context()
        except CannotTrust as error:
            _complain("error:", str(error))
            sys.exit(2)
    if profile is None:
        text = report(loaded, _style(sys.stdout))
    else:
        try:
            chosen(loaded, profile)
        except NoSuchProfile as error:
            _complain("error:", str(error))
            sys.exit(2)
        text = report_on(profile, loaded, _style(sys.stdout))
    click.echo(text, nl=False, color=True)
    if online and not asyncio.run(is_reached(loaded.settings, _style(sys.stdout))):
        sys.exit(1)


@cli.command(short_help="See it work: no key, no network, no configuration.")
@click.option("--once", is_flag=True, help="Exit after the checks, instead of running on to be tried with curl.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="Where the demo's proxy listens.")
def demo(*, once: bool, port: int | None) -> None:
    """Stream one chat through the proxy to an imitation of OpenRouter.

    Shows the headers before and after, and the tokens as they arrive.
    """
    from proxy.commands.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo(once=once, port=port))


@cli.command(short_help="Ask OpenRouter whether it credits your app.")
@click.argument("generation_id", required=False)
@click.option("--env-file", metavar="PATH", help=_ENV_FILE)
@click.option("--profile", metavar="NAME", help="Of this identity instead of the default one.")
@click.option("--model", metavar="SLUG", help="Which model answers the request that is sent.  [default: a cheap one]")
@click.option("--yes", is_flag=True, help="Send the request without asking.")
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="SECONDS", default=600, help="How long to wait.  [default: 600]"
)
def verify(  # noqa: PLR0913 - a command takes its options as arguments
    generation_id: str | None,
    *,
    env_file: str | None,
    profile: str | None,
    model: str | None,
    timeout: float,
    yes: bool,
) -> None:
    """Ask OpenRouter whether it credits your app.

    Sends one tiny request through the proxy with the configured key; with the id of a generation, which the proxy's
    log has, it sends none. Then asks for OpenRouter's record, which can take some minutes to appear. The exit code is
    0 if your app is credited, 1 if another one or none is, 3 if it is not known yet, 2 if something is wrong.
    """
    from proxy.commands.profiles import NoSuchProfile, chosen  # noqa: PLC0415

    try:
        settings = chosen(_load({"env_file": env_file, "listen": "127.0.0.1:0"}), profile)
    except NoSuchProfile as error:
        _complain("error:", str(error))
        sys.exit(2)
    if settings.api_key is None or settings.attribution is None:
        wanted = "passthrough stamps nothing" if settings.api_key else "no OpenRouter key is set (OPENROUTER_API_KEY)"
        _complain("error:", f"there is nothing to verify: {wanted}")
        sys.exit(2)

    from proxy.commands.records import MODEL  # noqa: PLC0415
    from proxy.commands.verify import AT_MOST, REFUSED, Refused, run_verify  # noqa: PLC0415
    from proxy.observe.formatters import silence  # noqa: PLC0415

    if generation_id is None and not yes:
        told = f"One request to {model or MODEL} costs ${AT_MOST:.4f} at most."
        if not (terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)):
            _complain("error:", f"{told} Say --yes to send it without a question")
            sys.exit(2)
        if not click.confirm(f"{told} Send it?", default=True, err=True):
            sys.exit(2)
    silence()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the bar hides the cursor, and must give it back
    try:
        sys.exit(run_verify(settings, generation_id, model or MODEL, timeout, _style(sys.stdout)))
    except Refused as error:
        _complain("error:", str(error))
        sys.exit(REFUSED)


@cli.command(short_help="How to point a tool at the proxy, for some sixty tools.")
@click.argument("name", required=False)
@click.option("--profile", metavar="NAME", default="", help="For this identity instead of the default one.")
def tools(name: str | None, profile: str) -> None:
    """List the tools that are known here; or show, for one of them, the lines to paste and what goes wrong.

    The address in them is the one that the settings say (OPENROUTER_LISTEN), whether a proxy runs there or not.
    """
    from proxy.commands.banner import base_url  # noqa: PLC0415
    from proxy.commands.tools import UnknownTool, listing, page  # noqa: PLC0415
    from proxy.openrouter.tools import BaseUrls  # noqa: PLC0415

    style = _style(sys.stdout)
    if name is None:
        click.echo(listing(style), nl=False, color=True)
        return
    try:
        loaded = load_settings({"attribution_mode": "passthrough"})  # no app is needed to know an address
        listen, known = loaded.settings.listen, loaded.profiles
    except SettingsError:
        listen, known = Settings.model_fields["listen"].default, {}
    if profile and profile not in known:
        _complain("error:", f"There is no profile {quoted(profile)} in these settings")
        sys.exit(2)
    try:
        click.echo(page(name, BaseUrls(base_url(listen), profile), style), nl=False, color=True)
    except UnknownTool as error:
        _complain("error:", str(error))
        sys.exit(2)


_RUN_HELP = """\
Start a program beside a proxy of its own, on a free port of this machine.

The program gets a token in place of your OpenRouter key, which the proxy puts back on the way; port and token end with
the program.

\b
  openrouter-proxy run -- claude
  openrouter-proxy run -- codex exec "Say hello"
  openrouter-proxy tools            which programs are known, and what each needs

The exit code is the program's; 127 if it is not found, 126 if it cannot be executed, and 125 if something is wrong
here, so that nothing was started.
"""


class _Launcher(Command):
    """A command whose own failures have an exit code that the program it starts hardly has: 125, as env(1) has it."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        try:
            with keys_unsaid():
                return super().make_context(*arguments, **more)
        except click.UsageError as error:
            error.show()
            sys.exit(125)


@cli.command(
    cls=_Launcher,
    context_settings={"allow_interspersed_args": False},  # the first word that is no option of ours is the program
    help=_RUN_HELP,
    short_help="Start a program beside a proxy that keeps the key from it.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENTS]...")
@click.option("--env-file", metavar="PATH", help=_ENV_FILE)
@click.option("--profile", metavar="NAME", help="As this identity instead of the default one.")
@click.option("--key-env", metavar="NAME", help="The variable that holds the key, if it is not OPENROUTER_API_KEY.")
@click.option("--dry-run", is_flag=True, help="Print what would be set, inserted and written; start nothing.")
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="Append the proxy's log to this file.")
@click.option("--no-flags", is_flag=True, help="Leave the program's arguments alone, and write no file.")
def run(  # noqa: PLR0913 - a command takes its options as arguments
    command: tuple[str, ...],
    *,
    env_file: str | None,
    profile: str | None,
    key_env: str | None,
    log: Path | None,
    dry_run: bool,
    no_flags: bool,
) -> None:
    """Start a program beside a proxy of its own."""
    from proxy.commands.run import command as launcher  # noqa: PLC0415
    from proxy.commands.run.ending import OWN_FAILURE, CannotStart, Ended, Interrupted, end_as  # noqa: PLC0415

    options = launcher.Options(command, env_file, profile, key_env, log, insert=not no_flags)
    try:
        if dry_run:
            click.echo(launcher.look(options, _style(sys.stdout)), nl=False, color=True)
            return
        ended = launcher.run(options, _tell)
    except SettingsError as error:
        for fault in error.faults:
            _complain("error:", fault)
        ended = Ended(OWN_FAILURE)
    except CannotStart as error:
        _complain("error:", str(error))
        ended = Ended(error.code)
    except Interrupted as error:
        ended = Ended(signal=error.number)
    except launcher.Refused as error:
        _complain("error:", str(error))
        ended = Ended(OWN_FAILURE)
    end_as(ended)


def _tell(line: str) -> None:
    with suppress(OSError):  # nobody reads it: the program matters more
        click.echo(f"{_style(sys.stderr).faint(program.NAME + ':')} {line}", err=True, color=True)


for _command in operating.COMMANDS:
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that ``args`` (by default the process's own) name; ends the process."""
    terminal.keep_standard_descriptors()
    terminal.never_fail_to_print()
    cli.main(args, prog_name=program.NAME)


def _load(flags: Mapping[str, str | None]) -> Loaded:
    """The settings, or the end of the process with a line for each fault. ``flags`` are those of `_setting_flags`."""
    named = {**flags}
    env_file = named.pop("env_file", None)
    try:
        return load_settings(named, env_file=env_file)
    except SettingsError as error:
        for fault in error.faults:
            _complain("error:", fault)
        for warning in error.warnings:
            _complain("warning:", warning)
        sys.exit(2)


def _show_banner(loaded: Loaded, port: int) -> None:
    """Tell a person that the proxy listens."""
    from proxy.commands.banner import banner  # noqa: PLC0415

    with suppress(OSError):  # nobody reads it, or the disk is full: serve all the same
        click.echo(banner(loaded, port, _style(sys.stdout)), color=True)


def _log_start(loaded: Loaded, port: int) -> None:
    """Tell a log that the proxy listens."""
    from proxy.commands.banner import facts  # noqa: PLC0415

    log = logging.getLogger("proxy")
    started = facts(loaded, port)
    log.info("listening on %s", started["url"], extra={"facts": started})
    for warning in loaded.warnings:
        log.warning(warning)


def _complain(kind: str, text: str) -> None:
    style = _style(sys.stderr)
    click.echo(f"{style.error(kind) if kind == 'error:' else style.warning(kind)} {text}", err=True, color=True)


def _style(stream: TextIO | None) -> terminal.Style:
    return terminal.Style(terminal.wants_colour(stream))
