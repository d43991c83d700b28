"""CPU time for each request, and requests a second, with 1 and with 32 connections that never pause."""

from collections.abc import Sequence

from benchmarks.load import closed_loop
from benchmarks.measures.base import Figures, Measure, Plan, Sample, Subject, medians

CONNECTIONS = (1, 32)
_WARM_UP = 0.15  # of a slice


class Cpu(Measure):
    """The unit that holds on a noisy machine: user and system time of the proxy, divided by the answers."""

    name = "cpu"

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        sample: Sample = {}
        for connections in CONNECTIONS:
            await closed_loop(subject.target, "answer", connections, plan.seconds * _WARM_UP)
            before = subject.process.cpu_seconds() if subject.process else 0.0
            load = await closed_loop(subject.target, "answer", connections, plan.seconds)
            if subject.process:
                spent = subject.process.cpu_seconds() - before
                sample[f"request_us_{connections}"] = [spent / load.answers * 1e6]
                sample[f"busy_{connections}"] = [spent / load.seconds]
            sample[f"rate_{connections}"] = [load.answers / load.seconds]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)
