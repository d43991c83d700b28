"""Log lines: text for people, JSON for machines. One stream, standard output.

A warning may come before the lines of requests that ended in the same moment.
"""

import functools
import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from proxy.observe.handler import handler_for
from proxy.observe.record import Record
from proxy.observe.redaction import Redaction


def _time(line: logging.LogRecord) -> str:
    # The fraction is rounded by itself, as datetime does: in the product of both the last digits are lost.
    fraction, seconds = math.modf(line.created)
    carry, microseconds = divmod(round(fraction * 1e6), 1_000_000)
    return f"{_second(seconds + carry)}.{microseconds // 1000:03}+00:00"


@functools.lru_cache(1)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _access_line(line: logging.LogRecord, record: Record) -> str:
    """A request's line in JSON; times in milliseconds, bytes of the answer's body.

    Written out, as its shape is fixed: `json.dumps` of a dict costs four times as much, for each request.
    """
    asked = _asked(record.method, record.path, record.tool, record.profile)
    ended = _ended(record.attribution, record.ended_by, record.error, record.reason)
    return (
        f'{{"time": "{_time(line)}", "level": "{line.levelname.lower()}", "message": "{line.msg}", '
        f'{asked}, "status": {_or_null(record.status)}, '
        f'"first_byte_ms": {_since(record.started_at, record.first_byte_at)}, '
        f'"total_ms": {_since(record.started_at, record.ended_at)}, "bytes": {record.sent_bytes}, '
        f'"generation_id": {_in_quotes(record.generation_id)}, {ended}}}'
    )


@functools.lru_cache(64)  # nearly all requests are for the same few paths, by the same few tools
def _asked(method: str, path: str, tool: str | None, profile: str | None) -> str:
    return _members({"method": method, "path": path, "tool": tool, "profile": profile})


@functools.lru_cache(64)  # and most of them end alike
def _ended(attribution: str | None, ended_by: str, error: str | None, reason: str | None) -> str:
    why = {"reason": reason} if reason else {}
    return _members({"attribution": attribution, "ended_by": ended_by, "error": error, **why})


def _members(shown: dict[str, str | None]) -> str:
    """The members of a JSON object, without its braces."""
    return json.dumps(shown)[1:-1]


def _in_quotes(text: str | None) -> str:
    """A `proxy.observe.record.Record.generation_id`, in which nothing needs an escape."""
    return "null" if text is None else f'"{text}"'


def _or_null(number: int | None) -> str:
    return "null" if number is None else str(number)


def _since(start: float, moment: float | None) -> str:
    return "null" if moment is None else str(round((moment - start) * 1000, 1))


class JsonFormatter(logging.Formatter):
    """One object for each line: time, level, message, and the fields of a request's record."""

    def format(self, line: logging.LogRecord) -> str:
        if (record := getattr(line, "record", None)) is not None:
            return _access_line(line, record)
        shown: dict[str, Any] = {"time": _time(line), "level": line.levelname.lower(), "message": line.getMessage()}
        return json.dumps(shown | getattr(line, "facts", {}))


class TextFormatter(logging.Formatter):
    """A line for people: time, status, method and path, and after two blanks what else is known."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self.colour = colour

    def format(self, line: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(line.created, UTC).astimezone().strftime("%H:%M:%S")
        record: Record | None = getattr(line, "record", None)
        if record is None:
            level = "" if line.levelno <= logging.INFO else f"{line.levelname.lower()}: "
            return f"{time} {level}{line.getMessage()}"
        return f"{time} {self._status(record)} {record.method} {record.path}  {', '.join(_details(record))}"

    def _status(self, record: Record) -> str:
        status = "---" if record.status is None else str(record.status)
        if not self.colour:
            return status
        bad = record.status is None or record.status >= 500
        code = 31 if bad else 33 if record.error or (record.status or 0) >= 400 else 32
        return f"\033[{code}m{status}\033[0m"


def _details(record: Record) -> list[str]:
    details = []
    if record.first_byte_at is not None:
        details.append(f"first byte {_duration(record.first_byte_at - record.started_at)}")
    if record.ended_at is not None:
        details.append(f"total {_duration(record.ended_at - record.started_at)}")
    details.append(_size(record.sent_bytes))
    if record.tool:
        details.append(record.tool)
    if record.profile:
        details.append(record.profile)
    if record.attribution:
        details.append(record.attribution)
    if record.generation_id:
        details.append(record.generation_id)
    if record.error:
        details.append(f"{record.error} ({record.reason})" if record.reason else record.error)
    if record.ended_by == "client":
        details.append("ended by client")
    return details


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


class RedactedFormatter(logging.Formatter):
    """The line that another formatter makes, less every key in it."""

    def __init__(self, formatter: logging.Formatter, redaction: Redaction) -> None:
        super().__init__()
        self.formatter = formatter
        self.redaction = redaction

    def format(self, line: logging.LogRecord) -> str:
        return self.redaction(self.formatter.format(line))


def set_up_logging(
    level: str, *, as_json: bool, colour: bool, redaction: Redaction | None = None, stream: TextIO | None = None
) -> None:
    """Send our lines to ``stream``, by default standard output, and nothing of any library below a warning."""
    handler = handler_for(stream or sys.stdout)
    formatter = JsonFormatter() if as_json else TextFormatter(colour=colour)
    handler.setFormatter(RedactedFormatter(formatter, redaction or Redaction()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("proxy").setLevel(level.upper())
    # No line shows them, and to look them up costs more than a line does (logging's HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if hasattr(logging, "logAsyncioTasks"):  # Python 3.12
        logging.logAsyncioTasks = False
    logging.raiseExceptions = False  # a log that cannot be written must not disturb the traffic


def silence() -> None:
    """No line of ours or of any library is written anywhere, not even a warning to standard error."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
