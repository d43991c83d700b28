"""What other processes of the same user may learn of this one: nothing."""

import sys

_PR_SET_DUMPABLE = 4


def forbid_reading() -> bool:
    """Let no process without privileges read this one's memory, environment or descriptors; whether that is so now.

    On Linux, a process that is not "dumpable" belongs to root for the files of /proc, cannot be traced, and leaves no
    core (prctl(2), proc(5)). A program that it starts begins anew. What the command line holds stays for all to read.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - most systems of no use, and most commands hold nothing

    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
