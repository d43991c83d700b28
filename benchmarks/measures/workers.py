"""What one and two workers can do at most, on all cores of the machine."""

import asyncio
from collections.abc import Sequence

from benchmarks.load import ClosedLoop, EventReader, Failed, clients
from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, medians

_CONNECTIONS = 64
_STREAMS = 200
_MODEL = "events2"  # one every 2 ms in each: 100,000 a second, more than anything here can relay
_WARM_UP = 0.4  # of a slice: a process that has just been started connects to the upstream first


class Workers(Measure):
    """Requests a second, and events a second where more are due than can be relayed; CPU time for each.

    The upstream and the load generator stay on their core. With two cores, the second worker shares that with them.
    """

    name = "workers"
    needs = Needs.ALL_CORES
    of_direct = False

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        assert subject.process is not None
        async with ClosedLoop.open(subject.target, "answer", _CONNECTIONS) as loop:
            await loop.run(plan.seconds * _WARM_UP)
            before = subject.process.cpu_seconds()
            load = await loop.run(plan.seconds)
            spent = subject.process.cpu_seconds() - before
        sample: Sample = {
            "most_requests": [load.answers / load.seconds],
            "most_requests_us": [spent / load.answers * 1e6],
        }
        heard: list[float] = []
        request = subject.target.request(_MODEL)
        async with clients(subject.target, _STREAMS) as opened:
            for client in opened:
                client.on_piece = EventReader(heard)
                client.wire.write(request)
            await asyncio.sleep(plan.seconds * _WARM_UP)
            heard.clear()
            before, began = subject.process.cpu_seconds(), asyncio.get_running_loop().time()
            await asyncio.sleep(plan.seconds)
            events, seconds = len(heard), asyncio.get_running_loop().time() - began
            spent = subject.process.cpu_seconds() - before
            lost = sum(client.lost for client in opened)
        if lost or not events:
            raise Failed(f"{lost} of {_STREAMS} streams were cut" if lost else "no event arrived")
        return sample | {"most_events": [events / seconds], "most_events_us": [spent / events * 1e6]}

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)
