"""The commands, and their exit codes: 0 done, 1 failed, 2 wrong configuration or usage.

What a command needs is imported when it runs, so that ``--help`` and ``check`` answer at once: click is all that the
former takes. tests/test_start.py lists what may not be imported for which command.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from proxy import __version__
from proxy.commands import console, operating, program, terminal, using
from proxy.commands.usage import Command, Context, keys_unsaid
from proxy.settings.environment import passed_sockets, read_environment
from proxy.settings.variables import flag, variable

if TYPE_CHECKING:
    from proxy.settings.sources import Loaded

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
            if command is not None and not _is_value(self.commands["serve"], args, command, ctx):
                raise click.UsageError(f"Write the command first: {program.NAME} {command} {args[0]} ...", ctx)
            args = ["serve", *args]
        with keys_unsaid():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with keys_unsaid():
            return super().invoke(ctx)


def _is_value(command: click.Command, args: Sequence[str], word: str, context: click.Context) -> bool:
    """Whether ``word`` stands among ``args`` as the value of a flag of ``command``: an app may be called "check"."""
    before = args[args.index(word) - 1]
    return any(before in param.opts for param in command.get_params(context))


class _WithSettings(Command):
    """A command with a flag for each setting, before its own.

    They are made when somebody asks for them: what the settings are built with takes a tenth of a second to import.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not any(param.name == "env_file" for param in self.params):
            self.params = [*_setting_flags(), *self.params]
        return super().get_params(ctx)


def _setting_flags() -> list[click.Parameter]:
    """A flag for each setting, in their order; their texts are checked by the settings."""
    from proxy.commands import reference  # noqa: PLC0415
    from proxy.settings.model import Settings, option  # noqa: PLC0415

    flags: list[click.Parameter] = [click.Option(["--env-file"], metavar="PATH", help=console.ENV_FILE)]
    for field in Settings.model_fields:
        if not option(field).secret:
            given = f"  [default: {reference.default(field)}]" if reference.default(field) else ""
            text = reference.meaning(field) + given
            flags.append(click.Option([flag(field), field], metavar=option(field).metavar, help=text))
    return flags


@click.group(cls=_ServeByDefault, help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name=program.NAME)
def cli() -> None:
    """Hold the commands."""


@cli.command(cls=_WithSettings, short_help="Run the proxy (the default).")
def serve(**flags: str | None) -> None:
    """Run the proxy.

    Each flag is also a variable: --app-title is OPENROUTER_APP_TITLE.
    """
    loaded = console.load(flags)
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
        console.complain("error:", str(error))
    except CannotTrust as error:
        code = 2
        console.complain("error:", str(error))
    sys.exit(code)


@cli.command(cls=_WithSettings, short_help="Check the configuration, and show what will be sent.")
@click.option("--profile", metavar="NAME", help="Show this profile alone.")
@click.option("--online", is_flag=True, help="Also look up the upstream, connect and shake hands; no request is sent.")
def check(profile: str | None, online: bool, **flags: str | None) -> None:  # noqa: FBT001 - click gives it so
    """Check the configuration; without any network, unless it is asked to.

    Prints the headers that will be sent, each setting and where it came from, and what looks doubtful. The exit code is
    0, or 2 if something is wrong; 1 if the way to the upstream was tried, and does not work.
    """
    from proxy.commands.check import report, report_on  # noqa: PLC0415
    from proxy.commands.profiles import NoSuchProfile, chosen  # noqa: PLC0415
    from proxy.upstream.trust import CannotTrust, check_named  # noqa: PLC0415

    loaded = console.load(flags)
    if loaded.settings.upstream_url.scheme == "https":
        try:
            check_named()
        except CannotTrust as error:
            console.complain("error:", str(error))
            sys.exit(2)
    if profile is None:
        text = report(loaded, console.style(sys.stdout))
    else:
        try:
            chosen(loaded, profile)
        except NoSuchProfile as error:
            console.complain("error:", str(error))
            sys.exit(2)
        text = report_on(profile, loaded, console.style(sys.stdout))
    click.echo(text, nl=False, color=True)
    if online:
        import asyncio  # noqa: PLC0415

        from proxy.commands.online import is_reached  # noqa: PLC0415

        if not asyncio.run(is_reached(loaded.settings, console.style(sys.stdout))):
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


for _command in (*operating.COMMANDS, *using.COMMANDS):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that ``args`` (by default the process's own) name; ends the process."""
    terminal.keep_standard_descriptors()
    terminal.never_fail_to_print()
    cli.main(args, prog_name=program.NAME)


def _show_banner(loaded: "Loaded", port: int) -> None:
    """Tell a person that the proxy listens."""
    from proxy.commands.banner import banner  # noqa: PLC0415

    with suppress(OSError):  # nobody reads it, or the disk is full: serve all the same
        click.echo(banner(loaded, port, console.style(sys.stdout)), color=True)


def _log_start(loaded: "Loaded", port: int) -> None:
    """Tell a log that the proxy listens."""
    import logging  # noqa: PLC0415

    from proxy.commands.banner import facts  # noqa: PLC0415

    log = logging.getLogger("proxy")
    started = facts(loaded, port)
    log.info("listening on %s", started["url"], extra={"facts": started})
    for warning in loaded.warnings:
        log.warning(warning)
