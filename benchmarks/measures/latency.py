"""What a proxy adds to the time of an answer that takes the upstream 22 ms."""

from collections.abc import Sequence

from benchmarks.load import ClosedLoop
from benchmarks.measures.base import Figures, Measure, Plan, Sample, Subject, percentile, pooled

SHARES = {1: 0.75, 4: 0.4, 16: 0.25, 64: 0.25}
"""Of a slice, for each number of connections: the fewer there are, the longer it takes to have enough answers."""

_WARM_UP = 0.15  # of a slice, until connections to the upstream are open, as they are for the one that is direct
_MODEL = "slow22"  # as BerriAI/ai-gateway-bench has it


class Latency(Measure):
    """From request to whole answer, on connections that are open; in milliseconds."""

    name = "latency"
    repeats = 2

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        sample: Sample = {}
        for connections, share in SHARES.items():
            async with ClosedLoop.open(subject.target, _MODEL, connections) as loop:
                await loop.run(plan.seconds * _WARM_UP)
                load = await loop.run(2 * plan.seconds * share)
            sample[f"latency_ms_{connections}"] = [1000 * seconds for seconds in load.latencies]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        figures: Figures = {}
        for connections in SHARES:
            through = pooled(samples, f"latency_ms_{connections}")
            without = pooled(direct, f"latency_ms_{connections}")
            for percent in (50, 99):
                added = percentile(through, percent) - percentile(without, percent)
                figures[f"added_p{percent}_ms_{connections}"] = added
        return figures
