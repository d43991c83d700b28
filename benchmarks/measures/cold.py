"""The first byte of an answer for a tool that has just been started, with the upstream 40 ms away."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from benchmarks.load import Client, Failed, Target
from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject, pooled

ROUND_TRIP = 0.040  # seconds
AT_REST = 1.0  # seconds after the start of the proxy
_BETWEEN = 0.1
_WITHIN = 10.0


class Cold(Measure):
    """TCP, TLS where there is any, request: each shot is a client that knows nothing of the ones before."""

    name = "cold"
    needs = Needs.DISTANT
    rounds_at_most = 1

    async def take(self, subject: Subject, plan: Plan) -> Sample:
        await asyncio.sleep(AT_REST)
        shots = []
        for _ in range(plan.shots):
            shots.append(1000 * await first_byte(subject.target))
            await asyncio.sleep(_BETWEEN)
        return {"first_byte_ms": shots}

    def figures(self, samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
        through = pooled(samples, "first_byte_ms")
        median, without = statistics.median(through), statistics.median(pooled(direct, "first_byte_ms"))
        return {
            "cold_ms": median,
            "cold_share": median / without,
            "cold_first_ms": through[0],
            "cold_first_share": through[0] / without,
        }


async def first_byte(target: Target) -> float:
    """Seconds from nothing to the first byte of an answer. Raises `Failed` if none comes."""
    heard = asyncio.Event()
    request = target.request("answer")
    started_at = time.perf_counter()
    client = await Client.open(target)
    client.on_piece = lambda piece: heard.set()
    client.on_lost = lambda client: heard.set()
    client.wire.write(request)
    try:
        async with asyncio.timeout(_WITHIN):
            await heard.wait()
    except TimeoutError as error:
        raise Failed(f"no answer within {_WITHIN:.0f} s") from error
    finally:
        client.close()
    return time.perf_counter() - started_at
