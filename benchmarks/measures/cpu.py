"""CPU time for each request, and requests a second, with 1 and with 32 connections that never pause."""

from collections.abc import Sequence

from benchmarks.load import ClosedLoop
from benchmarks.measures.base import Figures, Measure, Plan, Sample, Subject, medians

CONNECTIONS = (1, 32)
_WARM_UP = 0.15  # of a slice


class Cpu(Measure):
    """The unit that holds on a noisy machine: user and system time of the proxy, divided by the answers."""

    name = "cpu"
    repeats = 2

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        sample: Sample = {}
        for connections in CONNECTIONS:
            async with ClosedLoop.open(subject.target, "answer", connections) as loop:
                await loop.run(plan.seconds * _WARM_UP)
                before = subject.process.cpu_seconds() if subject.process else 0.0
                load = await loop.run(plan.seconds)
                spent = subject.process.cpu_seconds() - before if subject.process else 0.0
            if subject.process:
                sample[f"request_us_{connections}"] = [spent / load.answers * 1e6]
                sample[f"busy_{connections}"] = [spent / load.seconds]
            sample[f"rate_{connections}"] = [load.answers / load.seconds]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)
