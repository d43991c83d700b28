"""What the system lets this process have, and what follows from it: how many clients can be served at once."""

import os
from contextlib import suppress
from dataclasses import dataclass

try:
    import resource
except ImportError:  # Windows
    _HAS_LIMITS = False
else:
    _HAS_LIMITS = True

FEWEST_FILES = 64  # below, not even ten clients could be served
_OWN_FILES = 16  # standard streams, listeners, the event loop's: 14 with uvloop 0.23 and one listener
_OPEN_MAX = 10_240  # macOS refuses more than OPEN_MAX (its <sys/syslimits.h>), though its hard limit says "unlimited"
_SPARE_FILES = 128  # beside two for each client: our own, name look-ups, clients that are turned away


class TooFewFiles(Exception):
    """So few files may be open that nobody could be served; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many clients can be connected at once: those that are served, and those that are told that it is too many."""

    served: int | None  # None: no limit
    turned_away: int


def capacity(files: int | None) -> Capacity:
    """What is possible with so many open ``files``, if each client that is served needs one more for the upstream."""
    if files is None:
        return Capacity(None, 0)
    spare = min(_SPARE_FILES, max(files // 4, 2 * _OWN_FILES))
    return Capacity((files - spare) // 2, (spare - _OWN_FILES) // 2)


def open_file_limit() -> int | None:
    """How many files may be open, or None for no limit."""
    if not _HAS_LIMITS:
        return None
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else files


def _better_limits(soft: int, hard: int) -> list[int]:
    """What to ask for, the best first, where ``soft`` is the present limit and ``hard`` the highest that is allowed."""
    least = _OPEN_MAX if hard == resource.RLIM_INFINITY else min(_OPEN_MAX, hard)
    return [hard] if soft == resource.RLIM_INFINITY or soft >= least else [hard, least]


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us have. Raises `TooFewFiles`."""
    if not _HAS_LIMITS:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in _better_limits(soft, hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            break
    allowed = open_file_limit()
    if allowed is not None and allowed < FEWEST_FILES:
        raise TooFewFiles(
            f"Only {allowed} files may be open at once, and a connection is one: allow {FEWEST_FILES} or more "
            "(ulimit -n 1024; with Docker, --ulimit nofile=1024)"
        )


def files_are_left() -> bool:
    """Whether another file could be opened now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
