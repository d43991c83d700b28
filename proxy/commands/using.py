"""The commands for whoever uses tools: ``run`` starts one, ``verify`` asks what came of it, ``tools`` tells how."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from proxy.commands import console, program, terminal
from proxy.commands.usage import Command, keys_unsaid
from proxy.faults import quoted


@click.command(short_help="Ask OpenRouter whether it credits your app.")
@click.argument("generation_id", required=False)
@click.option("--env-file", metavar="PATH", help=console.ENV_FILE)
@click.option("--profile", metavar="NAME", help="Of this identity instead of the default one.")
@click.option("--model", metavar="SLUG", help="Which model answers the request that is sent.  [default: a cheap one]")
@click.option("--yes", is_flag=True, help="Send the request without asking.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86_400),
    metavar="SECONDS",
    default=600,
    help="How long to wait: for the answer, then for its record.  [default: 600]",
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
    from proxy.openrouter.api import GENERATION_ID, KEY_MARK  # noqa: PLC0415

    if generation_id is not None and (not GENERATION_ID.fullmatch(generation_id) or generation_id.startswith(KEY_MARK)):
        console.complain("error:", "this is no generation's id, as the proxy's log has them (gen-...)")
        sys.exit(2)
    try:
        settings = chosen(console.load({"env_file": env_file, "listen": "127.0.0.1:0"}), profile)
    except NoSuchProfile as error:
        console.complain("error:", str(error))
        sys.exit(2)
    if settings.api_key is None or settings.attribution is None:
        wanted = "passthrough stamps nothing" if settings.api_key else "no OpenRouter key is set (OPENROUTER_API_KEY)"
        console.complain("error:", f"there is nothing to verify: {wanted}")
        sys.exit(2)

    from proxy.commands.records import MODEL  # noqa: PLC0415
    from proxy.commands.verify import AT_MOST, REFUSED, Refused, run_verify  # noqa: PLC0415
    from proxy.observe.formatters import silence  # noqa: PLC0415

    if generation_id is None and not yes:
        told = f"One request to {model or MODEL} costs ${AT_MOST:.4f} at most."
        if not (terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)):
            console.complain("error:", f"{told} Say --yes to send it without a question")
            sys.exit(2)
        if not click.confirm(f"{told} Send it?", default=True, err=True):
            click.echo("Nothing was sent.", err=True)
            sys.exit(2)
    silence()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the bar hides the cursor, and must give it back
    try:
        sys.exit(run_verify(settings, generation_id, model or MODEL, timeout, console.style(sys.stdout)))
    except Refused as error:
        console.complain("error:", str(error))
        sys.exit(REFUSED)


@click.command(short_help="How to point a tool at the proxy, for some sixty tools.")
@click.argument("name", required=False)
@click.option("--profile", metavar="NAME", help="For this identity instead of the default one.")
def tools(name: str | None, profile: str | None) -> None:
    """List the tools that are known here; or show, for one of them, the lines to paste and what goes wrong.

    The address in them is the one that the settings say (OPENROUTER_LISTEN), whether a proxy runs there or not.
    """
    from proxy.commands.tools import UnknownTool, listing, page  # noqa: PLC0415

    style = console.style(sys.stdout)
    if name is None:
        click.echo(listing(style), nl=False, color=True)
        return

    from proxy.commands.banner import base_url  # noqa: PLC0415
    from proxy.openrouter.tools import BaseUrls  # noqa: PLC0415
    from proxy.settings.model import Settings  # noqa: PLC0415
    from proxy.settings.sources import SettingsError, load_settings  # noqa: PLC0415

    try:
        loaded = load_settings({"attribution_mode": "passthrough"})  # no app is needed to know an address
        listen, known, token = loaded.settings.listen, loaded.profiles, loaded.settings.access_token
    except SettingsError:
        console.complain("warning:", "the settings are not in order (see check), so the default address is shown")
        listen, known, token = Settings.model_fields["listen"].default, {}, None
    if profile is not None:
        if profile not in known:
            console.complain("error:", f"There is no profile {quoted(profile)} in these settings")
            sys.exit(2)
        token = known[profile].settings.access_token
    try:
        text = page(name, BaseUrls(base_url(listen), profile or ""), style, guarded=token is not None)
        click.echo(text, nl=False, color=True)
    except UnknownTool as error:
        console.complain("error:", str(error))
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


@click.command(
    cls=_Launcher,
    context_settings={"allow_interspersed_args": False},  # the first word that is no option of ours is the program
    help=_RUN_HELP,
    short_help="Start a program beside a proxy that keeps the key from it.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENTS]...")
@click.option("--env-file", metavar="PATH", help=console.ENV_FILE)
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
    from proxy.settings.sources import SettingsError  # noqa: PLC0415

    options = launcher.Options(command, env_file, profile, key_env, log, insert=not no_flags)
    try:
        if dry_run:
            click.echo(launcher.look(options, console.style(sys.stdout)), nl=False, color=True)
            return
        ended = launcher.run(options, _tell)
    except SettingsError as error:
        console.complain_of(error)
        ended = Ended(OWN_FAILURE)
    except CannotStart as error:
        console.complain("error:", str(error))
        ended = Ended(error.code)
    except Interrupted as error:
        ended = Ended(signal=error.number)
    except launcher.Refused as error:
        console.complain("error:", str(error))
        ended = Ended(OWN_FAILURE)
    end_as(ended)


def _tell(line: str) -> None:
    with suppress(OSError):  # nobody reads it: the program matters more
        click.echo(f"{console.style(sys.stderr).faint(program.NAME + ':')} {line}", err=True, color=True)


COMMANDS = (run, tools, verify)
