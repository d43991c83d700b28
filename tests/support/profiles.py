"""The third axis of the kit: the same tests, with what they are about in a profile among decoys.

A test's settings become those of a profile, chosen by URL or by token, and the default and another profile get an
identity, a key and a token that must turn up nowhere.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.settings.names import PROFILE_FIELDS

CHOICES = ("none", "url", "token")
NAME = "team-a"
TOKEN = "CANARY-token-of-the-profile-0a1b2c"
KEY = "sk-or-v1-CANARY-of-the-profile-0011223344"

_DECOY = {"http_referer": "https://decoy.example", "app_title": "Decoy", "app_categories": "game"}
_DECOY_KEYS = {"api_key": "sk-or-v1-CANARY-decoy-{}", "access_token": "CANARY-decoy-token-{}-55555555"}
# The beginning of a request; of its target, in any form.
_TARGET = re.compile(rb"\A([A-Z]+ (?:https?://[^/ ]*)?)(?=/(?:api|v1)/)")

Shape = Callable[[bytes], bytes]


def unshaped(piece: bytes) -> bytes:
    """What a test sends, as it is."""
    return piece


def in_a_profile(arguments: Mapping[str, Any], choice: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]], Shape]:
    """The settings of the process, those of its profiles, and what becomes of a request that is for the one.

    Where no token is asked for, only a URL can choose; then the profile gets a key and a token too.
    """
    own = {field: arguments[field] for field in PROFILE_FIELDS if field in arguments}
    others = {field: value for field, value in arguments.items() if field not in own}
    shape: Shape = by_url
    if choice == "token":
        shape = unshaped if own.get("access_token") else with_token
        own = {**own, "api_key": own.get("api_key") or KEY, "access_token": own.get("access_token") or TOKEN}
    decoys = [
        {**_DECOY, **{field: text.format(n) for field, text in _DECOY_KEYS.items() if own.get(field)}} for n in range(2)
    ]
    return {**others, **decoys[0]}, {NAME: own, "team-b": decoys[1]}, shape


def by_url(piece: bytes) -> bytes:
    """A request as it is for a tool whose base URL names the profile."""
    return _TARGET.sub(rb"\1/" + NAME.encode(), piece)


def with_token(piece: bytes) -> bytes:
    """A request as it is for a tool that has the profile's token as its key, beside what it sends itself."""
    if not _TARGET.match(piece):
        return piece
    line, _, rest = piece.partition(b"\r\n")
    return line + b"\r\nx-api-key: " + TOKEN.encode() + b"\r\n" + rest
