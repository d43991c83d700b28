"""The environment of this process. No other module reads it."""

import os


def passed_sockets() -> int:
    """How many listening sockets a service manager has passed, from descriptor 3 on (sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "")
    for_us = os.environ.get("LISTEN_PID") == str(os.getpid())
    return int(count) if for_us and count.isdecimal() else 0


def read_environment(name: str) -> str | None:
    """One variable, or None if it is unset or empty."""
    return os.environ.get(name) or None


def environment() -> dict[str, str]:
    """All of it."""
    return dict(os.environ)
