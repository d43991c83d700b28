"""A run as JSON, and as Markdown made of that."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import bars
from benchmarks.compare import DIRECT, Results
from benchmarks.machine import Facts
from benchmarks.measures import Figures, Plan, Sample
from benchmarks.measures.base import percentile
from benchmarks.measures.latency import SHARES
from benchmarks.peers.base import TWO_WORKERS, WITH_LOG
from benchmarks.peers.ours import Ours

METHOD = """\
One worker of each proxy has one core; the other core has a stub upstream that speaks TLS, and the load generator, \
which speaks plain HTTP to the proxies. Each proxy replaces four attribution headers of each request, which is checked, \
verifies the upstream's certificate, and keeps connections alive. All speak HTTP/1.1 to the upstream, which offers \
nothing else by ALPN; Caddy would choose HTTP/2 where it is offered. A request has a body of 550 bytes, an answer one \
of 1.1 kB, an event 250 bytes. An answer has two header lines, and in the column "OpenRouter's header lines" sixteen, \
with 32 connections: those that OpenRouter and Cloudflare send. The proxies take turns in slices of a few seconds, and those whose turn it is not are \
stopped (SIGSTOP); the slow ones have half as many turns.

CPU is user and system time of all processes of a proxy, from /proc, and what to compare: it holds on a busy machine, \
where milliseconds do not. No proxy writes an access log, except for the figures "access log on": there, each writes \
its usual line for each request (this proxy and Caddy JSON, the others their text formats) to standard output, which is \
a file for all of them. "Added" is what a percentile is higher by than without a proxy, for events, and for answers \
that take the upstream 22 ms. "Cold" is a client that connects, sends one request and reads the first byte, with an \
upstream 40 ms of round trip away (a relay in user space). For the burst, 16 such clients come at once, then nothing \
for 90 s, then 16 at once again: the slowest of these, ÷ the median of 16 that go there directly. Memory is resident \
memory.

For "two workers", the proxies may use all cores, and the upstream and the load generator stay on theirs. Where there \
are two cores only, a second worker shares one with them, and what it adds is less than it would add on a larger \
machine; the CPU time is the figure that holds. Requests come from 64 connections that never pause. Events are \
those of 200 streams with 500 due a second in each, more than any of them can relay; several that have queued up are \
relayed at once."""

_DIGITS = 3

_Columns = Sequence[tuple[str, str, int]]  # heading, figure, digits after the point

_REQUEST = "request_us_32"
_LOGGED = "logged_us_32"  # `_REQUEST` of the same proxy with its access log on
_CPU = [
    ("request, 32 connections", _REQUEST, 0),
    ("access log on", _LOGGED, 0),
    ("request, 1 connection", "request_us_1", 0),
    ("OpenRouter's header lines", "request_us_headed", 0),
    ("event", "event_us", 1),
]
_LATER = [
    ("event: p50", "event_added_p50_ms", 1),
    ("event: p99", "event_added_p99_ms", 1),
    *((f"answer, {connections} at once: p99", f"added_p99_ms_{connections}", 1) for connections in SHARES),
]
_REST = [
    ("cold first byte, ms", "cold_ms", 0),
    ("slowest of a burst, ms", "burst_ms", 0),
    ("kB/stream", "stream_kb", 0),
    ("MB after the start", "rss_mb", 0),
    ("MB more after 100 MB up and down", "bulk_growth_mb", 1),
    ("start, s", "start_s", 2),
]
_WORKERS = [
    ("requests/s: 1 worker", "most_requests", 0),
    ("2 workers", "most_requests" + TWO_WORKERS, 0),
    ("µs/request: 1", "most_requests_us", 0),
    ("2", "most_requests_us" + TWO_WORKERS, 0),
    ("events/s: 1 worker", "most_events", 0),
    ("2 workers", "most_events" + TWO_WORKERS, 0),
    ("µs/event: 1", "most_events_us", 1),
    ("2", "most_events_us" + TWO_WORKERS, 1),
]
_SUMMARY = [
    ("µs of CPU for a request", _REQUEST, 0),
    ("with its access log on", _LOGGED, 0),
    ("for an event", "event_us", 0),
    ("ms added to p99, 16 at once", "added_p99_ms_16", 1),
    ("ms to a cold client's first byte", "cold_ms", 0),
    ("MB after the start", "rss_mb", 0),
]


Run = dict[str, Any]
"""What `as_json` gives, and what stands in run.json."""


def as_json(results: Results, machine: Facts, plan: Plan, when: str) -> Run:
    """Everything that is known of a run; long lists of samples as their percentiles."""
    figures = {name: _rounded(figures) for name, figures in results.figures.items()}
    return {
        "when": when,
        "seconds": round(results.seconds),
        "machine": machine,
        "method": METHOD,
        "plan": {name: getattr(plan, name) for name in plan.__slots__},
        "versions": results.versions,
        "missing": results.missing,
        "failures": results.failures,
        "figures": figures,
        "bars": _bars_of(figures),
        "samples": {
            name: {measure: [_summary(sample) for sample in samples] for measure, samples in taken.items()}
            for name, taken in results.samples.items()
        },
    }


def judged_anew(run: Run, others: Sequence[Run] = ()) -> Run:
    """The same run, by today's bars; beside ``others``, if there are any, to show what runs differ by."""
    beside = [{"when": other["when"], "figures": other["figures"]} for other in others]
    return {**run, "bars": _bars_of(run["figures"]), "beside": beside or run.get("beside", [])}


def _bars_of(figures: Mapping[str, Figures]) -> list[dict[str, Any]]:
    return [
        {
            "name": result.bar.name,
            "unit": result.bar.unit,
            "value": None if result.value is None else round(result.value, _DIGITS + 1),
            "bar": round(result.bar.bar, _DIGITS + 1),
            "verdict": result.verdict,
            "moonshot": result.bar.moonshot and round(result.bar.moonshot, _DIGITS + 1),
            "moonshot verdict": result.moonshot,
        }
        for result in bars.results(figures)
    ]


def as_markdown(run: Run) -> str:
    """The tables, for people; with how far the bars' values lie apart, if the run stands beside others."""
    figures, versions = _paired(run["figures"]), run["versions"]
    heading, rows = ["openrouter-proxy", "measured", "target", "moonshot"], _bars(run["bars"])
    if beside := run.get("beside"):
        heading.append(f"{len(beside) + 1} runs differ by")
        for row, difference in zip(rows, _differences([run, *beside]), strict=True):
            row.append(difference)
    parts = [
        "# What `benchmarks/run` found",
        f"{versions.get(Ours.name, 'Others')}, {run['when']}. The cheapest for a request comes first. Method: at the end.",
        "## Targets",
        _table(heading, rows),
    ]
    for title, columns in (
        ("CPU, µs", _CPU),
        ("Milliseconds added", _LATER),
        ("First byte, memory, start", _REST),
        ("Two workers", _WORKERS),
    ):
        if table := _figures(figures, versions, columns):
            parts += [f"## {title}", table]
    absent = [f"* {name} is missing: {reason}" for name, reason in run["missing"].items()]
    for name, failures in run["failures"].items():
        absent += [f"* {name}, {measure}: {reason}" for measure, reason in failures.items()]
    absent += [
        f"* {name} dropped {found['streams_dropped']:.0f} of the streams"
        for name, found in figures.items()
        if found.get("streams_dropped")
    ]
    if absent:
        parts += ["## What failed", "\n".join(absent)]
    machine = ", ".join(f"{name}: {value}" for name, value in run["machine"].items())
    parts += ["## Method", run["method"], f"It took {run['seconds'] / 60:.0f} minutes. {machine}."]
    return "\n\n".join(parts) + "\n"


def as_summary(figures: Mapping[str, Figures], versions: Mapping[str, str]) -> str:
    """The few figures for docs/performance.md."""
    return _figures(_paired(figures), versions, _SUMMARY) + "\n"


def _paired(figures: Mapping[str, Figures]) -> dict[str, Figures]:
    """What was measured of the same proxy with its log, or with two workers, beside its other figures.

    The cheapest for a request first, and last what there is without a proxy.
    """
    plain = [name for name in figures if not name.endswith((WITH_LOG, TWO_WORKERS))]
    plain.sort(key=lambda name: (name == DIRECT, figures[name].get(_REQUEST, float("inf"))))
    paired = {name: dict(figures[name]) for name in plain}
    for name in plain:
        logged, twice = figures.get(name + WITH_LOG, {}), figures.get(name + TWO_WORKERS, {})
        if _REQUEST in logged:
            paired[name][_LOGGED] = logged[_REQUEST]
        paired[name].update({figure + TWO_WORKERS: value for figure, value in twice.items()})
    return paired


def _bars(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    def limit(result: Mapping[str, Any], kind: str, verdict: str) -> str:
        shown = _shown(result[kind], result["unit"])
        return shown if result[verdict] == "unknown" else f"{shown} {result[verdict]}"

    return [
        [
            result["name"],
            _shown(result["value"], result["unit"]),
            limit(result, "bar", "verdict"),
            limit(result, "moonshot", "moonshot verdict"),
        ]
        for result in results
    ]


def _differences(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """From the least to the highest value of each bar."""
    shown = []
    for results in zip(*(_bars_of(run["figures"]) for run in runs), strict=True):
        values = [result["value"] for result in results]
        known = None not in values
        shown.append(_shown(max(values) - min(values), results[0]["unit"]) if known else "–")
    return shown


def _figures(figures: Mapping[str, Figures], versions: Mapping[str, str], columns: _Columns) -> str:
    """A table of those that have one of the figures; "" if none has."""
    rows = []
    for name, found in figures.items():
        if any(found.get(figure) for _, figure, _ in columns):
            version = re.match(r"[\w.]*", versions.get(name, ""))
            assert version is not None
            shown = name if name == Ours.name else f"{name} {version[0]}".strip()
            rows.append([f"**{shown}**" if name == Ours.name else shown, *_shown_values(found, columns)])
    return _table(["", *(heading for heading, _, _ in columns)], rows) if rows else ""


def _shown_values(figures: Figures, columns: _Columns) -> list[str]:
    values = [(figures.get(figure), digits) for _, figure, digits in columns]
    return ["–" if value is None else f"{value:,.{digits}f}" for value, digits in values]


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
