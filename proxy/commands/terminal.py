"""Text for people at a terminal: colour where it is wanted, columns, and nothing that fails to print."""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from proxy.settings.environment import read_environment

if TYPE_CHECKING:
    from proxy.settings.options import LogFormat  # with all of pydantic


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads ``stream`` as it is written; None is how Python has a closed stdout."""
    return stream is not None and not stream.closed and stream.isatty()


def wants_colour(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal whose user has not asked for plain text (no-color.org)."""
    return is_terminal(stream) and not read_environment("NO_COLOR") and read_environment("TERM") != "dumb"


def logs_json(log_format: "LogFormat", stream: TextIO | None) -> bool:
    """Whether what goes to ``stream`` is read by a program: if ``log_format`` says so, or leaves it to the terminal."""
    return log_format == "json" or (log_format == "auto" and not is_terminal(stream))


def keep_standard_descriptors() -> None:
    """Opens whichever of the descriptors 0 to 2 are closed (as by ``>&-``), so that no socket gets their numbers.

    What is written to standard error would go to a peer; and libuv aborts the process when it closes one of them.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def never_fail_to_print() -> None:
    """Lets stdout and stderr escape what their encoding lacks, instead of raising (Windows, ``PYTHONIOENCODING``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@dataclass(frozen=True)
class Style:
    """Gives text its meaning by colour, if ``colour`` is on; else returns it as it is."""

    colour: bool = False

    def heading(self, text: str) -> str:
        """What a part of the output is about."""
        return self._styled(text, bold=True)

    def good(self, text: str) -> str:
        """What went well, or is ours."""
        return self._styled(text, fg="green")

    def warning(self, text: str) -> str:
        """What may be wrong."""
        return self._styled(text, fg="yellow")

    def error(self, text: str) -> str:
        """What is wrong."""
        return self._styled(text, fg="red")

    def faint(self, text: str) -> str:
        """What is said for completeness."""
        return self._styled(text, dim=True)

    def _styled(self, text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
        return click.style(text, fg=fg, bold=bold, dim=dim) if self.colour and text else text


def columns(rows: Iterable[Sequence[str]], *, indent: int = 2, gap: int = 2) -> list[str]:
    """``rows`` as aligned lines: each cell but a row's last is padded to the widest of its column, colour aside."""
    table = [list(row) for row in rows]
    widths: dict[int, int] = {}
    for row in table:
        for place, cell in enumerate(row[:-1]):
            widths[place] = max(widths.get(place, 0), len(click.unstyle(cell)))
    lines = []
    for row in table:
        cells = [cell + " " * (widths[place] + gap - len(click.unstyle(cell))) for place, cell in enumerate(row[:-1])]
        lines.append((" " * indent + "".join([*cells, *row[-1:]])).rstrip())
    return lines
