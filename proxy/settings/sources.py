"""Where the values of the settings come from, and what users are told of them, by the names that they wrote.

`load_settings` asks, the strongest first: flags, the environment, the file that ``--env-file`` names, the user's own
file, the folder's ``.env`` as far as a folder is believed, and for secrets ``/run/secrets``. An empty value counts as
unset.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.faults import escaped, may_be_secret
from proxy.settings import folder as folders
from proxy.settings import surroundings
from proxy.settings.addresses import Upstream
from proxy.settings.env_files import EnvFile, Trust, read_env_file
from proxy.settings.environment import environment, read_environment
from proxy.settings.given import Given, Place, merged, mounted_secrets, mounted_variables
from proxy.settings.model import Settings
from proxy.settings.names import misspelt
from proxy.settings.outbound_proxy import who_decides
from proxy.settings.profiles import (
    LoadedProfile,
    SharedSettings,
    doubts_among,
    faults_among,
    faults_in,
    in_url,
    load_profile,
    name_faults,
    named_in,
    setting_faults,
)
from proxy.settings.variables import ENV_FILE_VARIABLE, flag, variable

HERE = Path()  # the folder in which the process was started

_FOLDERS_FILE = ".env"


class SettingsError(Exception):
    """The settings cannot be used. ``faults`` and ``warnings`` are one line each, and show no secret."""

    def __init__(self, faults: Iterable[str], warnings: Iterable[str] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True)
class Loaded:
    """Settings, what is doubtful about them (one line each), and where each one was found (by field name).

    ``warnings`` are those of the profiles too, which are by their names in URLs.
    """

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]
    profiles: Mapping[str, LoadedProfile] = field(default_factory=dict)


def load_settings(
    flags: Mapping[str, str | None], *, env_file: str | None = None, folder: Path | None = HERE
) -> Loaded:
    """The settings of this process; raises `SettingsError` with every fault.

    ``flags`` has field names as keys. ``env_file`` is the file that the user has named, by default the one of
    ``OPENROUTER_ENV_FILE``. ``folder`` is whose ``.env`` is read, as far as a folder is believed; None: nobody's.
    """
    files = _files(env_file or read_environment(ENV_FILE_VARIABLE), folder)
    told = _Told([fault for file in files for fault in file.faults], [each for file in files for each in file.warnings])
    if told.faults:  # without what stands there, all that is wrong would be told of what is missing
        raise SettingsError(told.faults, told.warnings)
    places = [
        Place("environment", environment()),
        *(Place(file.label, file.variables, is_file=True, is_folders=file.trust is Trust.FOLDERS) for file in files),
    ]
    variables = list(dict.fromkeys(name for place in places for name, value in place.variables.items() if value))
    told.warnings += misspelt(variables)
    by_flag = {field: Given(value, "flag", flag(field)) for field, value in flags.items() if value}
    given = _given(places, told, by_flag)
    own = _given_to_profiles(places, variables, told)
    settings = _checked(given, told, shared=bool(own))
    profiles = _checked_profiles(own, given, told)
    if settings is None or told.faults:
        raise SettingsError(told.faults, told.warnings)
    identities = {"": (given, settings), **{name: (own[name], each.settings) for name, each in profiles.items()}}
    told.faults += faults_among(identities)
    if told.faults:
        raise SettingsError(told.faults, told.warnings)
    by_url = {in_url(name): each for name, each in profiles.items()}
    if by_url:
        settings = settings.model_copy(update={"named": {name: each.settings for name, each in by_url.items()}})
    doubtful = {**settings.doubts, **surroundings.doubts(settings.listen, environment())}
    told.warnings += [
        f"{given.get(field, variable(field))} {doubt}" for field, doubts in doubtful.items() for doubt in doubts
    ]
    told.warnings += [warning for each in profiles.values() for warning in each.warnings]
    told.warnings += doubts_among(identities)
    sources = {field: given[field].source if field in given else "default" for field in Settings.model_fields}
    return Loaded(settings, tuple(told.warnings), sources, by_url)


@dataclass
class _Told:
    """What users are told, a line each, in the order in which it is found."""

    faults: list[str]
    warnings: list[str]


def _given(
    places: Sequence[Place], told: _Told, by_flag: Mapping[str, Given] | None = None, profile: str = ""
) -> dict[str, Given]:
    """What all places together give for a profile, by default of the default. Whoever sets a flag sets the environment.

    ``places`` begin with the environment.
    """
    for place in reversed(places):
        told.faults += place.contradictions(profile)
    said, *others = [place.gather(profile) for place in places]
    given, unused = merged([said | dict(by_flag or {}), *others, mounted_secrets(profile)])
    told.warnings += unused
    return given


def _given_to_profiles(places: Sequence[Place], variables: Sequence[str], told: _Told) -> dict[str, dict[str, Given]]:
    """What is given for each profile, by its name in variables."""
    told.faults += setting_faults(variables)
    own = {}
    for profile, name in named_in([*variables, *mounted_variables()]).items():
        if wrong := name_faults(profile, name):
            told.faults += wrong
        elif given := _given(places, told, profile=profile):
            own[profile] = given
    return own


def _checked(given: dict[str, Given], told: _Told, *, shared: bool) -> Settings | None:
    """The settings of those values, to which what ``auto`` means is added; None if there are faults, which are told."""
    kind = SharedSettings if shared else Settings

    def made() -> Settings:
        arguments: dict[str, Any] = {field: found.value for field, found in given.items()}
        return kind(**arguments)

    try:
        settings = made()
        if settings.outbound_proxy == "auto" and (found := _outbound_proxy_of_environment(settings.upstream_url)):
            given["outbound_proxy"] = found
            settings = made()
    except ValidationError as error:
        for field, faults in faults_in(error):
            told.faults += [f"{given.get(field, variable(field))} {fault}" for fault in faults]
        return None
    return settings


def _checked_profiles(
    own: Mapping[str, Mapping[str, Given]], default: Mapping[str, Given], told: _Told
) -> dict[str, LoadedProfile]:
    """The profiles that are in order, by their names in variables."""
    profiles = {}
    for profile, given in own.items():
        loaded, faults = load_profile(profile, given, default)
        told.faults += [fault for fault in faults if fault not in told.faults]  # of the default, told already
        if loaded is not None:
            profiles[profile] = loaded
    return profiles


def _files(named: str | None, folder: Path | None) -> list[EnvFile]:
    """The files of settings, the strongest first; raises `SettingsError` if the folder's says what it may not.

    Whoever has named a file knows what they want: then such a folder's file is left alone, with a warning.
    """
    files = []
    if named is not None:
        files.append(read_env_file(Path(named), Trust.NAMED, _label(named)))
    users = users_file()
    if users is not None and not (named and _is_same(users, Path(named))):
        files.append(read_env_file(users, Trust.USERS, shown_path(users)))
    if folder is not None and not (named and _is_same(folder / _FOLDERS_FILE, Path(named))):
        found = read_env_file(folder / _FOLDERS_FILE, Trust.FOLDERS, _FOLDERS_FILE)
        refused = folders.refused(found.variables)
        if refused:
            told = folders.refusal(found.label, refused, shown_path(users) if users else "a file of your own")
            found = EnvFile(found.label, faults=(*found.faults, told))
        if found.faults and named is None:
            raise SettingsError(found.faults, found.warnings)
        if found.faults:
            found = EnvFile(found.label, warnings=tuple(f"{fault} (it is not read)" for fault in found.faults))
        files.append(found)
    return files


def _label(path: str) -> str:
    return "the file of settings" if may_be_secret(path) else escaped(path)


def users_file() -> Path | None:
    """The user's own file of settings (XDG Base Directory Specification); None where there is no home."""
    base = read_environment("XDG_CONFIG_HOME") or ""
    if not os.path.isabs(base):  # noqa: PTH117 - "must be absolute ... ignore it", says the specification
        base = os.path.expanduser("~/.config")  # noqa: PTH111 - pathlib's raises where there is no home
    path = Path(base, "openrouter-proxy", "env")
    return path if path.is_absolute() else None


def shown_path(path: Path) -> str:
    """``path`` as users write it: below ``~`` where it is in their home."""
    home = os.path.expanduser("~")  # noqa: PTH111 - see above
    text = str(path)
    return f"~{text[len(home) :]}" if len(home) > 1 and text.startswith(f"{home}/") else text


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _outbound_proxy_of_environment(upstream: Upstream) -> Given | None:
    """What the variables that all programs share say about the way to ``upstream``; None if they say nothing."""
    if not any(name.lower().endswith("_proxy") for name in environment()):
        return None
    from urllib.request import getproxies_environment  # noqa: PLC0415 - an HTTP client, which most need not

    proxies = getproxies_environment()
    decider = who_decides(proxies, upstream.host, upstream.port)
    if decider is None:
        return None
    name = f"{decider}_proxy"  # of two, the one in lower case counts: see getproxies_environment
    value = "none" if decider == "no" else proxies[decider]
    return Given(value, "environment", name if read_environment(name) else name.upper())
