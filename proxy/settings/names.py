"""The names under which settings stand in the environment and in files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.faults import escaped, nearest
from proxy.settings.model import Settings, option
from proxy.settings.variables import ENV_FILE_VARIABLE, PREFIX, variable

# Names that others read, so close to ours that they would be taken for misspelt ones. BASE_URL points a tool at this
# proxy, which would call itself if it read it.
_FOREIGN = frozenset({"API_TIMEOUT", "API_URL", "BASE_URL", "TIMEOUT"})

# What a profile has of its own; all else is the process's.
PROFILE_FIELDS = (
    *("http_referer", "app_title", "app_categories", "app_visibility"),
    *("attribution_mode", "extra_headers", "api_key", "access_token"),
)
_PROFILES = variable("profiles") + "__"


@dataclass(frozen=True)
class Name:
    """A variable of ours: which setting it is for, and whether it names a file that holds the setting's text.

    ``profile`` is the name of a profile as it stands in variables, and empty for the default.
    """

    text: str
    field: str
    is_file: bool = False
    profile: str = ""


def fields(profile: str = "") -> tuple[str, ...]:
    """The settings of a profile, or all."""
    return PROFILE_FIELDS if profile else tuple(Settings.model_fields)


def file_variable(field: str, profile: str = "") -> str:
    """The environment variable that holds the path of a secret's file, in place of the secret."""
    return variable(field, profile) + "_FILE"


def names(field: str, profile: str = "") -> tuple[Name, ...]:
    """The variables that may hold a setting, the most important one first."""
    also = () if profile else option(field).also
    plain = tuple(Name(text, field, profile=profile) for text in (variable(field, profile), *also))
    if not option(field).secret:
        return plain
    return (*plain, Name(file_variable(field, profile), field, is_file=True, profile=profile))


# What is meant for one of a profile, however many underscores it has.
_PROFILE = re.compile(rf"_?PROFILES?_+(.+?)_+({'|'.join(PROFILE_FIELDS)})(_FILE)?", re.IGNORECASE)

_KNOWN = {name.text: name for field in Settings.model_fields for name in names(field)}


def find(text: str) -> Name | None:
    """What a variable is for; None if it is none of ours."""
    if (parts := profile_parts(text)) is None:
        return _KNOWN.get(text)
    profile, _ = parts
    return next((name for field in PROFILE_FIELDS for name in names(field, profile) if name.text == text), None)


def profile_parts(text: str) -> tuple[str, str] | None:
    """The name of a profile and of a setting in a variable, both as they were written; None if it is of no profile."""
    if not text.startswith(_PROFILES):
        return None
    profile, _, setting = text.removeprefix(_PROFILES).rpartition("__")
    return profile, setting


def misspelt(texts: Iterable[str]) -> list[str]:
    """A warning for each name that is not ours, but nearly."""
    ours = {text.removeprefix(PREFIX): name for text, name in _KNOWN.items() if text.startswith(PREFIX)}
    known = {*ours, *_FOREIGN, ENV_FILE_VARIABLE.removeprefix(PREFIX)}
    found = []
    for text in dict.fromkeys(texts):
        if profile_parts(text) is not None:  # which is looked at whole
            continue
        bare = text.upper().removeprefix(PREFIX)
        is_prefixed = text.upper().startswith(PREFIX)
        meant: str | None = None
        if is_prefixed and (match := _PROFILE.fullmatch(bare)):
            meant = variable(match[2], match[1]) + (match[3] or "")
        elif bare.startswith(("PROFILE__", "PROFILES__")):
            meant = f"{_PROFILES}{bare.partition('__')[2]}"
        # A double underscore separates the parts of a nested name, and none of these has one.
        elif is_prefixed and text.removeprefix(PREFIX) not in known and "__" not in bare:
            near = ours.get(nearest(bare, ours, cutoff=0.7) or "")
            meant = (file_variable if near.is_file else variable)(near.field) if near else None
        if meant:
            found.append(f"{escaped(text)} is not a setting: did you mean {escaped(meant)}?")
    return found
