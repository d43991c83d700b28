"""Whether `/metrics` and the access log tell the same (promise 34): each line counted once, as what it says it is."""

import collections
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parsed

from proxy.observe.formatters import JsonFormatter
from proxy.observe.record import Record

PREFIX = "openrouter_proxy_"
_SLACK = 1.0  # milliseconds for each line, which tells tenths


def disagreements(lines: Iterable[dict[str, Any]], text: str) -> list[str]:
    """Where a scrape and the access lines of the same requests differ; those for the proxy's own pages are left out."""
    logged: collections.Counter[tuple[str, ...]] = collections.Counter()
    sums: dict[str, float] = collections.defaultdict(float)
    for line in lines:
        if line["attribution"] is None and line["error"] is None:
            continue
        status = "none" if line["status"] is None else f"{line['status'] // 100}xx"
        profile, outcome = line["profile"] or "", line["attribution"] or "refused"
        logged[profile, outcome, status, line["ended_by"], line["error"] or ""] += 1
        if line["attribution"] is not None:
            sums["response_body_bytes_total"] += line["bytes"]
            sums["request_duration_seconds_count"] += 1
            sums["request_duration_seconds_sum"] += line["total_ms"]
    counted: collections.Counter[tuple[str, ...]] = collections.Counter()
    told: dict[str, float] = collections.defaultdict(float)
    for name, labels, value in _samples(text):
        if name == "requests_total" and labels["outcome"] != "page":
            counted[tuple(labels[each] for each in ("profile", "outcome", "status", "ended_by", "error"))] += int(value)
        told[name] += value
    found = [
        f"{' '.join(filter(None, key))}: {logged[key]} in the log, {counted[key]} in the metrics"
        for key in sorted(logged.keys() | counted.keys())
        if logged[key] != counted[key]
    ]
    found += [
        f"{name}: {sums[name]} by the log, {told[name]} in the metrics"
        for name in ("response_body_bytes_total", "request_duration_seconds_count")
        if sums[name] != told[name]
    ]
    by_log, by_metrics = sums["request_duration_seconds_sum"], told["request_duration_seconds_sum"] * 1000
    if abs(by_log - by_metrics) > _SLACK * sums["request_duration_seconds_count"]:
        found.append(f"the durations are {by_log:.0f} ms by the log, {by_metrics:.0f} in the metrics")
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in parsed(text):
        for sample in family.samples:
            yield sample.name.removeprefix(PREFIX), sample.labels, sample.value


def under_way(text: str) -> int:
    """How many requests are, the scrape itself included."""
    return int(next(value for name, _, value in _samples(text) if name == "requests_in_progress"))


def line_of(record: Record) -> dict[str, Any]:
    """The access line of a request, decoded."""
    line: dict[str, Any] = json.loads(JsonFormatter().format(logging.makeLogRecord({"record": record})))
    return line
