"""How profiles are shown: as a table at the start, and one by one in ``check``."""

from proxy.commands.terminal import Style, columns
from proxy.commands.values import header_lines, shown
from proxy.faults import quoted
from proxy.openrouter.attribution import Attribution
from proxy.settings.model import Settings
from proxy.settings.names import PROFILE_FIELDS
from proxy.settings.profiles import LoadedProfile
from proxy.settings.sources import Loaded

_MOST = 20  # at the start; `check` shows all


class NoSuchProfile(Exception):
    """There is no identity of this name; the text is one line that says which there are."""


def chosen(loaded: Loaded, profile: str | None) -> Settings:
    """The settings of one identity; None is the default. Raises `NoSuchProfile`.

    An empty name is no name: it is what a script makes of a variable that is not set, and must credit nobody else.
    """
    known = f"there are {', '.join(loaded.profiles)}" if loaded.profiles else "there are none"
    if profile is not None:
        if profile not in loaded.profiles:
            raise NoSuchProfile(f"There is no profile {quoted(profile)}: {known}")
        return loaded.profiles[profile].settings
    if not loaded.settings.is_identity:
        raise NoSuchProfile(f"Without a profile there is no app to be credited: choose one with --profile ({known})")
    return loaded.settings


def identity_text(identity: Attribution | None) -> str:
    """An identity on one line."""
    if identity is None:
        return "nobody: nothing is stamped"
    return " | ".join(filter(None, (identity.title, identity.referer, ", ".join(identity.categories))))


def whose_key(profile: LoadedProfile) -> str:
    """Whose key pays, and what is asked for it."""
    if profile.settings.api_key is None:
        return "the caller's"
    key = _whose(profile, "api_key")
    return key if profile.settings.access_token is None else f"{key}, for {_whose(profile, 'access_token')} token"


def _whose(profile: LoadedProfile, field: str) -> str:
    return "the default's" if profile.sources[field] == "the default's" else "its own"


def table(loaded: Loaded, base: str, style: Style) -> list[str]:
    """The lines of the start page about profiles; none where there are none."""
    if not loaded.profiles:
        return []
    titles = ("profile", "base URL", "mode", "key", "credited to")
    rows = [
        (
            name,
            style.good(f"{base}/{name}/api/v1"),
            str(each.settings.attribution_mode),
            whose_key(each),
            identity_text(each.settings.attribution),
        )
        for name, each in loaded.profiles.items()
    ]
    lines = ["", *columns([tuple(map(style.faint, titles)), *rows[:_MOST]])]
    if len(rows) > _MOST:
        lines.append(f"  and {len(rows) - _MOST} more: see check")
    return lines


def details(name: str, profile: LoadedProfile, base: str, style: Style) -> list[str]:
    """One profile in ``check``: its base URLs, the exact lines that are stamped, and where its settings came from."""
    headers = [f"{header}: {value}" for header, value in header_lines(profile.settings)]
    return [
        style.heading(f"Profile {name}"),
        "",
        *(style.good(f"  {line}") for line in headers or ["(nothing is added)"]),
        "",
        *columns(
            [
                (style.faint("base URLs"), f"{base}/{name}/api/v1, {base}/{name}/api, {base}/{name}/v1"),
                (style.faint("mode"), str(profile.settings.attribution_mode)),
                (style.faint("key"), whose_key(profile)),
            ]
        ),
        "",
        *columns(
            (field.upper(), shown(profile.settings, field), style.faint(profile.sources[field]))
            for field in PROFILE_FIELDS
        ),
        "",
    ]
