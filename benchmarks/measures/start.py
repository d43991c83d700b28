"""A start: how long until the first answer, and how much memory then."""

import asyncio
from collections.abc import Sequence

from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, medians

_SETTLED_AFTER = 0.5  # seconds


class Start(Measure):
    """From the start of the process to the first answer at its health path."""

    name = "start"
    needs = Needs.FRESH
    of_direct = False

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        assert subject.process is not None
        await asyncio.sleep(_SETTLED_AFTER)
        return {"start_s": [subject.start_seconds], "rss_mb": [subject.process.rss() / 1e6]}

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)
