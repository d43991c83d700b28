"""The names under which settings stand in the environment and in files."""

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.faults import escaped, nearest
from proxy.settings.model import Settings, option
from proxy.settings.options import PREFIX, variable

ENV_FILE_VARIABLE = PREFIX + "ENV_FILE"  # names a file of settings, and so is no setting itself

# Names that others read, so close to ours that they would be taken for misspelt ones. BASE_URL points a tool at this
# proxy, which would call itself if it read it.
_FOREIGN = frozenset({"API_TIMEOUT", "API_URL", "BASE_URL", "TIMEOUT"})


@dataclass(frozen=True)
class Name:
    """A variable of ours: which setting it is for, and whether it names a file that holds the setting's text."""

    text: str
    field: str
    is_file: bool = False


def file_variable(field: str) -> str:
    """The environment variable that holds the path of a secret's file, in place of the secret."""
    return variable(field) + "_FILE"


def names(field: str) -> tuple[Name, ...]:
    """The variables that may hold a setting, the most important one first."""
    plain = tuple(Name(text, field) for text in (variable(field), *option(field).also))
    return (*plain, Name(file_variable(field), field, is_file=True)) if option(field).secret else plain


_KNOWN = {name.text: name for field in Settings.model_fields for name in names(field)}


def find(text: str) -> Name | None:
    """What a variable is for; None if it is none of ours."""
    return _KNOWN.get(text)


def misspelt(texts: Iterable[str]) -> list[str]:
    """A warning for each name that is not ours, but nearly."""
    ours = {text.removeprefix(PREFIX): name for text, name in _KNOWN.items() if text.startswith(PREFIX)}
    known = {*ours, *_FOREIGN, ENV_FILE_VARIABLE.removeprefix(PREFIX)}
    found = []
    for text in dict.fromkeys(texts):
        bare = text.upper().removeprefix(PREFIX)
        # A double underscore separates the parts of a nested name, and none of these has one.
        if not text.upper().startswith(PREFIX) or text.removeprefix(PREFIX) in known or "__" in bare:
            continue
        if near := nearest(bare, ours, cutoff=0.7):
            found.append(f"{escaped(text)} is not a setting: did you mean {variable(ours[near].field)}?")
    return found
