"""The paths that manage an OpenRouter account, which a configured key must not open to every caller.

The decision reads the path as the most obliging server could: decoded until nothing is left to decode, in any case,
with doubled slashes and backslashes. What cannot be read so is refused too.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from proxy.errors import ManagementClosed
from proxy.middleware.profile import profile_of
from proxy.middleware.rules import Rule
from proxy.openrouter.api import MANAGEMENT_FAMILIES, without_prefix

_PLAIN = re.compile(rb"[\x21-\x7e]*")
_LAYERS = 8  # of percent-encoding; nobody has a reason for more than two


def is_management(raw_path: bytes, opened: Collection[str] = ()) -> bool:
    """Whether ``raw_path`` is of a family that is not ``opened``, or might be read as one."""
    path = _below_prefix(raw_path)
    if path is None:
        return True
    return any(path.startswith(beginning) for name, beginning in MANAGEMENT_FAMILIES.items() if name not in opened)


def _below_prefix(raw_path: bytes) -> str | None:
    """The path below the API's prefix in its plainest form; None if it has no plain form."""
    path = raw_path
    for _ in range(_LAYERS):
        if (decoded := unquote_to_bytes(path)) == path:
            break
        path = decoded
    else:
        return None
    # A segment may have parameters behind a semicolon (RFC 3986, 3.3), which some servers cut off.
    parts = [part.partition(b";")[0] for part in path.lower().replace(b"\\", b"/").split(b"/")]
    segments = [segment for segment in parts if segment]
    below = without_prefix(b"/".join(segments))
    if b"." in segments or b".." in segments or not _PLAIN.fullmatch(below.partition(b"/")[0]):
        return None
    return below.decode("latin-1")


def refuse_management(opened: Collection[str]) -> Rule:
    """A rule: where the proxy pays, management paths are 403, but for the families in ``opened``."""

    def refused(scope: Scope) -> Scope:
        if profile_of(scope).pays and is_management(scope["raw_path"], opened):
            raise ManagementClosed
        return scope

    return refused
