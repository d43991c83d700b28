"""Writing log lines without ever waiting for whoever reads them."""

import asyncio
import logging
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_MAX_WAITING = 1 << 20  # bytes: the lines of a few thousand requests
_TRY_AGAIN_AFTER = 0.05  # seconds


class PatientHandler(logging.Handler):
    """Writes lines to a descriptor (of a pipe, a terminal, a socket, a file) as far as it takes them at once.

    A pipe that nobody reads is full after 64 KiB; the next write to it, as `logging.StreamHandler` does it, would hold
    up the event loop, and all traffic with it. So the kernel is asked first. Lines that it does not take wait, up to
    a bound; what is beyond is counted, and the count logged when the reader is back. A reader that has gone, or a disk
    that is full, costs lines and nothing else.

    Each line goes out at once; those that are logged in one `together` block at its end, many with one write.

    (The standard library's `QueueHandler` does it with a thread, at about 25 µs of CPU for each line, where asking
    costs 1; and its listener, blocked in a write, cannot be stopped, nor the process with it.)
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()  # lines that were not taken yet
        self._lost = 0  # lines, since the log was last told
        self.lost = 0  # lines, ever
        self._retry: asyncio.TimerHandle | None = None
        self.holds = False  # lines back, until it is flushed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - as logging's own handlers do: no request fails for its line
            self.handleError(record)
            return
        if len(self._waiting) + len(line) > _MAX_WAITING:
            self._lose(1)
        else:
            self._waiting += line
        if not self.holds:
            self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        self.acquire()
        try:
            while self._waiting and self._poll.poll(0):
                # As much as a pipe that is ready takes at once (POSIX), and so do the others. Whole lines, between
                # which another process may write its own.
                end = self._waiting.rfind(b"\n", 0, select.PIPE_BUF) + 1
                written = os.write(self._descriptor, self._waiting[: end or select.PIPE_BUF])
                del self._waiting[:written]
                if self._lost and not self._waiting:
                    self._waiting += self._loss()
                    self._lost = 0
        except BlockingIOError:
            pass  # another process has filled it since
        except OSError:
            self._lose(self._waiting.count(b"\n"))
            self._waiting.clear()
        finally:
            self.release()
        if self._waiting and self._retry is None:
            self._flush_later()

    def share(self) -> None:
        """Go on in a forked process, beside others that write to the same place.

        Between asking and writing, one of them may fill the pipe, and the write would hold up the event loop: so it
        gets a description of its own that does not block. Other files than pipes and terminals take all at once.
        """
        self._waiting.clear()  # the other process writes them
        self._lost = 0
        kind = os.fstat(self._descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            with suppress(OSError):  # no /proc, or not ours to open: as before
                own = os.open(f"/proc/self/fd/{self._descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                self._poll.unregister(self._descriptor)
                self._poll.register(own, select.POLLOUT)
                self._descriptor = own

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self.lost += lines

    def _flush_later(self) -> None:
        with suppress(RuntimeError):  # no loop runs: the next line, or `logging.shutdown`, tries again
            self._retry = asyncio.get_running_loop().call_later(_TRY_AGAIN_AFTER, self._flush_again)

    def _flush_again(self) -> None:
        self._retry = None
        self.flush()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode(errors="backslashreplace") + b"\n"

    def _loss(self) -> bytes:
        text = "%d log lines were lost: nobody read them in time"
        return self._line(logging.LogRecord("proxy", logging.WARNING, __file__, 0, text, (self._lost,), None))


@contextmanager
def together() -> Iterator[None]:
    """Let the lines that are logged in the block, which must not wait for anything, go out at its end."""
    handlers = _patient_handlers()
    for handler in handlers:
        handler.holds = True
    try:
        yield
    finally:
        for handler in handlers:
            handler.holds = False
            handler.flush()


def lost_lines() -> int:
    """How many lines nobody has read in time, or no disk has taken, since the start."""
    return sum(handler.lost for handler in _patient_handlers())


def _patient_handlers() -> list[PatientHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, PatientHandler)]


def handler_for(stream: TextIO | None) -> logging.Handler:
    """A handler that writes to ``stream``; a plain one where there is no descriptor, or no way to ask (Windows)."""
    try:
        descriptor = stream.fileno() if stream is not None else None
    except OSError:  # a stream that is not a file
        descriptor = None
    if descriptor is None or not hasattr(select, "poll"):
        return logging.StreamHandler(stream)
    return PatientHandler(descriptor)
