"""Counts and times of requests, and their text for Prometheus.

A request costs one look into a dictionary and a few additions (benchmarks/observers.py): prometheus-client's own
counters take a lock for each step. So the counting is done here, by the one thread that serves requests, and the
library does what it is best at: names, help texts, escaping and the formats, once for each scrape.

Labels are bounded whatever comes in: each is a word of ours, a status class or a configured profile. No path, header,
key, generation id or tool's name is among them (docs/metrics.md).
"""

import asyncio
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from proxy.observe.record import Record

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "openrouter_proxy_"

# Seconds. A first token takes half a second to minutes; a long answer, or a model that thinks, up to an hour.
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0)

# Errors of ours that come after the first byte of the upstream's answer; all others are in place of one.
_AFTER_FIRST_BYTE = frozenset({None, "response-cut", "idle-timeout"})

_Key = tuple[str | None, str | None, int | None, str, str | None]


class _Cell:
    """What is known of all requests that ended alike."""

    __slots__ = ("answered", "count", "duration", "duration_sum", "first_byte", "first_byte_sum", "received", "sent")

    def __init__(self, key: _Key) -> None:
        _, outcome, _, _, error = key
        self.answered = outcome is not None and error in _AFTER_FIRST_BYTE
        self.count = 0
        self.received = 0
        self.sent = 0
        self.first_byte = [0] * (len(FIRST_BYTE_BUCKETS) + 1)
        self.first_byte_sum = 0.0
        self.duration = [0] * (len(DURATION_BUCKETS) + 1)
        self.duration_sum = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A number that another part of the proxy keeps, and is asked for at each scrape.

    ``read`` gives one value, or one for each value of ``label``. The name has neither our prefix nor ``_total``.
    """

    kind: str  # "counter" or "gauge"
    name: str
    help: str
    read: Callable[[], float | Mapping[str, float]]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class _Scrape:
    """All numbers of one moment, taken in the thread that counts; rendered in another."""

    requests: dict[tuple[str, str, str, str, str], int]
    profiles: dict[str, _Cell]
    in_progress: int
    readings: list[tuple[Reading, float | Mapping[str, float]]]


@dataclass(slots=True)
class Metrics:
    """Counts each request that begins and ends; an observer of records."""

    version: str
    readings: list[Reading] = field(default_factory=list)
    in_progress: int = 0
    _cells: dict[_Key, _Cell] = field(default_factory=dict)

    def began(self, record: Record) -> None:
        self.in_progress += 1

    def ended(self, record: Record) -> None:
        self.in_progress -= 1
        key = (record.profile, record.attribution, record.status, record.ended_by, record.error)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(key)
        cell.count += 1
        if record.attribution is None:  # refused, or for a page of ours: that says nothing about the upstream
            return
        cell.received += record.received_bytes
        cell.sent += record.sent_bytes
        started_at = record.started_at
        duration = (record.ended_at or started_at) - started_at
        cell.duration[bisect_left(DURATION_BUCKETS, duration)] += 1
        cell.duration_sum += duration
        if cell.answered and record.first_byte_at is not None:
            first_byte = record.first_byte_at - started_at
            cell.first_byte[bisect_left(FIRST_BYTE_BUCKETS, first_byte)] += 1
            cell.first_byte_sum += first_byte

    def scrape(self) -> Callable[[], tuple[bytes, str]]:
        """The numbers of this moment; calling what is returned, in any thread, gives their text and its media type."""
        scrape = self._take()
        info = {
            "version": self.version,
            "python": platform.python_version(),
            "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        }
        return lambda: _rendered(scrape, info)

    def _take(self) -> _Scrape:
        requests: dict[tuple[str, str, str, str, str], int] = {}
        profiles: dict[str, _Cell] = {}
        for key, cell in self._cells.items():
            profile, outcome, status, ender, error = key
            name = profile or ""
            labels = (name, _outcome(outcome, error), _class(status), ender, error or "")
            requests[labels] = requests.get(labels, 0) + cell.count
            _add(profiles.setdefault(name, _Cell(key)), cell)
        readings = [(reading, reading.read()) for reading in self.readings]
        return _Scrape(requests, profiles, self.in_progress, readings)


def _outcome(outcome: str | None, error: str | None) -> str:
    """What happened to the attribution: ``refused`` requests never got so far, ``page`` ones are for us."""
    return outcome or ("refused" if error else "page")


def _class(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"


def _add(total: _Cell, cell: _Cell) -> None:
    total.received += cell.received
    total.sent += cell.sent
    total.first_byte = [a + b for a, b in zip(total.first_byte, cell.first_byte, strict=True)]
    total.first_byte_sum += cell.first_byte_sum
    total.duration = [a + b for a, b in zip(total.duration, cell.duration, strict=True)]
    total.duration_sum += cell.duration_sum


def _rendered(scrape: _Scrape, info: Mapping[str, str]) -> tuple[bytes, str]:
    # Its import takes 50 ms and 1.3 MB, which a proxy that nobody scrapes need not have.
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector  # noqa: PLC0415
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Ours(Collector):
        def collect(self) -> Iterable["Metric"]:
            return _families(scrape, info)

    registry = CollectorRegistry()
    registry.register(Ours())
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _families(scrape: _Scrape, info: Mapping[str, str]) -> Iterator["Metric"]:
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )

    about = InfoMetricFamily(PREFIX.rstrip("_"), "Which version runs, on what.")
    about.add_metric((), dict(info))
    yield about

    requests = CounterMetricFamily(
        PREFIX + "requests",
        "Requests that have ended, those to our own pages (outcome page) included: a line of the access log each.",
        labels=("profile", "outcome", "status", "ended_by", "error"),
    )
    for labels, count in scrape.requests.items():
        requests.add_metric(labels, count)
    yield requests

    yield GaugeMetricFamily(PREFIX + "requests_in_progress", "Requests under way.", value=scrape.in_progress)

    first_byte = HistogramMetricFamily(
        PREFIX + "time_to_first_byte_seconds",
        "From a request's head to the head of the upstream's answer.",
        labels=("profile",),
    )
    duration = HistogramMetricFamily(
        PREFIX + "request_duration_seconds",
        "From a forwarded request's head to the end of its answer, however it ended.",
        labels=("profile",),
    )
    received = CounterMetricFamily(
        PREFIX + "request_body_bytes", "Bytes of the bodies of forwarded requests.", labels=("profile",)
    )
    sent = CounterMetricFamily(
        PREFIX + "response_body_bytes", "Bytes of the bodies of their answers.", labels=("profile",)
    )
    for profile, cell in scrape.profiles.items():
        first_byte.add_metric((profile,), _buckets(FIRST_BYTE_BUCKETS, cell.first_byte), cell.first_byte_sum)
        duration.add_metric((profile,), _buckets(DURATION_BUCKETS, cell.duration), cell.duration_sum)
        received.add_metric((profile,), cell.received)
        sent.add_metric((profile,), cell.sent)
    yield from (first_byte, duration, received, sent)

    for reading, value in scrape.readings:
        family = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
        metric = family(PREFIX + reading.name, reading.help, labels=[reading.label] if reading.label else [])
        values = value if isinstance(value, Mapping) else {"": value}
        for name, number in values.items():
            metric.add_metric((name,) if reading.label else (), number)
        yield metric


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """As Prometheus counts: each bucket holds all that took at most so long."""
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))
