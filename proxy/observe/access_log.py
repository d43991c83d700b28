"""The access log: a line for each request that has ended."""

import logging
import time
from collections.abc import Sequence

from proxy.observe.handler import together
from proxy.observe.record import Record

log = logging.getLogger("proxy.access")

_PROBES = frozenset({"/healthz", "/readyz"})  # asked every few seconds by whoever keeps the process alive
_ICON = "/favicon.ico"  # asked by each browser that shows any answer
# Claude Code 2.1 asks it at each start, of whatever its base URL is, and does not mind a 404.
_GREETINGS = frozenset({"/api/api/hello", "/api/hello"})


class AccessLog:
    """An `Observer` that logs; what a line holds is for `proxy.observe.formatters` to say."""

    def ended(self, records: Sequence[Record]) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        with together():
            for record in records:
                level = logging.DEBUG if record.attribution is None and _is_noise(record) else logging.INFO
                if log.isEnabledFor(level):
                    log.handle(_line(level, record))


def _line(level: int, record: Record) -> logging.LogRecord:
    """What ``log.log(level, "request", extra={"record": record})`` makes.

    But logging would look for the caller in the stack, and for a thread, a process and a task, which cost more than all
    else that is done for a line.
    """
    line = logging.LogRecord.__new__(logging.LogRecord)
    fields = line.__dict__
    fields.update(_USUAL[level])
    fields["created"] = now = time.time()
    fields["msecs"] = now % 1 * 1000
    fields["record"] = record
    return line


_USUAL = {
    level: vars(logging.LogRecord(log.name, level, __file__, 0, "request", (), None))
    for level in (logging.DEBUG, logging.INFO)
}


def _is_noise(record: Record) -> bool:
    """Whether a request that was not forwarded is nothing to tell of: for a page of ours, or asked out of habit."""
    path = record.path
    is_for_a_page = (
        record.is_for_us and record.method != "OPTIONS"
    )  # which asks about the server, or for a page's leave
    return is_for_a_page or path in _PROBES or path == _ICON or (record.method == "HEAD" and path in _GREETINGS)
