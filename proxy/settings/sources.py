"""Where the values of the settings come from, and what users are told of them, by the names that they wrote.

`load_settings` asks, the strongest first: flags, the environment, the file that ``--env-file`` names, the user's own
file, the folder's ``.env`` as far as a folder is believed, and for secrets ``/run/secrets``. An empty value counts as
unset. No other module reads the environment.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

from pydantic import ValidationError

from proxy.faults import Faulty, escaped, may_be_secret
from proxy.settings import folder as folders
from proxy.settings import surroundings
from proxy.settings.addresses import Upstream
from proxy.settings.env_files import EnvFile, Trust, read_env_file
from proxy.settings.model import Settings, option
from proxy.settings.names import ENV_FILE_VARIABLE, file_variable, misspelt, names
from proxy.settings.options import flag, variable
from proxy.settings.outbound_proxy import who_decides
from proxy.settings.secret_files import SecretFile

SECRET_FILES = Path("/run/secrets")  # where Docker, Compose and Podman put a secret, under its name
HERE = Path()  # the folder in which the process was started

_FOLDERS_FILE = ".env"
# One app's: a title beside the URL of another app would rename that app.
_IDENTITY = frozenset({"http_referer", "app_title", "app_categories", "app_visibility"})


class SettingsError(Exception):
    """The settings cannot be used. ``faults`` and ``warnings`` are one line each, and show no secret."""

    def __init__(self, faults: Iterable[str], warnings: Iterable[str] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True)
class Loaded:
    """Settings, what is doubtful about them (one line each), and where each one was found (by field name)."""

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True, repr=False)  # the value may be secret
class Given:
    """A value as it was written, the place where it stands, and the name that it has there."""

    value: str | SecretFile
    place: str
    name: str
    in_file: bool = False

    def __str__(self) -> str:
        """The name, for a message about the value."""
        return f"{self.name} (in {self.place})" if self.in_file else self.name


def secret_file(field: str) -> Path:
    """Where a secret is looked for if nothing names it."""
    return SECRET_FILES / variable(field).lower()


def read_environment(name: str) -> str | None:
    """One variable that is not ours (``NO_COLOR``, ``TERM``), or None if it is unset or empty."""
    return os.environ.get(name) or None


def environment() -> dict[str, str]:
    """All of it, for a program that is started."""
    return dict(os.environ)


def load_settings(
    flags: Mapping[str, str | None], *, env_file: str | None = None, folder: Path | None = HERE
) -> Loaded:
    """The settings of this process; raises `SettingsError` with every fault.

    ``flags`` has field names as keys. ``env_file`` is the file that the user has named, by default the one of
    ``OPENROUTER_ENV_FILE``. ``folder`` is whose ``.env`` is read, as far as a folder is believed; None: nobody's.
    """
    files = _files(env_file or read_environment(ENV_FILE_VARIABLE), folder)
    faults = [fault for file in files for fault in file.faults]
    doubts = [warning for file in files for warning in file.warnings]
    places = [_gather(file.label, file.variables, in_file=True) for file in files]
    faults += [fault for file in files for fault in _contradictions(file.label, file.variables, in_file=True)]
    faults += _contradictions("environment", os.environ)
    said = _gather("environment", os.environ)
    said |= {field: Given(value, "flag", flag(field)) for field, value in flags.items() if value}
    given, unused = _merged([said, *places, _mounted_secrets()])
    warnings = [*doubts, *misspelt([*os.environ, *(name for file in files for name in file.variables)]), *unused]
    try:
        settings = _checked(given)
        if settings.outbound_proxy == "auto" and (found := _outbound_proxy_of_environment(settings.upstream_url)):
            given["outbound_proxy"] = found
            settings = _checked(given)
    except ValidationError as error:
        raise SettingsError([*faults, *_faults(error, given)], warnings) from None
    if faults:
        raise SettingsError(faults, warnings)
    sources = {
        field: f"{given[field].place} {given[field].name}" if field in given else "default"
        for field in Settings.model_fields
    }
    doubtful = {**settings.doubts, **surroundings.doubts(settings.listen, os.environ)}
    warnings += [f"{given.get(field, variable(field))} {doubt}" for field, told in doubtful.items() for doubt in told]
    return Loaded(settings, tuple(warnings), sources)


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
        refused = folders.refused(found.variables, os.environ)
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
    base = os.environ.get("XDG_CONFIG_HOME", "")
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


def _checked(given: Mapping[str, Given]) -> Settings:
    """The settings of those values; raises pydantic's `ValidationError`."""
    arguments: dict[str, Any] = {field: found.value for field, found in given.items()}
    return Settings(**arguments)


def _merged(places: Sequence[Mapping[str, Given]]) -> tuple[dict[str, Given], list[str]]:
    """For each field what the strongest place gives; and a warning for each title and the like without its URL.

    An identity is one thing. Once a place has named the app, weaker places have no say about it; stronger ones have:
    whoever starts the proxy may give another title to the app of a file.
    """
    given: dict[str, Given] = {}
    unused = []
    for place in places:
        app = given.get("http_referer")
        for field, found in place.items():
            if field in given:
                continue
            if app is None or field not in _IDENTITY:
                given[field] = found
            elif "http_referer" not in place:
                unused.append(f"{found} is not used: it belongs to an app, and {app} names another one")
    return given, unused


def _gather(place: str, variables: Mapping[str, str], *, in_file: bool = False) -> dict[str, Given]:
    """What one place gives for each field: under our name rather than under another."""
    given = {}
    for field in Settings.model_fields:
        for name in names(field):
            if text := variables.get(name.text):
                value = SecretFile(Path(text)) if name.is_file else text
                given[field] = Given(value, place, name.text, in_file)
                break
    return given


def _mounted_secrets() -> dict[str, Given]:
    """The secrets that stand where orchestrators mount them."""
    paths = {field: secret_file(field) for field in Settings.model_fields if option(field).secret}
    return {
        field: Given(SecretFile(path), "secret file", str(path))
        for field, path in paths.items()
        if os.path.exists(path)  # noqa: PTH110 - pathlib's raises on EACCES
    }


def _contradictions(place: str, variables: Mapping[str, str], *, in_file: bool = False) -> list[str]:
    """A fault for each secret that one place gives both as a value and as a file."""
    return [
        f"{Given('', place, variable(field), in_file)} and {file_variable(field)} are both set: keep one"
        for field in Settings.model_fields
        if option(field).secret and variables.get(variable(field)) and variables.get(file_variable(field))
    ]


def _outbound_proxy_of_environment(upstream: Upstream) -> Given | None:
    """What the variables that all programs share say about the way to ``upstream``; None if they say nothing."""
    proxies = getproxies_environment()
    decider = who_decides(proxies, upstream.host, upstream.port)
    if decider is None:
        return None
    name = f"{decider}_proxy"  # of two, the one in lower case counts: see getproxies_environment
    value = "none" if decider == "no" else proxies[decider]
    return Given(value, "environment", name if os.environ.get(name) else name.upper())


def _faults(error: ValidationError, given: Mapping[str, Given]) -> list[str]:
    """The faults in pydantic's error, a line each, with the name that the user wrote."""
    lines = []
    for detail in error.errors(include_url=False, include_input=False):
        field = str(detail["loc"][0])
        cause = detail.get("ctx", {}).get("error")
        faults: tuple[str, ...] = (f"is not valid: {detail['msg']}",)
        if isinstance(cause, Faulty):
            field, faults = cause.field or field, cause.faults
        lines += [f"{given.get(field, variable(field))} {fault}" for fault in faults]
    return lines
