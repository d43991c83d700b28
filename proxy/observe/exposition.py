"""The text of counts and times for Prometheus: names, help texts, and prometheus-client's formats."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from proxy.observe import metrics
from proxy.observe.metrics import Reading, Scrape
from proxy.observe.process_figures import HELP
from proxy.observe.rows import COUNTER, GAUGE, Key

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "openrouter_proxy_"

_Sums = Mapping[Key, Sequence[float]]


def exposition(scrape: Scrape, hidden: Collection[str] = ()) -> tuple[bytes, str]:
    """The text of what was scraped, and its media type; without the names of the ``hidden`` profiles.

    Raises `OSError` or `ImportError` where no file is left to be opened.
    """
    # Its import takes 50 ms and 1.3 MB, which a proxy that nobody scrapes need not have.
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector  # noqa: PLC0415
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Ours(Collector):
        def collect(self) -> Iterable["Metric"]:
            return _families(scrape, scrape.sums(hidden))

    registry = CollectorRegistry()
    registry.register(Ours())
    PlatformCollector(registry=registry)
    if scrape.workers_since is None:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _families(scrape: Scrape, sums: _Sums) -> Iterator["Metric"]:
    from prometheus_client.core import InfoMetricFamily  # noqa: PLC0415

    about = InfoMetricFamily(PREFIX.rstrip("_"), "Which version runs, on what.")
    about.add_metric((), dict(scrape.info))
    yield about
    yield from _of_requests(sums)
    yield from _of_readings(scrape.readings, sums)
    if scrape.workers_since is not None:
        yield from _of_workers(scrape.workers_since, sums)


def _of_requests(sums: _Sums) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily  # noqa: PLC0415

    requests = CounterMetricFamily(
        PREFIX + "requests",
        "Requests that have ended, those to our own pages (outcome page) included: a line of the access log each.",
        labels=("profile", "outcome", "status", "ended_by", "error"),
    )
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
    for (kind, *labels), numbers in sums.items():
        if kind == metrics.REQUESTS:
            requests.add_metric(labels, numbers[0])
        elif kind == metrics.PROFILE:
            received.add_metric(labels, numbers[metrics.RECEIVED])
            sent.add_metric(labels, numbers[metrics.SENT])
            first_bytes = _buckets(metrics.FIRST_BYTE_BUCKETS, numbers, metrics.FIRST_BYTE)
            first_byte.add_metric(labels, first_bytes, numbers[metrics.FIRST_BYTE_SUM])
            durations = _buckets(metrics.DURATION_BUCKETS, numbers, metrics.DURATION)
            duration.add_metric(labels, durations, numbers[metrics.DURATION_SUM])
    yield requests
    yield from (first_byte, duration, received, sent)


def _buckets(bounds: Sequence[float], numbers: Sequence[float], first: int) -> list[tuple[str, float]]:
    """As Prometheus counts: each bucket holds all that took at most so long."""
    counts = numbers[first : first + len(bounds) + 1]
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))


def _of_readings(readings: Sequence[Reading], sums: _Sums) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    for reading in readings:
        family = CounterMetricFamily if reading.kind == COUNTER else GaugeMetricFamily
        metric = family(PREFIX + reading.name, reading.help, labels=[reading.label] if reading.label else [])
        for (kind, name, *label), numbers in sums.items():
            if (kind, name) == (reading.kind, reading.name):
                metric.add_metric(label if reading.label else (), numbers[0])
        yield metric


def _of_workers(since: float, sums: _Sums) -> Iterator["Metric"]:
    """What prometheus-client tells of one process, added up."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    for name, text in HELP.items():
        for kind, family in ((COUNTER, CounterMetricFamily), (GAUGE, GaugeMetricFamily)):
            if numbers := sums.get((kind, name, "")):
                yield family(name, text, value=numbers[0])
    started = "Start time of the workers' supervisor since unix epoch in seconds."
    yield GaugeMetricFamily("process_start_time_seconds", started, value=since)
