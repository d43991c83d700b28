"""Several tools that start at once, when the proxy has long been idle, with the upstream 40 ms away."""

import asyncio
import statistics
from collections.abc import Sequence

from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, pooled
from benchmarks.measures.cold import AT_REST, first_byte

CLIENTS = 16


class Burst(Measure):
    """As many clients at once as once before, some time ago: the slowest one is what counts."""

    name = "burst"
    needs = Needs.DISTANT
    rounds_at_most = 1

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        if subject.process:
            await asyncio.sleep(AT_REST)
            await _burst(subject)
            await asyncio.sleep(plan.pause)
        return {"burst_ms": await _burst(subject)}

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        slowest = max(pooled(samples, "burst_ms"))
        # Of the direct ones the median: their slowest one would make the share look better.
        return {"burst_ms": slowest, "burst_share": slowest / statistics.median(pooled(direct, "burst_ms"))}


async def _burst(subject: Subject) -> list[float]:
    return [1000 * seconds for seconds in await asyncio.gather(*(first_byte(subject.target) for _ in range(CLIENTS)))]
