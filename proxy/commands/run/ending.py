"""How a command may not start, and how it ends."""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what shells and env(1) exit with
OWN_FAILURE = 125  # as env(1), timeout(1) and docker run: nothing was started


class CannotStart(Exception):
    """The command cannot be started; ``code`` is the exit code that shells give, the text one line."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Interrupted(Exception):
    """A signal came before the command was started."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: by ``exit(status)``, or else by ``signal``."""

    status: int = 0
    signal: int | None = None


def end_as(ended: Ended) -> None:
    """End this process as the command has ended, so that a shell sees what it would have seen without us."""
    if ended.signal is None:
        sys.exit(ended.status)
    if sys.platform != "win32":
        with suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(ended.signal, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {ended.signal})
        os.kill(os.getpid(), ended.signal)
    os._exit(128 + ended.signal)  # one that does not end a process by default
