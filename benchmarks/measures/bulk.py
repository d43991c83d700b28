"""A large body in each direction: how long it takes, and what stays in memory."""

import time
from collections.abc import Iterator, Sequence

from benchmarks import traffic
from benchmarks.load import Client, Failed, Target
from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, medians

_WITHIN = 60.0  # seconds
_PIECE = b"x" * 16384


class Bulk(Measure):
    """In a fresh process, whose memory is compared with what it had after its start."""

    name = "bulk"
    needs = Needs.FRESH
    rounds_at_most = 1

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        before = subject.process.rss() if subject.process else 0
        head = traffic.request_head(subject.target.path, plan.bulk)
        up = await _timed(subject.target, _upload(head, plan.bulk), 0)
        down = await _timed(subject.target, [subject.target.request(f"download{plan.bulk}")], plan.bulk)
        sample: Sample = {"upload_s": [up], "download_s": [down]}
        if subject.process:
            sample["bulk_growth_mb"] = [(subject.process.rss() - before) / 1e6]
        return sample

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        return medians(samples)


async def _timed(target: Target, request: Sequence[bytes] | Iterator[bytes], at_least: int) -> float:
    heard = 0

    def count(piece: bytes) -> None:
        nonlocal heard
        heard += len(piece)

    client = await Client.open(target)
    client.on_piece = count
    started_at = time.perf_counter()
    try:
        status = await client.ask(request, _WITHIN)
    finally:
        client.close()
    if status != 200:
        raise Failed(f"it answers {status}")
    if heard < at_least:
        raise Failed(f"only {heard:,} bytes of {at_least:,} arrived")
    return time.perf_counter() - started_at


def _upload(head: bytes, length: int) -> Iterator[bytes]:
    yield head + traffic.UPLOAD_START
    left = length - len(traffic.UPLOAD_START) - len(traffic.UPLOAD_END)
    while left:
        piece = _PIECE[:left]
        left -= len(piece)
        yield piece
    yield traffic.UPLOAD_END
