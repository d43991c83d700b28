"""The command as a child of this process on Windows, which has no process groups, exec or signals in POSIX's sense."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import PureWindowsPath

from proxy.commands.run.ending import NOT_EXECUTABLE, NOT_FOUND, CannotStart, Ended

_RUNNABLE = (".exe", ".cmd", ".bat", ".com")


def resolved(
    word: str,
    path: str | None,
    which: Callable[..., str | None] = shutil.which,
    exists: Callable[[str], bool] = os.path.exists,
) -> str | None:
    """The file that ``word`` starts, or None.

    npm puts a shell script without ending beside NAME.cmd. Windows cannot start the former (WinError 193), and before
    CPython 3.12 a bare name does not find the latter.
    """
    found = which(word, path=path)
    if found is None or PureWindowsPath(found).suffix.lower() in _RUNNABLE:
        return found
    return next((found + ending for ending in _RUNNABLE if exists(found + ending)), found)


class Child:
    """A command that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "Child":
        """Start ``command`` with this ``environment``; raises `CannotStart`."""
        program = resolved(command[0], environment.get("PATH"))
        if program is None:
            raise CannotStart(NOT_FOUND, f"{command[0]!a} is not found: is it installed, and in PATH?")
        try:
            return cls(subprocess.Popen([program, *command[1:]], env=dict(environment)))  # noqa: S603 - what was asked for
        except OSError as error:
            raise CannotStart(NOT_EXECUTABLE, f"{command[0]!a} cannot be executed: {error.strerror}") from None

    def wait(self) -> Ended:
        """The end of the command. Ctrl+C reaches it by itself; this process outlives it."""
        signal.signal(signal.SIGINT, lambda _number, _frame: None)  # an ignored one would be ignored by the command
        return Ended(self._process.wait())
