"""CPU time for each request, and requests a second, over connections that never pause."""

from collections.abc import Sequence

from benchmarks.load import ClosedLoop
from benchmarks.measures.base import Figures, Measure, Plan, Sample, Subject, medians

_LOADS = {"1": ("answer", 1), "32": ("answer", 32), "headed": ("headed", 32)}
"""By the end of a figure's name: what is asked for, over how many connections."""
_WARM_UP = 0.15  # of a slice


class Cpu(Measure):
    """The unit that holds on a noisy machine: user and system time of the proxy, divided by the answers."""

    name = "cpu"
    repeats = 2

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        sample: Sample = {}
        for name, (model, connections) in _LOADS.items():
            async with ClosedLoop.open(subject.target, model, connections) as loop:
                await loop.run(plan.seconds * _WARM_UP)
                before = subject.process.cpu_seconds() if subject.process else 0.0
                load = await loop.run(plan.seconds)
                spent = subject.process.cpu_seconds() - before if subject.process else 0.0
            if subject.process:
                sample[f"request_us_{name}"] = [spent / load.answers * 1e6]
                sample[f"busy_{name}"] = [spent / load.seconds]
            sample[f"rate_{name}"] = [load.answers / load.seconds]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)
