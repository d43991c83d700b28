"""The command as a child of this process, as if nothing stood between it and the shell. POSIX.

It has our process group, terminal, descriptors and signal mask. This process keeps every signal of interest blocked
and takes them one by one:

================  ====================================================================================================
SIGINT, SIGQUIT   nothing: the terminal has sent them to the command as well, and twice is something else to many
SIGTERM           goes on to the command; after ``grace`` seconds, or at a second one, SIGKILL follows
SIGHUP, SIGUSR1/2 go on to the command, but not if the terminal has sent it to all of its group
SIGCHLD           the command has ended, or was stopped by itself: then we stop too, or its shell would wait for us
SIGTSTP           stops us by default as it stops the command; after SIGCONT both go on
================  ====================================================================================================
"""

import errno
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from proxy.commands.run.ending import NOT_EXECUTABLE, NOT_FOUND, CannotStart, Ended, Interrupted

_PASSED_ON = {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_TAKEN = {*_PASSED_ON, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD}
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
_FROM_KERNEL = 0x80  # SI_KERNEL: of a terminal, in our case
_SAME_WISH = 0.5  # seconds within which a second signal is the same one, come twice
_STOPPED = 0.02  # seconds for a stop that is for the whole group to reach this process as well
_SETTLED = 0.1  # seconds for a command that had the same signal (kill -TERM -PGID, a closing shell) to end by it


def block_signals() -> set[int]:
    """Hold back, in this thread and those that it starts from now on, what `Child.wait` takes.

    What this process was told to ignore (by nohup, by a shell for its background) stays ignored, and so for the
    command. Returns the mask before, which is for the command.
    """
    # If it is ignored, nobody's end can be waited for; without a handler, BSD forgets it though it is held back.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return signal.pthread_sigmask(signal.SIG_BLOCK, _taken())


def _taken() -> set[int]:
    return {number for number in _TAKEN if signal.getsignal(number) != signal.SIG_IGN}


class Child:
    """A command that runs. `wait` must be called, from the thread that called `block_signals`."""

    def __init__(self, pid: int, grace: float) -> None:
        self.pid = pid
        self._grace = grace
        self._ended = False
        self._lock = threading.Lock()
        self._told_at: float | None = None

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], mask: set[int], *, grace: float) -> "Child":
        """Start ``command`` with this ``environment`` and signal ``mask``.

        Raises `CannotStart`, and `Interrupted` if a signal to end has come meanwhile.
        """
        if early := (signal.sigpending() & _taken()) - {signal.SIGCHLD}:
            raise Interrupted(min(early))
        try:
            return cls(_spawn(command, environment, mask), grace)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise CannotStart(NOT_FOUND, f"{command[0]!a} is not found: is it installed, and in PATH?") from None
            if error.errno == errno.E2BIG:
                raise CannotStart(NOT_EXECUTABLE, "the arguments and the environment are too long together") from None
            reason = os.strerror(error.errno or 0)
            raise CannotStart(NOT_EXECUTABLE, f"{command[0]!a} cannot be executed: {reason}") from None

    def wait(self) -> Ended:
        """The end of the command; until then, what the table above says."""
        while True:
            number, from_terminal = _next_signal()
            if number == signal.SIGCHLD:
                status = self._status()
                if status is not None:
                    return status
            elif number in _PASSED_ON and not from_terminal:
                self._pass_on(number)

    def _status(self) -> Ended | None:
        """How it ended, if it has; and if it was stopped, stop as well."""
        status = self._look(os.WUNTRACED)
        if status is not None and os.WIFSTOPPED(status):
            # Give the terminal back to the shell, which waits for this process and knows nothing of the command. If
            # the terminal has stopped all of the group, then this process too: during the pause, and by now both go on.
            time.sleep(_STOPPED)
            status = self._look(os.WUNTRACED | os.WCONTINUED)
            if status is None and _is_in_foreground(self.pid):
                os.kill(os.getpid(), signal.SIGSTOP)
                self._send(signal.SIGCONT)
        if status is None or os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
            return None
        return Ended(signal=os.WTERMSIG(status)) if os.WIFSIGNALED(status) else Ended(os.WEXITSTATUS(status))

    def _look(self, options: int) -> int | None:
        """What has become of it since the last look, if anything has."""
        with self._lock:
            pid, status = os.waitpid(self.pid, os.WNOHANG | options)
            if not pid:
                return None
            self._ended = os.WIFEXITED(status) or os.WIFSIGNALED(status)
            return status

    def _pass_on(self, number: int) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM:
            if self._told_at is not None:
                if now - self._told_at > _SAME_WISH:
                    self._send(signal.SIGKILL)
                return
            self._told_at = now
            self._later(self._grace, signal.SIGKILL)
        self._later(_SETTLED, number)

    def _later(self, seconds: float, number: int) -> None:
        timer = threading.Timer(seconds, self._send, [number])
        timer.daemon = True
        timer.start()

    def _send(self, number: int) -> None:
        with self._lock:  # its number may be another process's as soon as it has been waited for
            if not self._ended:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, number)


def _spawn(command: Sequence[str], environment: Mapping[str, str], mask: set[int]) -> int:
    def spawned(words: list[str]) -> int:
        return os.posix_spawnp(words[0], words, environment, setsigmask=mask, setsigdef=_IGNORED_BY_PYTHON)

    try:
        return spawned([*command])
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return spawned(["/bin/sh", *command])  # a script without "#!", as execvp(3) does it


def _next_signal() -> tuple[int, bool]:
    """The next one that is taken, and whether the terminal has sent it to the command as well.

    A terminal that goes away tells the leader of its session alone; when that ends, the group in the foreground.
    """
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        return signal.sigwait(_taken()), False
    info = signal.sigwaitinfo(_taken())
    return info.si_signo, info.si_code == _FROM_KERNEL and os.getsid(0) != os.getpid()


def _is_in_foreground(pid: int) -> bool:
    """Whether the terminal's keys go to this process's group, or to that of ``pid``."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:  # there is none
        return False
    try:
        return os.tcgetpgrp(terminal) in {os.getpgrp(), os.getpgid(pid)}
    except OSError:
        return False
    finally:
        os.close(terminal)
