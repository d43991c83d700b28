"""How click shows help, and what it says of wrong usage: broken at blanks only, and without a key that stood there."""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from proxy.faults import may_be_secret
from proxy.settings.variables import flag, variable

_NARROW = 72  # columns; below, what a flag does stands under it
_INDENT = 6
_A_KEY = (
    "What looks like a key stands on the command line, where other programs can read it, and it is not shown again. "
    "Keys are set in the environment, such as OPENROUTER_API_KEY, or in a file"
)


class Formatter(click.HelpFormatter):
    """Breaks lines at blanks only: a URL or a name that is broken in two cannot be copied."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms and what they mean, beside each other or, where there is little room, one under the other."""
        rows = list(rows)
        widest = max(len(term) for term, _ in rows)
        column = min(widest, col_max) + col_spacing
        narrow = self.width < _NARROW and widest > self.width // 4
        start = self.current_indent + (_INDENT if narrow else column)
        for term, meaning in rows:
            lines = textwrap.wrap(
                meaning, max(self.width - start, 10), break_long_words=False, break_on_hyphens=False
            ) or [""]
            if narrow or len(term) > column - col_spacing:
                self.write(f"{'':>{self.current_indent}}{term}\n")
            else:
                self.write(f"{'':>{self.current_indent}}{term:<{column}}{lines.pop(0)}\n")
            for line in lines:
                self.write(f"{'':>{start}}{line}\n".rstrip(" "))


class Context(click.Context):
    """A context whose help pages a `Formatter` writes."""

    formatter_class = Formatter


class Command(click.Command):
    """A command whose help page a `Formatter` writes."""

    context_class = Context


@contextmanager
def keys_unsaid() -> Iterator[None]:
    """Let no error about usage repeat what looks like a key."""
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption) and (secret := _secret_with(error.option_name)):
            told = f"A secret has no flag, as other programs could read it there: set {secret}"
        elif may_be_secret(error.format_message()):
            told = _A_KEY
        else:
            raise
        raise click.UsageError(told, error.ctx) from None


def _secret_with(name: str) -> str | None:
    """The variable of the secret whose flag would be ``name``; None if there is no such secret."""
    from proxy.settings.model import Settings, option  # noqa: PLC0415 - a tenth of a second, for a mistake

    return next((variable(each) for each in Settings.model_fields if flag(each) == name and option(each).secret), None)
