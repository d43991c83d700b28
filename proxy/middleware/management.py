"""What a key that the proxy holds must not open to every caller: managing the account, and what nobody knows.

The decision reads the path as the most obliging server could: decoded until nothing is left to decode, in any case,
with doubled slashes and backslashes. What cannot be read so is refused too. What writes is forwarded only if it is an
endpoint that is known to use the account and not to manage it.
"""

import functools
import re
from collections.abc import Collection

from starlette.types import Scope

from proxy.errors import ManagementClosed
from proxy.middleware.profile import profile_of
from proxy.middleware.rules import Rule
from proxy.openrouter.api import MANAGEMENT_FAMILIES, below_prefix, without_prefix
from proxy.openrouter.endpoints import is_endpoint
from proxy.percent_encoding import readings

_PLAIN = re.compile(rb"[\x21-\x7e]*")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_closed(method: str, raw_path: bytes, opened: Collection[str] = ()) -> bool:
    """Whether a request may manage the account, by a family or a path (``/name``) that is not ``opened``."""
    path = _below_prefix(raw_path)
    if path is None:
        return True
    for name, beginning in MANAGEMENT_FAMILIES.items():
        if path.startswith(beginning):
            return name not in opened
    if method in _READS or is_endpoint(method, below_prefix(raw_path)):
        return False
    return not any(f"/{path}/".startswith(f"{name}/") for name in opened if name.startswith("/"))


def _below_prefix(raw_path: bytes) -> str | None:
    """The path below the API's prefix in its plainest form; None if it has no plain form."""
    found = readings(raw_path)
    if found is None:
        return None
    # A segment may have parameters behind a semicolon (RFC 3986, 3.3), which some servers cut off.
    parts = [part.partition(b";")[0] for part in found[-1].lower().replace(b"\\", b"/").split(b"/")]
    segments = [segment for segment in parts if segment]
    below = without_prefix(b"/".join(segments))
    if b"." in segments or b".." in segments or not _PLAIN.fullmatch(below.partition(b"/")[0]):
        return None
    return below.decode("latin-1")


def refuse_management(opened: Collection[str]) -> Rule:
    """A rule: where the proxy pays, what may manage the account is 403, but for what is ``opened``."""

    @functools.lru_cache(64)  # nearly all requests are for the same few paths
    def closed(method: str, raw_path: bytes) -> bool:
        return is_closed(method, raw_path, opened)

    def refused(scope: Scope) -> None:
        if profile_of(scope).pays and closed(scope["method"], scope["raw_path"]):
            raise ManagementClosed

    return refused
