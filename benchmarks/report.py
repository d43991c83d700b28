"""A run as Markdown, and as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import bars
from benchmarks.compare import DIRECT, Results
from benchmarks.machine import Facts
from benchmarks.measures import Figures, Plan, Sample
from benchmarks.measures.base import percentile
from benchmarks.measures.latency import SHARES
from benchmarks.peers.ours import Ours

METHOD = """\
One worker of each proxy on one core; on the other core a stub upstream that speaks TLS, and the load generator, which \
speaks plain HTTP to the proxies. A proxy replaces four attribution headers of each request, which is checked, verifies \
the upstream's certificate, keeps connections alive, and writes no access log. A request has a body of 550 bytes, an \
answer one of 1.1 kB, an event 250 bytes. The proxies take turns in slices of a few seconds, and those whose turn it is \
not are stopped (SIGSTOP). CPU is user and system time of the proxy's processes, from /proc; "added" is what a \
percentile is higher by than without a proxy. "Cold" is a client that connects, sends one request and reads the first \
byte, with an upstream 40 ms of round trip away (a relay in user space). Memory is resident memory."""

_DIGITS = 3

# Heading, figure, digits after the point.
_CPU = [
    ("µs/request, 1 connection", "request_us_1", 0),
    ("32 connections", "request_us_32", 0),
    ("requests/s, 32", "rate_32", 0),
    ("µs/event", "event_us", 1),
    ("event later by p50 ms", "event_added_p50_ms", 2),
    ("p99 ms", "event_added_p99_ms", 2),
]
_LATENCY = [
    (f"{connections} at once: p{percent}", f"added_p{percent}_ms_{connections}", 2)
    for connections in SHARES
    for percent in (50, 99)
]
_REST = [
    ("cold first byte, ms", "cold_ms", 0),
    ("÷ direct", "cold_share", 2),
    ("first after the start, ms", "cold_first_ms", 0),
    ("streams dropped", "streams_dropped", 0),
    ("kB/stream", "stream_kb", 0),
    ("100 MB up, s", "upload_s", 2),
    ("down, s", "download_s", 2),
    ("MB more then", "bulk_growth_mb", 1),
    ("MB after start", "rss_mb", 0),
    ("start, s", "start_s", 2),
]


def as_json(results: Results, machine: Facts, plan: Plan, when: str) -> dict[str, Any]:
    """Everything that is known of a run; long lists of samples as their percentiles."""
    return {
        "when": when,
        "seconds": round(results.seconds),
        "machine": machine,
        "method": METHOD,
        "plan": {name: getattr(plan, name) for name in plan.__slots__},
        "versions": results.versions,
        "missing": results.missing,
        "failures": results.failures,
        "figures": {name: _rounded(figures) for name, figures in results.figures.items()},
        "bars": [
            {
                "name": result.bar.name,
                "unit": result.bar.unit,
                "value": None if result.value is None else round(result.value, _DIGITS),
                "bar": round(result.bar.bar, _DIGITS),
                "verdict": result.verdict,
                "moonshot": result.bar.moonshot,
                "moonshot verdict": result.moonshot,
            }
            for result in bars.results(results.figures)
        ],
        "samples": {
            name: {measure: [_summary(sample) for sample in samples] for measure, samples in taken.items()}
            for name, taken in results.samples.items()
        },
    }


def as_markdown(results: Results, machine: Facts, when: str) -> str:
    """The tables, for people."""
    names = [name for name in results.figures if name != DIRECT]
    names.sort(key=lambda name: results.figures[name].get("request_us_32", float("inf")))
    parts = [
        f"Measured {when}, in {results.seconds / 60:.0f} minutes. "
        + ", ".join(f"{name}: {value}" for name, value in machine.items())
        + ".",
        METHOD,
        "## Bars",
        _table(
            ["figure", "bar", "value", "", "moonshot", ""],
            [
                [
                    result.bar.name,
                    _shown(result.bar.bar, result.bar.unit),
                    _shown(result.value, result.bar.unit),
                    result.verdict,
                    _shown(result.bar.moonshot, result.bar.unit),
                    result.moonshot,
                ]
                for result in bars.results(results.figures)
            ],
        ),
        "## CPU, and events",
        _figures(results, [DIRECT, *names], _CPU),
        "## Milliseconds added to an answer that takes 22",
        _figures(results, names, _LATENCY),
        "## First byte, streams, bulk, memory, start",
        _figures(results, [DIRECT, *names], _REST),
    ]
    absent = [f"* {name} is missing: {reason}" for name, reason in results.missing.items()]
    for name, failures in results.failures.items():
        absent += [f"* {name}, {measure}: {reason}" for measure, reason in failures.items()]
    if absent:
        parts += ["## Not measured", "\n".join(absent)]
    return "\n\n".join(parts) + "\n"


_SUMMARY = [
    ("µs of CPU for a request", "request_us_32", 0),
    ("for an event", "event_us", 0),
    ("ms added to p99, 16 at once", "added_p99_ms_16", 1),
    ("ms to a cold client's first byte", "cold_ms", 0),
    ("MB after the start", "rss_mb", 0),
]


def as_summary(figures: Mapping[str, Figures], versions: Mapping[str, str]) -> str:
    """The few figures for docs/performance.md: the cheapest for a request first."""
    names = sorted((name for name in versions if name in figures), key=lambda name: figures[name]["request_us_32"])
    rows = []
    for name in [*names, DIRECT]:
        version = "" if name.startswith(Ours.name) else versions.get(name, "")
        rows.append([f"{name} {version}".strip(), *_shown_values(figures.get(name, {}), _SUMMARY)])
    return _table(["", *(heading for heading, _, _ in _SUMMARY)], rows) + "\n"


def _shown_values(figures: Figures, columns: Sequence[tuple[str, str, int]]) -> list[str]:
    values = [(figures.get(figure), digits) for _, figure, digits in columns]
    return ["–" if value is None else f"{value:,.{digits}f}" for value, digits in values]


def _figures(results: Results, names: Sequence[str], columns: Sequence[tuple[str, str, int]]) -> str:
    rows = []
    for name in names:
        figures = results.figures.get(name, {})
        if any(figure in figures for _, figure, _ in columns):
            rows.append([f"{name} {results.versions.get(name, '')}".strip(), *_shown_values(figures, columns)])
    return _table(["", *(heading for heading, _, _ in columns)], rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.3g} {unit}".strip()


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in figures.items()}


def _summary(sample: Sample) -> dict[str, Any]:
    return {
        name: [round(value, _DIGITS) for value in values] if len(values) <= 20 else _percentiles(values)
        for name, values in sample.items()
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    shown = {f"p{percent}": percentile(values, percent) for percent in (1, 50, 90, 99)}
    return {"count": len(values), "mean": round(statistics.fmean(values), _DIGITS), **_rounded(shown)}
