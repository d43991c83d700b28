"""The processes that are measured: started on one core, read from ``/proc``, paused, and ended. Linux only."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # of /proc/PID/stat, a second
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
_ENDS_WITHIN = 5.0  # seconds after SIGTERM


@dataclass(frozen=True, slots=True)
class Command:
    """What starts a proxy. The environment holds nothing else but PATH and a HOME of its own."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for what is measured, another for what measures; the same one if there is no other."""

    measured: int
    measuring: int
    all: frozenset[int]

    @classmethod
    def available(cls) -> "Cores":
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[1] if len(cores) > 1 else cores[0], frozenset(cores))


@contextmanager
def on_cores(*cores: int) -> Iterator[None]:
    """What is started in the block runs on these cores, and so do its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A process with its descendants, in a session of their own, by which they are found and ended."""

    def __init__(self, command: Command, folder: Path, *cores: int) -> None:
        self.log = folder / "output.log"
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **command.environment}
        self.started_at = time.monotonic()
        # Appended to, because nginx opens it a second time, by the name /dev/stdout.
        with self.log.open("ab") as log, on_cores(*cores):
            self._popen = subprocess.Popen(  # noqa: S603 - of our own making
                command.arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)
        self._popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(_ENDS_WITHIN)
        self._signal(signal.SIGKILL)  # also what it left behind
        self._popen.wait()

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    @property
    def last_words(self) -> str:
        """The last line that it has printed, shortened."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return next((line[-200:] for line in reversed(lines) if line), "without a word")

    def pause(self) -> None:
        """Take it off its core, so that it costs others nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """User and system time since the start, in steps of a tick (usually 10 ms)."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._stats()) / _TICKS

    def rss(self) -> int:
        """Resident bytes."""
        return sum(int(fields[21]) for _, fields in self._stats()) * _PAGE

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid, _ in self._stats())

    def _stats(self) -> Iterator[tuple[int, list[str]]]:
        """Id, and the fields of ``/proc/PID/stat`` from the third one on (proc(5)), of each process of the session."""
        for entry in os.listdir("/proc"):
            if not entry.isdecimal():
                continue
            with suppress(OSError):  # it has ended meanwhile
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.pid:
                    yield int(entry), fields

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
