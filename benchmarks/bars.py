"""What was to be reached, as ratios within one run, and what was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.measures import Figures
from benchmarks.measures.latency import SHARES
from benchmarks.peers.caddy import Caddy, CaddyWithLog
from benchmarks.peers.litellm import LiteLLM
from benchmarks.peers.mitmproxy import Mitmproxy
from benchmarks.peers.ours import Ours, OursWithLog

All = Mapping[str, Figures]
Verdict = Literal["met", "missed", "unknown"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of ours that must not exceed ``bar``, and would shine at ``moonshot``; raises KeyError if unknown."""

    name: str
    unit: str
    value: Callable[[All], float]
    bar: float
    moonshot: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a bar; ``value`` is None if what it is made of was not measured."""

    bar: Bar
    value: float | None

    @property
    def verdict(self) -> Verdict:
        return _verdict(self.value, self.bar.bar)

    @property
    def moonshot(self) -> Verdict:
        return _verdict(self.value, self.bar.moonshot)


def _verdict(value: float | None, limit: float | None) -> Verdict:
    if value is None or limit is None:
        return "unknown"
    return "met" if value <= limit else "missed"


def _own(figure: str) -> Callable[[All], float]:
    return lambda figures: figures[Ours.name][figure]


def _ratio(figure: str, peer: str, ours: str = Ours.name) -> Callable[[All], float]:
    return lambda figures: figures[ours][figure] / figures[peer][figure]


_REQUEST = "request_us_32"
_ADDED = {
    1: (1, 0.7),
    4: (1, 0.6),
    16: (2, 0.9),
    64: (8, 29),
}  # ms; the moonshot is what Bifrost, in Go, is said to add

BARS = [
    Bar("CPU for each request ÷ Caddy's, logs off", "", _ratio(_REQUEST, Caddy.name), 0.75, 0.6),
    Bar(
        "CPU for each request ÷ Caddy's, both logs on",
        "",
        _ratio(_REQUEST, CaddyWithLog.name, OursWithLog.name),
        0.75,
        0.6,
    ),
    Bar("CPU for each request ÷ Caddy's, 1 connection, logs off", "", _ratio("request_us_1", Caddy.name), 0.85, 0.7),
    Bar("CPU for each event ÷ Caddy's", "", _ratio("event_us", Caddy.name), 0.85, 0.7),
    Bar("CPU for each request ÷ LiteLLM's", "", _ratio(_REQUEST, LiteLLM.name), 1 / 80, 1 / 100),
    Bar("CPU for each request ÷ mitmproxy's", "", _ratio(_REQUEST, Mitmproxy.name), 1 / 12, 1 / 15),
    *(
        Bar(f"added p99, {connections} at once", "ms", _own(f"added_p99_ms_{connections}"), *_ADDED[connections])
        for connections in SHARES
    ),
    Bar("first byte for a cold client, 40 ms away ÷ without proxy", "", _own("cold_share"), 0.4, 0.35),
    Bar("the same, the first one after the start", "", _own("cold_first_share"), 0.4, 0.35),
    Bar("the same, the slowest of 16 at once after 90 s without any", "", _own("burst_share"), 0.5, 0.4),
    Bar("2,000 streams: dropped", "", _own("streams_dropped"), 0, 0),
    Bar("2,000 streams: memory for each", "kB", _own("stream_kb"), 40, 30),
    Bar("memory after the start", "MB", _own("rss_mb"), 44, 40),
    Bar("more memory after 100 MB up and down", "MB", _own("bulk_growth_mb"), 10, 4),
    Bar("start to first /healthz", "s", _own("start_s"), 0.15, 0.1),
]


def results(figures: All) -> list[Result]:
    """Each bar with what was measured."""
    return [Result(bar, _value(bar, figures)) for bar in BARS]


def _value(bar: Bar, figures: All) -> float | None:
    try:
        return bar.value(figures)
    except KeyError:
        return None
