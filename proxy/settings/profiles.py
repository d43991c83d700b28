"""Profiles: further identities that one process serves, each with its own stamp, key, token and rules of the start.

A profile is the settings of the process with another identity, so each is a `Settings` of its own, and every rule that
holds for the default holds for it, in the same words and under its own variables.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from proxy.faults import Faulty, escaped, nearest
from proxy.settings.given import IDENTITY, Given
from proxy.settings.model import Settings
from proxy.settings.names import PROFILE_FIELDS, find, profile_parts
from proxy.settings.variables import PREFIX, variable

_LONGEST = 40
_NAME = re.compile(r"[A-Z0-9](?:[A-Z0-9_]{0,38}[A-Z0-9])?")
# Paths of ours, of the API, and of what tools append to a base URL: none may become a profile's.
_RESERVED = frozenset(
    {"api", "v1", "v2", "v1alpha", "v1beta", "alpha", "beta", "openai", "anthropic", "health", "healthz", "livez"}
    | {"ready", "readyz", "metrics", "live", "status", "favicon", "robots", "chat", "models", "messages", "responses"}
)
_OF_DEFAULT = re.compile(rf"\b{PREFIX}({'|'.join(field.upper() for field in PROFILE_FIELDS)})\b")


class SharedSettings(Settings):
    """The settings of a process that serves profiles. It may have no identity of its own."""

    model_config = SettingsConfigDict(defer_build=True)  # 3 ms, for those who have profiles

    needs_identity: ClassVar[bool] = False
    named: dict[str, Settings] = Field(default_factory=dict, repr=False)

    @property
    def profiles(self) -> Mapping[str, Settings]:
        """By the name in a URL, the settings of each profile."""
        return self.named

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """What must never be shown, of any profile."""
        return tuple(dict.fromkeys([*super().secrets, *(each for own in self.named.values() for each in own.secrets)]))


@dataclass(frozen=True)
class LoadedProfile:
    """A profile, what is doubtful about it (one line each), and where its own settings were found (by field name)."""

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]


def in_url(profile: str) -> str:
    """The name of a profile in a URL: ``TEAM_A`` is ``team-a``."""
    return profile.lower().replace("_", "-")


def settings_with(arguments: Mapping[str, Any], profiles: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings of a process with those profiles, by their names in URLs; raises pydantic's `ValidationError`.

    For programs that embed the proxy, and for tests; `load_settings` tells users more.
    """
    named = {name: Settings(**_arguments(arguments, own)) for name, own in profiles.items()}
    return SharedSettings(**arguments, named=named)


def named_in(names: Iterable[str]) -> dict[str, str]:
    """The profiles that variables are for, and of each one variable, for a message about it."""
    found: dict[str, str] = {}
    for name in names:
        if parts := profile_parts(name):
            found.setdefault(parts[0], name)
    return found


def name_faults(profile: str, name: str) -> list[str]:
    """What is wrong with the name of a profile, for which the variable ``name`` is."""
    example = variable("app_title", "TEAM_A")
    if not profile:
        told = f"names no profile, or no setting of one: write, for example, {example}"
    elif in_url(profile) in _RESERVED:
        told = f'names a profile "{in_url(profile)}", which is a path of the proxy or of the API: take another name'
    elif len(profile) > _LONGEST:
        told = f"names a profile with over {_LONGEST} characters: take a shorter name"
    elif not _NAME.fullmatch(profile):
        told = (
            "names a profile with other characters than A-Z, 0-9 and _, or with _ at an end: "
            f"write, for example, {example} (team-a in a URL)"
        )
    else:
        return []
    return [f"{escaped(name)} {told}"]


def setting_faults(names: Iterable[str]) -> list[str]:
    """A fault for each variable of a profile that is none of its settings."""
    faults = []
    for name in names:
        parts = profile_parts(name)
        if parts is None or not parts[0] or find(name) is not None:
            continue
        profile, setting = parts
        known = [field.upper() for field in PROFILE_FIELDS]
        near = nearest(setting.upper(), known)
        hint = f"did you mean {variable(near, profile)}?" if near else f"it has {', '.join(known)}"
        if find(PREFIX + setting) is not None and not near:
            hint = f"{PREFIX}{setting} is one of the whole process; {hint}"
        faults.append(f"{escaped(name)} is not a setting of a profile: {escaped(hint)}")
    return faults


def load_profile(
    profile: str, own: Mapping[str, Given], default: Mapping[str, Given]
) -> tuple[LoadedProfile | None, list[str]]:
    """Check one profile; ``own`` and ``default`` are what was given for it and for the default. Returns its faults."""
    app = variable("http_referer", profile)
    if "http_referer" not in own and (orphans := [found for field, found in own.items() if field in IDENTITY]):
        return None, [f"{found} belongs to an app of the profile's own: set {app} as well" for found in orphans]
    if "http_referer" in own:
        default = {field: found for field, found in default.items() if not found.is_of_app(field)}
    arguments = {field: found.value for field, found in default.items()}
    try:
        settings = Settings(**_arguments(arguments, {field: found.value for field, found in own.items()}))
    except ValidationError as error:
        return None, _faults(error, profile, own, default)
    warnings = [
        f"{own[field]} {_renamed(doubt, profile)}"
        for field, doubts in settings.doubts.items()
        if field in own
        for doubt in doubts
    ]
    sources = {field: own[field].source if field in own else "the default's" for field in PROFILE_FIELDS}
    if "http_referer" in own:
        sources |= {field: "default" for field in IDENTITY if field not in own}
    return LoadedProfile(settings, tuple(warnings), sources), []


def faults_among(identities: Mapping[str, tuple[Mapping[str, Given], Settings]]) -> list[str]:
    """Two with one token. ``identities`` are what was given for each and its settings; the default's name is empty."""
    faults = []
    seen: dict[str, Given] = {}
    for own, settings in identities.values():
        if "access_token" in own and settings.access_token is not None:
            first = seen.setdefault(settings.access_token.get_secret_value(), own["access_token"])
            if first is not own["access_token"]:
                faults.append(
                    f"{own['access_token']} is the same as {first}, so nobody could tell whose it is: take another"
                )
    return faults


def doubts_among(identities: Mapping[str, tuple[Mapping[str, Given], Settings]]) -> list[str]:
    """Two with one URL and different titles, which rename one app in turn."""
    doubts = []
    seen: dict[str, tuple[Given, str | None]] = {}
    for own, settings in identities.values():
        if "http_referer" not in own or settings.attribution is None:
            continue
        first, title = seen.setdefault(settings.attribution.referer, (own["http_referer"], settings.app_title))
        if title != settings.app_title:
            doubts.append(f"{own['http_referer']} is {first}'s too, under another title: each request renames the app")
    return doubts


def _arguments(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a profile's settings are made of: nothing of the default's identity where it has its own."""
    inherited = {field: value for field, value in default.items() if "http_referer" not in own or field not in IDENTITY}
    inherited.pop("live_page", None)  # the process's, behind the default's token
    return {**inherited, **own}


def _faults(error: ValidationError, profile: str, own: Mapping[str, Given], default: Mapping[str, Given]) -> list[str]:
    """The faults in pydantic's error, under the names that stand for this profile."""
    lines = []
    for field, faults in faults_in(error):
        if field in default and field not in own:
            lines += [f"{default[field]} {fault}" for fault in faults]
        else:
            named = own.get(field) or variable(field, profile if field in PROFILE_FIELDS else "")
            lines += [f"{named} {_renamed(fault, profile)}" for fault in faults]
    return lines


def faults_in(error: ValidationError) -> list[tuple[str, tuple[str, ...]]]:
    """The faults in pydantic's error, by field."""
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        field = str(detail["loc"][0])
        cause = detail.get("ctx", {}).get("error")
        faults: tuple[str, ...] = (f"is not valid: {detail['msg']}",)
        if isinstance(cause, Faulty):
            field, faults = cause.field or field, cause.faults
        found.append((field, faults))
    return found


def _renamed(text: str, profile: str) -> str:
    """``text``, which tells of the default's settings, as it is for a profile."""
    return _OF_DEFAULT.sub(lambda match: variable(match[1].lower(), profile), text)
