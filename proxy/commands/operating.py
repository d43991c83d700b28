"""The commands for whoever runs the proxy for longer than a shell lasts: ``health``, ``imitation``, ``service``."""

import sys
from typing import NoReturn

import click

from proxy.commands import terminal


@click.command(short_help="Ask the proxy that runs here whether it is ready.")
@click.option("--listen", metavar="HOST:PORT", help="Ask there; by default, where this environment's proxy listens.")
def health(*, listen: str | None) -> None:
    """Ask the proxy that runs here whether it is ready.

    Prints one line; the exit code is 0 if it is, and 1 if it is not or does not answer. For a container's health check
    or a probe. It needs no configuration: it finds the proxy that was started with the same OPENROUTER_LISTEN, or
    without one, also if a flag or a file put that elsewhere.
    """
    from proxy.commands import health as command  # noqa: PLC0415

    sys.exit(command.health(listen))


@click.command(short_help="An imitation of OpenRouter, to try a set-up without a key.")
@click.option("--listen", default="localhost:6768", show_default=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--pace", type=click.FloatRange(0, 60), default=0.05, show_default=True, help="Seconds between events.")
@click.option("--tls-certificate", type=click.Path(), metavar="FILE", help="Speak TLS, with this chain (PEM).")
@click.option("--tls-key", type=click.Path(), metavar="FILE", help="Its private key (PEM), if that stands apart.")
def imitation(*, listen: str, pace: float, tls_certificate: str | None, tls_key: str | None) -> None:
    """Answer as OpenRouter does, to try a set-up without a key, a network or a bill.

    Any key that begins with sk-or- will do. It prints a line for each request: the answer's status, the app that the
    request is credited to, and the first digits of the SHA-256 of the key that came with it. The models tell what else
    it can play: GET /api/v1/models. OPENROUTER_UPSTREAM_URL=http://localhost:6768 points a proxy at it.
    """
    from proxy.commands.imitation import CannotImitate, run_imitation  # noqa: PLC0415
    from proxy.faults import Faulty  # noqa: PLC0415
    from proxy.settings.addresses import Listen  # noqa: PLC0415

    try:
        code = run_imitation(Listen.parse(listen), pace=pace, certificate=tls_certificate, key=tls_key)
    except Faulty as fault:
        _fail(f"--listen {fault}", 2)
    except CannotImitate as error:
        _fail(str(error), 2)
    sys.exit(code)


@click.group(short_help="Keep the proxy running, from login to login.")
def service() -> None:
    """Keep the proxy running for this user, as a service of systemd or launchd.

    Its settings are the user's own: the file ~/.config/openrouter-proxy/env (or below XDG_CONFIG_HOME), with
    NAME=value on each line.
    """


@service.command(short_help="Install it, start it, and start it at each login.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and run; do nothing.")
def install(*, dry_run: bool) -> None:
    """Install the service, start it, and start it at each login.

    An older one is replaced. It checks first that the settings of the service are in order.
    """
    _manage("install", dry_run=dry_run)


@service.command(short_help="Say whether it is installed, runs and answers.")
def status() -> None:
    """Say whether it is installed, runs and answers; the exit code is 0 if so, else 1."""
    _manage("status", dry_run=False)


@service.command(short_help="Stop it, and remove it.")
@click.option("--dry-run", is_flag=True, help="Show what would be run and removed; do nothing.")
def uninstall(*, dry_run: bool) -> None:
    """Stop the service, and remove it. The settings stay."""
    _manage("uninstall", dry_run=dry_run)


def _manage(what: str, *, dry_run: bool) -> NoReturn:
    from proxy.commands.service import CannotManage, manage  # noqa: PLC0415

    try:
        code = manage(what, dry_run=dry_run)
    except CannotManage as error:
        _fail(str(error), 1)
    sys.exit(code)


def _fail(text: str, code: int) -> NoReturn:
    style = terminal.Style(terminal.wants_colour(sys.stderr))
    click.echo(f"{style.error('error:')} {text}", err=True, color=True)
    sys.exit(code)


COMMANDS = (health, imitation, service)
