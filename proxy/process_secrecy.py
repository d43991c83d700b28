"""What other processes of the same user may learn of this one: nothing."""

import sys
from contextlib import suppress

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_CALLS = {
    "linux": ("prctl", (4, 0, 0, 0, 0)),  # PR_SET_DUMPABLE, <linux/prctl.h>
    "darwin": ("ptrace", (31, 0, None, 0)),  # PT_DENY_ATTACH, <sys/ptrace.h>
}


def forbid_reading() -> bool:
    """Let no process without privileges read this one's memory, environment or descriptors; whether that is so now.

    On Linux, a process that is not "dumpable" belongs to root for the files of /proc, cannot be traced, and leaves no
    core, not even to a handler that ``core_pattern`` pipes to (prctl(2), proc(5)). On macOS, no debugger can attach.
    A program that it starts begins anew. What the command line holds stays for all to read.
    """
    if resource is not None:
        with suppress(ValueError, OSError):
            _, hard = resource.getrlimit(resource.RLIMIT_CORE)
            resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # a command of `run` may want one: it can have it
    if sys.platform not in _CALLS:
        return False
    name, arguments = _CALLS[sys.platform]
    try:
        import ctypes  # noqa: PLC0415 - a Python may be built without it

        return bool(getattr(ctypes.CDLL(None), name)(*arguments) == 0)
    except (ImportError, OSError, AttributeError):  # or with a C library that does not have the call
        return False
