"""What a measurement is."""

import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.load import Target
from benchmarks.processes import Process

Sample = dict[str, list[float]]
"""What one slice of a measurement gave: values by the name of a figure, or of what figures are made of."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done. The sizes are those of the bars, except for a trial of the harness itself."""

    seconds: float = 2.0  # of one slice under load; others follow from it
    rounds: int = 3
    streams: int = 2000
    stream_events: int = 4  # of each stream, one a second
    bulk: int = 100_000_000  # bytes
    shots: int = 15
    pause: float = 90.0  # seconds before a burst; all connections that are idle for 60 s are closed or replaced by then
    repeats: bool = True  # measurements whose slices differ are taken more often


@dataclass(frozen=True, slots=True)
class Subject:
    """What a slice is taken of: a proxy, or with no process the upstream itself."""

    target: Target
    process: Process | None
    start_seconds: float = 0.0


class Needs(Enum):
    """The proxy's process that a slice is taken of."""

    ANY = "one that has been running"
    FRESH = "one that has just been started"
    DISTANT = "one just started, with the upstream 40 ms away"
    ALL_CORES = "one just started, on all cores"


class Measure(ABC):
    """One kind of measurement: slices are taken in turns of all subjects, then figures made of each one's slices."""

    name: str
    needs = Needs.ANY
    of_direct = True  # whether it is taken of the upstream itself, too
    rounds_at_most = 100
    repeats = 1  # in each round: more where one slice differs from the next

    @abstractmethod
    async def take(self, subject: Subject, plan: Plan) -> Sample:
        """One slice. Raises `benchmarks.load.Failed`."""

    @abstractmethod
    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        """Of all slices of one subject, and those of the upstream itself."""


def pooled(samples: Sequence[Sample], name: str) -> list[float]:
    """The values of that name of all slices."""
    return [value for sample in samples for value in sample.get(name, ())]


def percentile(values: Sequence[float], percent: float) -> float:
    """By the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def medians(samples: Sequence[Sample]) -> Figures:
    """The median of each name."""
    names = {name: None for sample in samples for name in sample}
    return {name: statistics.median(pooled(samples, name)) for name in names}
