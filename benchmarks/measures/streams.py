"""Many open streams that say little: does one get lost, and what does each cost?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.load import Client, ClosedLoop, EventReader, Failed, Target
from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, medians

_MODEL = "events1000"  # one every second
_OPENING_AT_ONCE = 50
_OPEN_WITHIN = 30.0  # seconds
_LATE = 1.5  # seconds after which an event that has not come counts as dropped with its stream


class Streams(Measure):
    """The memory is what a fresh process has more than before, divided by the streams."""

    name = "streams"
    needs = Needs.FRESH
    of_direct = False
    rounds_at_most = 1

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        assert subject.process is not None
        async with ClosedLoop.open(subject.target, "answer", 8) as loop:
            await loop.run(0.2)  # what is set up once is no stream's cost
        before = subject.process.rss()
        async with open_streams(subject.target, _MODEL, plan.streams) as readers:
            for reader in readers:
                reader.delays.clear()
            await asyncio.sleep(plan.stream_events + _LATE)
            dropped = sum(len(reader.delays) < plan.stream_events for reader in readers)
            grown = subject.process.rss() - before
        return {"streams_dropped": [dropped], "stream_kb": [grown / plan.streams / 1000]}

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)


@asynccontextmanager
async def open_streams(target: Target, model: str, count: int) -> AsyncIterator[list[EventReader]]:
    """So many streams, each of which has brought its first event; those that are refused bring none.

    Raises `Failed` if that takes too long.
    """
    request = target.request(model)
    readers = [EventReader([]) for _ in range(count)]
    opened: list[Client] = []
    places = asyncio.Semaphore(_OPENING_AT_ONCE)

    async def open_one(reader: EventReader) -> None:
        async with places:
            try:
                client = await Client.open(target)
            except OSError:
                return
            opened.append(client)
            first = asyncio.Event()

            def on_piece(piece: bytes) -> None:
                reader(piece)
                if reader.delays:
                    first.set()

            client.on_piece = on_piece
            client.on_lost = lambda client: first.set()
            client.wire.write(request)
            await first.wait()

    try:
        try:
            async with asyncio.timeout(_OPEN_WITHIN), asyncio.TaskGroup() as group:
                for reader in readers:
                    group.create_task(open_one(reader))
        except TimeoutError as error:
            answered = sum(bool(reader.delays) for reader in readers)
            raise Failed(f"only {answered} of {count} streams began in {_OPEN_WITHIN:.0f} s") from error
        yield readers
    finally:
        for client in opened:
            client.close()
