"""One run: every measurement of every proxy, in turns, so that whatever else the machine does hits all of them."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from benchmarks.fetch import Missing
from benchmarks.load import Failed
from benchmarks.measures import Figures, Measure, Needs, Plan, Sample, Subject
from benchmarks.measures.cold import ROUND_TRIP
from benchmarks.peers import Peer
from benchmarks.rig import Rig, Running
from tests.support.relay import Line, Relay

DIRECT = "direct"
DISTANCE = Line(latency=ROUND_TRIP / 2, handshake=ROUND_TRIP)

Say = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """What a run has found. A proxy without a figure has a reason in ``missing`` or in ``failures``."""

    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)  # by proxy and measurement
    seconds: float = 0.0


def fetched(peers: Sequence[type[Peer]], results: Results, say: Say) -> list[Peer]:
    """Those that can be had."""
    ready = []
    for kind in peers:
        peer = kind()
        if peer.family() in results.missing:
            continue
        say(f"fetching {peer.name}")
        try:
            results.versions[peer.name] = peer.fetch()
        except Missing as missing:
            results.missing[peer.name] = str(missing)
        else:
            ready.append(peer)
    return ready


class Comparison:
    """Proxies that have once been started stay up, but are paused while it is not their turn."""

    def __init__(self, rig: Rig, plan: Plan, results: Results, say: Say) -> None:
        self.rig = rig
        self.plan = plan
        self.results = results
        self.say = say
        self._up: dict[Peer, Running] = {}

    async def run(self, peers: Sequence[Peer], measures: Sequence[Measure]) -> None:
        begin = time.monotonic()
        async with AsyncExitStack() as stack:
            wanted = [peer for peer in peers if peer.measured_by & {measure.name for measure in measures}]
            usable = [peer for peer in wanted if await self._comes_up(peer, stack)]
            for measure in measures:
                await self._measure(measure, usable)
        self.results.seconds = time.monotonic() - begin

    async def _comes_up(self, peer: Peer, stack: AsyncExitStack) -> bool:
        self.say(f"starting {peer.name}")
        try:
            running = await stack.enter_async_context(self.rig.started(peer))
            await self.rig.check_stamp(running)
        except (Failed, OSError) as error:
            self.results.missing[peer.name] = str(error)
            return False
        running.process.pause()
        self._up[peer] = running
        return True

    async def _measure(self, measure: Measure, peers: Sequence[Peer]) -> None:
        taking_part = [peer for peer in peers if measure.name in peer.measured_by]
        turns: list[Peer | None] = [*([None] if measure.of_direct else []), *taking_part]
        samples: dict[Peer | None, list[Sample]] = {turn: [] for turn in turns}
        failed: set[Peer | None] = set()
        rounds = min(self.plan.rounds * (measure.repeats if self.plan.repeats else 1), measure.rounds_at_most)
        for number in range(rounds):
            for turn in _rotated(turns, number):
                if turn in failed or (turn and number % turn.in_every):
                    continue
                self.say(f"{measure.name} {number + 1}/{rounds}: {turn.name if turn else DIRECT}")
                try:
                    async with self._subject(measure, turn) as subject:
                        samples[turn].append(await measure.take(subject, self.plan))
                except (Failed, OSError) as error:
                    failed.add(turn)
                    self.results.failures.setdefault(turn.name if turn else DIRECT, {})[measure.name] = str(error)
        for turn in turns:
            if samples[turn] and (samples.get(None) or not measure.of_direct):
                name = turn.name if turn else DIRECT
                self.results.samples.setdefault(name, {})[measure.name] = samples[turn]
                figures = measure.figures(samples[turn], samples.get(None, []))
                self.results.figures.setdefault(name, {}).update(figures)

    @asynccontextmanager
    async def _subject(self, measure: Measure, peer: Peer | None) -> AsyncIterator[Subject]:
        async with AsyncExitStack() as stack:
            port = self.rig.upstream_port
            if measure.needs is Needs.DISTANT:
                port = (await stack.enter_async_context(Relay(port, lambda n: DISTANCE))).port
            if peer is None:
                yield Subject(self.rig.direct(port), None)
                return
            if measure.needs is Needs.ANY:
                running = self._up[peer]
                stack.enter_context(_awake(running))
            else:
                started = self.rig.started(peer, port, on_all_cores=measure.needs is Needs.ALL_CORES)
                running = await stack.enter_async_context(started)
            yield Subject(running.target, running.process, running.start_seconds)


@contextmanager
def _awake(running: Running) -> Iterator[None]:
    running.process.resume()
    try:
        yield
    finally:
        running.process.pause()


def _rotated(turns: Sequence[Peer | None], number: int) -> list[Peer | None]:
    """Another one begins in each round."""
    first = number % len(turns)
    return [*turns[first:], *turns[:first]]
