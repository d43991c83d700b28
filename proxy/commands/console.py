"""What the commands share: how a person is told what is wrong, and the settings that they begin with."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

import click

from proxy.commands import terminal
from proxy.settings.variables import ENV_FILE_VARIABLE

if TYPE_CHECKING:
    from proxy.settings.sources import Loaded, SettingsError

ENV_FILE = (
    "A file of settings, one NAME=value on each line; what is set otherwise counts before it. "
    f"By default the one that {ENV_FILE_VARIABLE} names"
)


def load(flags: Mapping[str, str | None]) -> "Loaded":
    """The settings, or the end of the process with a line for each fault. ``flags`` are those of serve and check."""
    from proxy.settings.sources import SettingsError, load_settings  # noqa: PLC0415 - a tenth of a second

    named = {**flags}
    env_file = named.pop("env_file", None)
    try:
        return load_settings(named, env_file=env_file)
    except SettingsError as error:
        complain_of(error)
        sys.exit(2)


def complain_of(error: "SettingsError") -> None:
    """Tell what is wrong with the settings, and what may be the reason."""
    for fault in error.faults:
        complain("error:", fault)
    for warning in error.warnings:
        complain("warning:", warning)


def complain(kind: str, text: str) -> None:
    """Tell on standard error what is wrong; ``kind`` is ``error:`` or ``warning:``."""
    own = style(sys.stderr)
    click.echo(f"{own.error(kind) if kind == 'error:' else own.warning(kind)} {text}", err=True, color=True)


def style(stream: TextIO | None) -> terminal.Style:
    """How text on ``stream`` is given its meaning: by colour, where that is wanted."""
    return terminal.Style(terminal.wants_colour(stream))
