"""Counts and times of requests.

A request costs one look into a dictionary and a few additions (benchmarks/observers.py): prometheus-client's own
counters take a lock for each step. So the counting is done here, by the one thread that serves requests, and the
library does what it is best at: names, help texts, escaping and the formats, once for each scrape
(`proxy.observe.exposition`).

Labels are bounded whatever comes in: each is a word of ours, a status class or a configured profile. No path, header,
key, generation id or tool's name is among them (docs/metrics.md).
"""

import asyncio
import platform
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from proxy.observe.process_figures import process_figures
from proxy.observe.record import Record
from proxy.observe.redaction import HIDDEN
from proxy.observe.rows import COUNTER, Key, OwnRows, Row, SharedRows

# Seconds. A first token takes half a second to minutes; a long answer, or a model that thinks, up to an hour.
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0)

# What is counted for each profile, as one row: sums, and behind them the buckets of both times.
RECEIVED, SENT, FIRST_BYTE_SUM, DURATION_SUM, FIRST_BYTE = range(5)
DURATION = FIRST_BYTE + len(FIRST_BYTE_BUCKETS) + 1
_TOTALS = DURATION + len(DURATION_BUCKETS) + 1  # numbers of such a row

# Kinds of rows, and what follows in their keys: profile, outcome, status class, ender and error; the profile alone.
# Those of readings are of the reading's kind; there follow its name and the value of its label.
REQUESTS, PROFILE = "requests", "profile"

# For several processes: three hundred kinds of endings for each profile, of which some dozen come.
_MEMORY_FOR_EACH_PROFILE = 1 << 16  # bytes, which the system gives as they are used
_TELLS_THE_OTHERS_AFTER = 1.0  # seconds: what a process reads from its other parts, and not for each request


@dataclass(frozen=True, slots=True)
class Reading:
    """A number that another part of the proxy keeps, and is asked for at each scrape.

    ``read`` gives one value, or one for each value of ``label``. The name has neither our prefix nor ``_total``.
    """

    kind: str  # COUNTER or GAUGE
    name: str
    help: str
    read: Callable[[], float | Mapping[str, float]]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """What was read in the thread that counts; ``look`` and all that follows is for another."""

    look: Callable[[], Mapping[Key, Sequence[float]]]
    readings: Sequence[Reading]
    info: Mapping[str, str]
    workers_since: float | None  # where several count: when they were started, in seconds since 1970

    def sums(self, hidden: Collection[str] = ()) -> Mapping[Key, Sequence[float]]:
        """All rows; what the ``hidden`` profiles have counted is added up under a name that tells nothing."""
        rows = self.look()
        if not hidden:
            return rows
        sums: dict[Key, Sequence[float]] = {}
        for (kind, *words), numbers in rows.items():
            if kind in (REQUESTS, PROFILE) and words[0] in hidden:
                words[0] = HIDDEN
            key = (kind, *words)
            sums[key] = [a + b for a, b in zip(sums[key], numbers, strict=True)] if key in sums else numbers
        return sums


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where requests are counted that ended alike."""

    count: Row
    totals: Row  # of their profile


class Metrics:
    """Counts each request that has ended; an observer of records.

    With several ``workers`` all of them count in memory that they share, and each can tell of all.
    """

    def __init__(self, version: str, readings: Sequence[Reading] = (), *, workers: int = 1, profiles: int = 0) -> None:
        self.version = version
        self._readings = readings
        self._workers_since = time.time() if workers > 1 else None
        self._shared = SharedRows(workers, (profiles + 2) * _MEMORY_FOR_EACH_PROFILE) if workers > 1 else None
        self._rows = self._shared or OwnRows()
        self._begin()

    def _begin(self) -> None:
        self._cells: dict[tuple[str | None, str | None, int | None, str, str | None], _Cell] = {}
        self._told: dict[Key, tuple[Row, float]] = {}  # where each reading is told, and what is added to it

    def become(self, number: int) -> None:
        """Be the one of that number among several workers; in its process, before it serves."""
        if self._shared:
            self._shared.become(number)
            self._begin()

    def end(self, number: int) -> None:
        """Keep of the worker with that number, whose process has ended, only what it has counted."""
        if self._shared:
            self._shared.end(number)

    def ended(self, records: Sequence[Record]) -> None:
        for record in records:
            self._count(record)

    def _count(self, record: Record) -> None:
        key = (record.profile, record.attribution, record.status, record.ended_by, record.error)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = self._cell(record)
        cell.count[0] += 1
        if record.attribution is None:  # refused, or for a page of ours: that says nothing about the upstream
            return
        totals = cell.totals
        totals[RECEIVED] += record.received_bytes
        totals[SENT] += record.sent_bytes
        started_at = record.started_at
        duration = (record.ended_at or started_at) - started_at
        totals[DURATION + bisect_left(DURATION_BUCKETS, duration)] += 1
        totals[DURATION_SUM] += duration
        if record.first_byte_at is not None:
            first_byte = record.first_byte_at - started_at
            totals[FIRST_BYTE + bisect_left(FIRST_BYTE_BUCKETS, first_byte)] += 1
            totals[FIRST_BYTE_SUM] += first_byte

    def _cell(self, record: Record) -> _Cell:
        profile, outcome, error = record.profile or "", record.attribution, record.error
        # `refused` requests never got as far as any attribution, `page` ones are for us.
        shown = outcome or ("refused" if error else "page")
        labels = (profile, shown, _class(record.status), record.ended_by, error or "")
        return _Cell(
            self._rows.row((REQUESTS, *labels), 1),
            self._rows.row((PROFILE, profile), _TOTALS),
        )

    @asynccontextmanager
    async def told_to_others(self) -> AsyncIterator[None]:
        """Let the other workers know, while the block lasts, what this one reads."""
        if self._shared is None:
            yield
            return
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell())
            try:
                yield
            finally:
                telling.cancel()

    async def _tell(self) -> None:
        while True:
            self._read()
            await asyncio.sleep(_TELLS_THE_OTHERS_AFTER)

    def _read(self) -> None:
        for reading in self._readings:
            value = reading.read()
            for label, number in (value if isinstance(value, Mapping) else {"": value}).items():
                self._note((reading.kind, reading.name, label), number)
        if self._shared:
            for kind, name, number in process_figures():
                self._note((kind, name, ""), number)

    def _note(self, key: Key, number: float) -> None:
        told = self._told.get(key)
        if told is None:
            row = self._rows.row(key, 1)
            # A worker that takes the place of another counts on from where that ended.
            told = self._told[key] = row, row[0] if key[0] == COUNTER else 0.0
        row, before = told
        row[0] = before + number

    def scrape(self) -> Scrape:
        """The numbers of this moment."""
        self._read()
        info = {
            "version": self.version,
            "python": platform.python_version(),
            "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        }
        return Scrape(self._rows.look(), self._readings, info, self._workers_since)


def _class(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"
