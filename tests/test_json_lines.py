"""An access line in JSON is written out member by member; it is what `json.dumps` makes of the same, byte for byte."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.access_log import _line
from proxy.observe.formatters import JsonFormatter, TextFormatter
from proxy.observe.record import Record
from tests.support.proxies import ROOT

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WHEN = st.floats(0, 1e7, allow_nan=False)
AN_EDGE = st.integers(10**12, 4 * 10**12).map(lambda milliseconds: (milliseconds - 5e-4) / 1e3)
"""Moments that are half a microsecond short of a millisecond, where rounding decides which one is shown."""


def by_json(line: logging.LogRecord, record: Record) -> str:
    """The line as the standard library makes it."""

    def since_start(moment: float | None) -> float | None:
        return None if moment is None else round((moment - record.started_at) * 1000, 1)

    shown: dict[str, Any] = {
        "time": datetime.fromtimestamp(line.created, UTC).isoformat(timespec="milliseconds"),
        "level": line.levelname.lower(),
        "message": line.getMessage(),
        "method": record.method,
        "path": record.path,
        "tool": record.tool,
        "profile": record.profile,
        "status": record.status,
        "first_byte_ms": since_start(record.first_byte_at),
        "total_ms": since_start(record.ended_at),
        "bytes": record.sent_bytes,
        "generation_id": record.generation_id,
        "attribution": record.attribution,
        "ended_by": record.ended_by,
        "error": record.error,
    }
    return json.dumps(shown | ({"reason": record.reason} if record.reason else {}))


RECORDS = st.builds(
    Record,
    method=st.sampled_from(["POST", "-", 'odd"\\', "é"]),
    path=WORDS,
    tool=st.none() | WORDS,
    profile=st.none() | st.just("team-a"),
    status=st.none() | st.integers(100, 599),
    attribution=st.sampled_from([None, "stamped", "kept", "passed"]),
    generation_id=st.none() | st.from_regex(r"\A[A-Za-z0-9._-]{1,80}\Z"),
    error=st.none() | WORDS,
    reason=st.none() | WORDS,
    ended_by=st.sampled_from(["client", "upstream", "proxy"]),
    sent_bytes=st.integers(0, 2**40),
    started_at=WHEN,
    first_byte_at=st.none() | WHEN,
    ended_at=st.none() | WHEN,
)


@given(RECORDS, st.sampled_from([logging.DEBUG, logging.INFO]), AN_EDGE | st.floats(1e9, 4e9))
def test_a_line_is_what_json_makes_of_it(record: Record, level: int, now: float) -> None:
    """Whatever was asked, and however it ended; quotes, line breaks and letters of any script are escaped."""
    line = _line(level, record)
    line.created = now
    assert JsonFormatter().format(line) == by_json(line, record)


def test_a_line_is_what_logging_makes() -> None:
    """Any handler and formatter of the standard library's finds in it what it would find in another one."""
    record = Record("GET", "/api/v1/models")
    theirs = logging.getLogger("proxy.access").makeRecord(
        "proxy.access", logging.INFO, "access_log.py", 0, "request", (), None, extra={"record": record}
    )
    ours = _line(logging.INFO, record)
    assert vars(ours).keys() == vars(theirs).keys()
    told = "%(asctime)s %(levelname)s %(name)s %(message)s %(filename)s %(msecs)d"
    ours.created, ours.msecs = theirs.created, theirs.msecs
    assert logging.Formatter(told).format(ours) == logging.Formatter(told).format(theirs)


def test_the_page_about_the_log_shows_a_line_as_it_is() -> None:
    """docs/log.md has one line in both forms, and a row for each field."""
    page = (ROOT / "docs/log.md").read_text()
    [text], [as_json] = re.findall(r"```text\n(.+)\n", page), re.findall(r"```json\n(.+)\n", page)
    record = Record(
        *("POST", "/api/v1/chat/completions"),
        tool="opencode/1.18",
        status=200,
        attribution="stamped",
        generation_id="gen-1784",
        ended_by="upstream",
        sent_bytes=9812,
        started_at=10.0,
        first_byte_at=10.8124,
        ended_at=13.411,
    )
    line = _line(logging.INFO, record)
    line.created = datetime.fromisoformat(json.loads(as_json)["time"]).timestamp()
    assert JsonFormatter().format(line) == as_json
    assert TextFormatter(colour=False).format(line)[8:] == text[8:]  # behind the time, which is local
    rows = {name for row in re.findall(r"(?m)^\| (`.+?) \|", page) for name in re.findall(r"`(\w+)`", row)}
    assert rows == json.loads(as_json).keys() | {"reason"}
