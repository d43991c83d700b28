"""Several processes that share the listening sockets, and the one that keeps them up (Unix).

After the design of uvicorn's own supervisor (uvicorn/supervisors/multiprocess.py, 0.54), with our way of stopping. A
worker is a fork: it has the application as the supervisor has made it, keys included, and reads no configuration anew.

What ties a worker to its supervisor are pipes, which tell the truth whichever of the two is killed:

* it writes to the first when it can serve;
* the second ends when all can, which is when ``/readyz`` says so;
* the third ends when the supervisor does: then the worker stops in order, so that none is left behind.

A signal is passed on to each worker. A terminal sends Ctrl+C to all of them at once, supervisor and workers, and what
is passed on follows in the same moment: that is the same wish (see server.py).
"""

import contextlib
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType

log = logging.getLogger("proxy")

ONE_WISH = 0.5  # seconds: one Ctrl+C often comes twice, from the terminal and from the program that started us
_PROVEN_AFTER = 10.0  # seconds: who has served for that long is replaced at once, and anyone else after a while
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_KILLED_AFTER = 5.0  # seconds beyond the grace


@dataclass(frozen=True, slots=True)
class Link:
    """Which worker it is, and its ends of the pipes that tie it to its supervisor."""

    number: int  # from 0; whoever takes its place has the same
    started: int  # to be written to once
    all_started: int  # at its end once all workers have
    supervisor: int  # at its end once that is gone

    def tell_started(self) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone, which the worker will see
            os.write(self.started, b".")
        os.close(self.started)


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    news: int  # the supervisor's end of `Link.started`
    since: float
    is_up: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What workers are for, and who is told of them; all but ``work`` is called in the supervisor."""

    work: Callable[[Link], int]  # gives the exit code
    ready: Callable[[], None]  # once, when all have started
    stop: Callable[[], None]  # once, before they are told to stop
    ended: Callable[[int], None]  # each time one has ended, with its number


class Supervisor:
    """Keeps ``count`` processes at a job, and gives them ``grace`` seconds to stop."""

    def __init__(self, job: Job, count: int, grace: float) -> None:
        self._job = job
        self._count = count
        self._grace = grace
        self._workers: dict[int, _Worker] = {}  # by pid
        self._failures = [0] * count  # of those with each number, one after the other
        self._due: dict[int, float] = {}  # when the one with which number is to be started again
        self._all_started = False
        self._stopped_at: float | None = None
        self._kill_at: float | None = None
        self._code = 0

    def run(self) -> int:
        """Return when the last worker has ended: with 0, what the second signal says, or why it did not start."""
        self._selector = selectors.DefaultSelector()
        self._signals, self._wake = os.pipe()
        self._alive, self._alive_end = os.pipe()
        self._all_up, self._all_up_end = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector.register(self._signals, selectors.EVENT_READ)
        before = {number: signal.signal(number, _noted) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            for number in range(self._count):
                if self._stopped_at is None:  # else one could not be started
                    self._start(number)
            while self._workers or self._due:
                self._wait()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def _start(self, number: int) -> None:
        try:
            pid, news = self._fork(number)
        except OSError as error:  # too many processes, too little memory: those that run are not to suffer from it
            self._take_failure(number, f"could not be started ({error.strerror})")
            return
        self._workers[pid] = _Worker(number, pid, news, time.monotonic())
        self._selector.register(news, selectors.EVENT_READ)

    def _fork(self, number: int) -> tuple[int, int]:
        """The new worker's pid, and our end of the pipe on which it tells that it has started; raises `OSError`."""
        news, started = os.pipe()
        # Held back until the worker has handlers of its own: those of the supervisor would take the worker's signals.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            pid = os.fork()
            if pid == 0:
                self._be_worker(Link(number, started, self._all_up, self._alive), news, held)
        except OSError:
            os.close(news)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(started)
        return pid, news

    def _be_worker(self, link: Link, news: int, signals_held: Iterable[int]) -> None:
        """Work in this new process, to its end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, signals_held)
            self._selector.close()
            theirs = [self._signals, self._wake, self._alive_end, news]
            theirs += [worker.news for worker in self._workers.values()]
            if not self._all_started:
                theirs.append(self._all_up_end)
            for end in theirs:
                os.close(end)
            code = self._job.work(link)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException as bug:  # noqa: BLE001 - it must not go on as a second supervisor
            log.error("a worker failed: %s", type(bug).__qualname__)  # noqa: TRY400 - no text: secrets
        finally:
            logging.shutdown()
            os._exit(code)

    def _wait(self) -> None:
        """Do what the next event asks for."""
        times = [*self._due.values(), *([] if self._kill_at is None else [self._kill_at])]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        for key, _ in self._selector.select(timeout):
            if key.fd == self._signals:
                for number in os.read(self._signals, 4096):
                    if number != signal.SIGCHLD:
                        self._take_signal(number)
            else:
                self._take_news(key.fd)
        self._reap()
        now = time.monotonic()
        for number in [number for number, at in self._due.items() if at <= now]:
            del self._due[number]
            self._start(number)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            log.warning("stopping: %d workers do not end, and are killed", len(self._workers))
            self._send(signal.SIGKILL)

    def _take_news(self, news: int) -> None:
        """Note that a worker has started; or its end, of which the system tells more."""
        self._selector.unregister(news)
        if os.read(news, 1):
            for worker in self._workers.values():
                worker.is_up = worker.is_up or worker.news == news
        up = sum(worker.is_up for worker in self._workers.values())
        if up == self._count and not self._all_started and self._stopped_at is None:
            self._all_started = True
            os.close(self._all_up_end)
            self._job.ready()

    def _take_signal(self, number: int) -> None:
        now = time.monotonic()
        if self._stopped_at is None:
            self._stop(number)
        elif now - self._stopped_at > ONE_WISH:
            self._code = 128 + number
            self._kill_at = now + _KILLED_AFTER
            self._send(number)

    def _stop(self, number: int = signal.SIGTERM) -> None:
        self._stopped_at = time.monotonic()
        self._kill_at = self._stopped_at + self._grace + _KILLED_AFTER
        self._due.clear()
        self._job.stop()
        self._send(number)

    def _send(self, number: int) -> None:
        for pid in self._workers:
            os.kill(pid, number)  # it is ours until it is reaped, which only we do

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                worker = self._workers.pop(pid)
                self._take_end(worker, status)
                self._job.ended(worker.number)

    def _take_end(self, worker: _Worker, status: int) -> None:
        with contextlib.suppress(KeyError):  # it has told already that it started
            self._selector.unregister(worker.news)
        os.close(worker.news)
        if self._stopped_at is not None:
            return
        code = os.waitstatus_to_exitcode(status)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not self._all_started:
            self._take_failure(worker.number, f"ended before all had started ({how})", code)
            return
        proven = time.monotonic() - worker.since > _PROVEN_AFTER
        self._take_failure(worker.number, f"(process {worker.pid}) ended ({how})", proven=proven)

    def _take_failure(self, number: int, how: str, code: int = 1, *, proven: bool = False) -> None:
        """Put another worker in the place of one that is not there, now or later; or give up, at the start."""
        if not self._all_started:
            log.error("worker %d %s", number + 1, how)
            self._code = code if code > 0 else 1
            self._stop()
            return
        failures = self._failures[number] = 0 if proven else self._failures[number] + 1
        wait = min(_FIRST_WAIT * 2 ** (failures - 1), _LONGEST_WAIT) if failures else 0.0
        self._due[number] = time.monotonic() + wait
        log.warning("worker %d %s: another starts %s", number + 1, how, f"in {wait:g} s" if wait else "now")


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: what `signal.set_wakeup_fd` writes is what tells."""
