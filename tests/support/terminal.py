"""A terminal that a test types into, and the program that has it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE

CTRL_C, CTRL_Z, CTRL_BACKSLASH, CTRL_D = "\x03", "\x1a", "\x1c", "\x04"


class Terminal:
    """Starts ``command`` as the leader of a new session whose terminal this is; ends all of the session at the end."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.output = ""
        self._seen = 0
        name = os.ttyname(slave)
        # The leader of a session that opens a terminal gets it as its own (tty_ioctl(4)).
        script = 'exec "$@" <"$0" >"$0" 2>&1'
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", script, name, *command], cwd=cwd, env={**env, "TERM": "dumb"}, start_new_session=True
        )
        self._slave = slave  # held until somebody else has it: a terminal without one is gone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            os.close(self._slave)
        for pid in self.session():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        os.close(self._master)

    def session(self) -> list[int]:
        """The processes that belong to the terminal."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                fields = status.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:
                    found.append(int(status.parent.name))
        return found

    def type(self, text: str) -> None:
        """What a person types; control characters are keys."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """What a person does with the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """What closing the window does."""
        with suppress(OSError):
            os.close(self._slave)
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)

    def expect(self, text: str, *, within: float = PATIENCE) -> str:
        """Waits until ``text`` has been printed behind what was expected before; what came in between."""
        deadline = time.monotonic() + within
        while (at := self.output.find(text, self._seen)) < 0:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"waited for {text!r}; there is {self.output[self._seen :]!r}")
        between, self._seen = self.output[self._seen : at], at + len(text)
        return between

    def expect_in_front(self, name: str) -> None:
        """Waits until the keys go to a group whose first process has that name."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError):
                if Path(f"/proc/{os.tcgetpgrp(self._master)}/comm").read_text().strip() == name:
                    return
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} is not in the foreground; there is {self.output[self._seen :]!r}")
            self._read(0.02)

    def exit_code(self, *, within: float = PATIENCE) -> int:
        """Of the session's leader, once it has ended; minus the number of the signal that ended it."""
        with suppress(OSError):
            os.close(self._slave)
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not end; there is {self.output[self._seen :]!r}")
            self._read(0.02)
        while self._read(0.1):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        """Whether something more has come, or may come."""
        if seconds <= 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            return False
        self.output += piece.decode(errors="replace")
        return True
