"""Where the values of the settings come from, and what users are told of them, by the names that they wrote.

`load_settings` looks for each value in flags, then in the environment, then in ``.env``, then, if it is a secret, in
``/run/secrets``; an empty one counts as unset. No other module reads the environment.
"""

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

from dotenv.parser import parse_stream
from pydantic import ValidationError

from proxy.faults import Faulty, escaped, nearest
from proxy.settings.addresses import Upstream
from proxy.settings.model import PREFIX, Settings, flag, option, variable
from proxy.settings.outbound_proxy import who_decides
from proxy.settings.secret_files import SecretFile

ENV_FILE = Path(".env")
SECRET_FILES = Path("/run/secrets")  # where Docker, Compose and Podman put a secret, under its name

# Names that others read, so close to ours that they would be taken for misspelt ones. BASE_URL points a tool at this
# proxy, which would call itself if it read it.
_FOREIGN = frozenset({"API_TIMEOUT", "API_URL", "BASE_URL", "TIMEOUT"})


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
class _Given:
    """A value as it was written, and the name that it was written under."""

    value: str | SecretFile
    place: str
    name: str

    def __str__(self) -> str:
        """The name, for a message about the value."""
        return f"{self.name} (in {self.place})" if self.place == str(ENV_FILE) else self.name


def file_variable(field: str) -> str:
    """The environment variable that holds the path of a secret's file, in place of the secret."""
    return variable(field) + "_FILE"


def secret_file(field: str) -> Path:
    """Where a secret is looked for if nothing names it."""
    return SECRET_FILES / variable(field).lower()


def read_environment(name: str) -> str | None:
    """One variable that is not ours (``NO_COLOR``, ``TERM``), or None if it is unset or empty."""
    return os.environ.get(name) or None


def load_settings(flags: Mapping[str, str | None]) -> Loaded:
    """The settings of this process. ``flags`` has field names as keys; raises `SettingsError` with every fault."""
    env_file, faults = _read_env_file(ENV_FILE)
    faults += [*_contradictions(str(ENV_FILE), env_file), *_contradictions("environment", os.environ)]
    given = {
        **_mounted_secrets(),
        **_gather(str(ENV_FILE), env_file),
        **_gather("environment", os.environ),
        **{field: _Given(value, "flag", flag(field)) for field, value in flags.items() if value},
    }
    warnings = _misspelt([*os.environ, *env_file])
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
    warnings += [f"{given[field]} {doubt}" for field, doubts in settings.doubts.items() for doubt in doubts]
    return Loaded(settings, tuple(warnings), sources)


def _checked(given: Mapping[str, _Given]) -> Settings:
    """The settings of those values; raises pydantic's `ValidationError`."""
    arguments: dict[str, Any] = {field: found.value for field, found in given.items()}
    return Settings(**arguments)


def _gather(place: str, variables: Mapping[str, str | None]) -> dict[str, _Given]:
    """What one place gives for each field: under our name rather than under another."""
    given = {}
    for field in Settings.model_fields:
        for name in _names(field):
            if value := variables.get(name):
                in_file = option(field).secret and name == file_variable(field)
                given[field] = _Given(SecretFile(Path(value)) if in_file else value, place, name)
                break
    return given


def _mounted_secrets() -> dict[str, _Given]:
    """The secrets that stand where orchestrators mount them."""
    paths = {field: secret_file(field) for field in Settings.model_fields if option(field).secret}
    return {
        field: _Given(SecretFile(path), "secret file", str(path))
        for field, path in paths.items()
        if os.path.exists(path)  # noqa: PTH110 - pathlib's raises on EACCES
    }


def _contradictions(place: str, variables: Mapping[str, str | None]) -> list[str]:
    """A fault for each secret that one place gives both as a value and as a file."""
    return [
        f"{_Given('', place, variable(field))} and {file_variable(field)} are both set: keep one"
        for field in Settings.model_fields
        if option(field).secret and variables.get(variable(field)) and variables.get(file_variable(field))
    ]


def _names(field: str) -> tuple[str, ...]:
    """The variables that may hold a setting, the most important one first."""
    files = (file_variable(field),) if option(field).secret else ()
    return (variable(field), *option(field).also, *files)


def _outbound_proxy_of_environment(upstream: Upstream) -> _Given | None:
    """What the variables that all programs share say about the way to ``upstream``; None if they say nothing."""
    proxies = getproxies_environment()
    decider = who_decides(proxies, upstream.host, upstream.port)
    if decider is None:
        return None
    name = f"{decider}_proxy"  # of two, the one in lower case counts: see getproxies_environment
    value = "none" if decider == "no" else proxies[decider]
    return _Given(value, "environment", name if os.environ.get(name) else name.upper())


def _read_env_file(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The variables of a ``.env`` file, and what is wrong with it. References (``${NAME}``) stay as they are."""
    if path.is_dir():  # many keep a virtual environment there
        return {}, []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{path} cannot be read ({error.strerror}): make it readable, or move it away"]
    except UnicodeDecodeError as error:
        return {}, [f"{path} is not UTF-8 text (at byte {error.start + 1}): save it as UTF-8"]
    variables: dict[str, str | None] = {}
    faults = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is not None:
            variables[binding.key] = binding.value
        elif binding.error and PREFIX in binding.original.string:
            faults.append(f"{path} cannot be understood at line {binding.original.line}: write NAME=value on one line")
    return variables, faults


def _faults(error: ValidationError, given: Mapping[str, _Given]) -> list[str]:
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


def _misspelt(names: Iterable[str]) -> list[str]:
    """A warning for each name that is not ours, but nearly."""
    ours = {
        name.removeprefix(PREFIX): field
        for field in Settings.model_fields
        for name in _names(field)
        if name.startswith(PREFIX)
    }
    known = {*ours, *_FOREIGN}
    found = []
    for name in dict.fromkeys(names):
        bare = name.upper().removeprefix(PREFIX)
        # A double underscore separates the parts of a nested name, and none of ours has one.
        if not name.upper().startswith(PREFIX) or name.removeprefix(PREFIX) in known or "__" in bare:
            continue
        if near := nearest(bare, ours, cutoff=0.7):
            found.append(f"{escaped(name)} is not a setting: did you mean {variable(ours[near])}?")
    return found
