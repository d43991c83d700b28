"""The identity that a request gets, and whose key pays for it: chosen before the rules that depend on it."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Self

from starlette.types import Scope

from proxy.errors import ProfileRequired, UnclearCredentials, UnknownProfile, WrongProfile
from proxy.headers import CREDENTIALS, HeaderList, folded, presented, user_and_password
from proxy.middleware.rules import Rule
from proxy.observe.any_of import AnyOf
from proxy.observe.record import record_of
from proxy.openrouter.api import is_forwarded
from proxy.openrouter.attribution import Attribution, Mode
from proxy.percent_encoding import readings
from proxy.settings.model import Settings

_ROOTS = frozenset({b"api", b"v1"})


@dataclass(frozen=True, slots=True)
class Profile:
    """One identity. ``key`` is the one that the proxy holds for it, and ``token`` what opens it.

    ``pays`` says whether somebody other than the caller pays for it, by the key or by what is in the extra headers.
    Who may call it is then a matter of guards (promises 25 and 38 in docs/wire.md).
    """

    name: str | None  # in URLs; None is the default
    attribution: Attribution | None
    mode: Mode
    extra_headers: HeaderList = field(repr=False)
    extra_names: frozenset[bytes]  # in folded form
    key: bytes | None = field(repr=False)
    token: bytes | None = field(repr=False)
    pays: bool

    @classmethod
    def of(cls, settings: Settings, name: str | None = None) -> Self:
        """The one that the settings name."""
        key, token = settings.api_key, settings.access_token
        return cls(
            name,
            settings.attribution,
            settings.attribution_mode,
            list(settings.extra_headers),
            frozenset(folded(name) for name, _ in settings.extra_headers),
            None if key is None else key.get_secret_value().encode("ascii"),
            None if token is None else token.get_secret_value().encode("ascii"),
            settings.pays,
        )


class Profiles:
    """The profiles of a process, and which of them a request is for."""

    def __init__(self, settings: Settings) -> None:
        self.default = Profile.of(settings)
        self.is_default_served = settings.is_identity
        self.by_name = {name.encode(): Profile.of(own, name) for name, own in settings.profiles.items()}
        # Tokens are looked up by a keyed hash. How long a look-up takes then tells nothing of any token, as its order
        # is the secret key's; and it takes no longer for many than for one (`python -m benchmarks.profiles`).
        self._hash = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)
        self._by_token = {
            self._hashed(each.token): each
            for each in (self.default, *self.by_name.values())
            # Who has none of their own is asked for the default's, which does not choose them.
            if each.token is not None and (each is self.default or each.token != self.default.token)
        }
        self._tokens = AnyOf([token for each in self._by_token.values() if (token := each.token) is not None])
        lengths = [len(token) for token in self._tokens.strings]
        self._shortest_token, self._longest_token = min(lengths, default=0), max(lengths, default=0)
        self._told = () if self._by_token else tuple(settings.profiles)

    def choose(self, raw_path: bytes, headers: HeaderList) -> tuple[Profile, bytes]:
        """The profile that a request is for, by its path or its token, and the path without the profile.

        Only the exact bytes of a name are one: no other case, no percent-encoding. Raises `WrongProfile`,
        `UnknownProfile` and `ProfileRequired`.
        """
        by_path, rest = self._by_path(raw_path)
        by_token = self._of_token(headers)
        if by_path is None:
            chosen = by_token or self.default
            if chosen is self.default and not self.is_default_served and is_forwarded(raw_path):
                raise ProfileRequired
            return chosen, raw_path
        if by_token is not None and by_token.token != by_path.token:
            raise WrongProfile
        return by_path, rest

    def _by_path(self, raw_path: bytes) -> tuple[Profile | None, bytes]:
        name, slash, rest = raw_path[1:].partition(b"/")
        if name in _ROOTS:  # a prefix behind one of these is a base URL set twice, and no profile's
            return None, raw_path
        profile = self.by_name.get(name)
        if profile is None and is_forwarded(slash + rest):
            raise UnknownProfile(self._told)
        return profile, slash + rest or b"/"

    def _of_token(self, headers: HeaderList) -> Profile | None:
        """Whose token is presented, if one is; raises `WrongProfile` if there are several."""
        if not self._by_token:
            return None
        found: Profile | None = None
        for name, value in headers:
            if name in CREDENTIALS and len(token := presented(value)) <= self._longest_token:
                profile = self._by_token.get(self._hashed(token))
                if profile is not None and found is not None and profile is not found:
                    raise WrongProfile
                found = profile or found
        return found

    def stand_in(self, raw_path: bytes, query: bytes, headers: HeaderList) -> bool:
        """Whether anybody's token stands in what is about to leave: in the target, however encoded, or in a header."""
        if not self._by_token:
            return False
        shortest = self._shortest_token
        target = b"%b?%b" % (raw_path, query) if query else raw_path
        parts = [value for _, value in headers if len(value) >= shortest]
        parts += [held for value in parts if (held := user_and_password(value))]
        targets = readings(target)
        if targets is None:
            return True
        text = b"\n".join([*parts, *targets])
        return self._tokens.may_stand_in(text) and any(token in text for token in self._tokens.strings)

    def _hashed(self, token: bytes) -> bytes:
        hashed = self._hash.copy()
        hashed.update(token)
        return hashed.digest()


def choose_profile(profiles: Profiles) -> Rule:
    """A rule: find the profile that a request is for, once, and take its name from the path.

    What comes later sees the same request as without a profile, and decides by the chosen one's key.
    """
    if not profiles.by_name:
        return use(profiles.default)

    def chosen(scope: Scope) -> None:
        profile, raw_path = profiles.choose(scope["raw_path"], scope["headers"])
        record_of(scope).profile = profile.name
        scope["profile"], scope["raw_path"] = profile, raw_path

    return chosen


def refuse_stray_tokens(profiles: Profiles) -> Rule:
    """A rule: what would take a token of any profile along is 400; the chosen one's has been taken out by now."""

    def refused(scope: Scope) -> None:
        if profiles.stand_in(scope["raw_path"], scope["query_string"], scope["headers"]):
            raise UnclearCredentials

    return refused


def use(profile: Profile) -> Rule:
    """A rule: each request gets ``profile``."""

    def used(scope: Scope) -> None:
        scope["profile"] = profile

    return used


def profile_of(scope: Scope) -> Profile:
    """The profile that was chosen for a request."""
    profile: Profile = scope["profile"]
    return profile
