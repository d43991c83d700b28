"""The identity that a request gets, and whose key pays for it: chosen before the rules that depend on it."""

from dataclasses import dataclass, field
from typing import Self, cast

from starlette.types import Scope

from proxy.headers import HeaderList, folded
from proxy.middleware.rules import Rule
from proxy.openrouter.attribution import Attribution, Mode
from proxy.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Profile:
    """One identity. ``key`` is the one that the proxy holds for it, and ``token`` what opens it."""

    attribution: Attribution | None
    mode: Mode
    extra_headers: HeaderList = field(repr=False)
    extra_names: frozenset[bytes]  # in folded form
    key: bytes | None = field(repr=False)
    token: bytes | None = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The one that the settings name."""
        key, token = settings.api_key, settings.access_token
        return cls(
            settings.attribution,
            settings.attribution_mode,
            list(settings.extra_headers),
            frozenset(folded(name) for name, _ in settings.extra_headers),
            None if key is None else key.get_secret_value().encode("ascii"),
            None if token is None else token.get_secret_value().encode("ascii"),
        )


def use(profile: Profile) -> Rule:
    """A rule: each request gets ``profile``."""

    def used(scope: Scope) -> Scope:
        return {**scope, "profile": profile}

    return used


def profile_of(scope: Scope) -> Profile:
    """The profile that was chosen for a request."""
    return cast(Profile, scope["profile"])
