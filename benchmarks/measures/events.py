"""Streams of events: CPU time for each, and how much later each arrives."""

import asyncio
from collections.abc import Sequence

from benchmarks.load import Client, EventReader, Failed, clients
from benchmarks.measures.base import Figures, Measure, Plan, Sample, Subject, percentile, pooled

_STREAMS = 50
_MODEL = "events5"  # one every 5 ms
_WARM_UP = 0.5  # seconds


class Events(Measure):
    """50 streams of 200 events a second, of 250 bytes each."""

    name = "events"
    repeats = 3

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        heard: list[float] = []
        request = subject.target.request(_MODEL)
        async with clients(subject.target, _STREAMS) as opened:
            for client in opened:
                client.on_piece = EventReader(heard)
                client.wire.write(request)
                await asyncio.sleep(0.005 / _STREAMS)  # so that they do not keep step
            await asyncio.sleep(_WARM_UP)
            heard.clear()
            before = subject.process.cpu_seconds() if subject.process else 0.0
            await asyncio.sleep(plan.seconds)
            spent = subject.process.cpu_seconds() - before if subject.process else 0.0
            delays = list(heard)
            _require_all(opened)
        if not delays:
            raise Failed("no event arrived")
        sample: Sample = {"delay_ms": [1000 * seconds for seconds in delays]}
        if subject.process:
            sample["event_us"] = [spent / len(delays) * 1e6]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        through, without = pooled(samples, "delay_ms"), pooled(direct, "delay_ms")
        figures = {
            f"event_added_p{percent}_ms": percentile(through, percent) - percentile(without, percent)
            for percent in (50, 99)
        }
        if spent := sorted(pooled(samples, "event_us")):
            figures["event_us"] = percentile(spent, 50)
        return figures


def _require_all(opened: list[Client]) -> None:
    if lost := sum(client.lost for client in opened):
        raise Failed(f"{lost} of {_STREAMS} streams were cut")
