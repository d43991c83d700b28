"""How cost grows with the number of open streams: ``python -m benchmarks.growth`` (five minutes, two idle cores).

Whatever the number, all streams together bring a thousand events a second, so that only their number differs. For each
number a fresh process opens them, relays their events alone, and then requests beside them. Writes growth.json,
growth.md and growth.svg.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks import machine
from benchmarks.compare import Results, fetched
from benchmarks.growth_plot import as_svg
from benchmarks.load import ClosedLoop, EventReader, Failed
from benchmarks.loops import run
from benchmarks.measures.streams import open_streams
from benchmarks.peers import Peer
from benchmarks.peers.caddy import Caddy
from benchmarks.peers.ours import Ours
from benchmarks.rig import Rig, Running, open_rig

STREAMS = (1, 10, 100, 1000, 4000)
_EVENTS = 1000  # a second, of all streams together
_REQUESTS_AT_ONCE = 8
_SETTLES_WITHIN = 1.0  # seconds
_OUT = Path(__file__).parent / "results"

Costs = dict[str, float]
"""``event_us``, ``request_us``, ``stream_kb`` and ``memory_mb`` at one number of streams."""


async def costs(running: Running, streams: int, seconds: float) -> Costs:
    """What a process that has just been started pays. Raises `Failed` if a stream got lost."""
    process = running.process
    async with ClosedLoop.open(running.target, "answer", _REQUESTS_AT_ONCE) as loop:
        await loop.run(0.3)  # what is set up once is no stream's cost
    before = process.rss()
    model = f"events{streams * 1000 // _EVENTS}"
    async with open_streams(running.target, model, streams) as readers:
        await asyncio.sleep(_SETTLES_WITHIN)
        grown = process.rss() - before
        spent, events, _ = await _spent(running, readers, seconds, requests=False)
        event = spent / events
        spent, events, answers = await _spent(running, readers, seconds, requests=True)
        memory = process.rss()
        if any(not reader.delays for reader in readers):
            raise Failed("a stream was lost")
    return {
        "event_us": event * 1e6,
        "request_us": (spent - events * event) / answers * 1e6,
        "stream_kb": grown / streams / 1000,
        "memory_mb": memory / 1e6,
    }


async def _spent(
    running: Running, readers: Sequence[EventReader], seconds: float, *, requests: bool
) -> tuple[float, int, int]:
    """CPU seconds of the proxy, events and answers in so many ``seconds``."""
    heard, spent = sum(len(each.delays) for each in readers), running.process.cpu_seconds()
    answers = 0
    if requests:
        async with ClosedLoop.open(running.target, "answer", _REQUESTS_AT_ONCE) as loop:
            answers = (await loop.run(seconds)).answers
    else:
        await asyncio.sleep(seconds)
    spent = running.process.cpu_seconds() - spent
    return spent, sum(len(each.delays) for each in readers) - heard, answers


async def grown(rig: Rig, peer: Peer, seconds: float, streams: Sequence[int]) -> dict[str, Costs]:
    """What a proxy pays at each number of streams."""
    found = {}
    for number in streams:
        _say(f"{peer.name}: {number:,} streams")
        async with rig.started(peer) as running:
            found[str(number)] = await costs(running, number, seconds)
    return found


def as_markdown(found: Mapping[str, Mapping[str, Costs]]) -> str:
    """A table: a line for each proxy and number of streams."""
    lines = [
        "| proxy | open streams | CPU for a request | CPU for an event | memory for a stream | memory of the process |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, by_number in found.items():
        for number, paid in by_number.items():
            # Below a hundred streams, what one takes is lost in the pages of the process.
            stream = f"{paid['stream_kb']:.0f} kB" if int(number) >= 100 else ""
            lines.append(
                f"| {name} | {int(number):,} | {paid['request_us']:.0f} µs | {paid['event_us']:.0f} µs | {stream} "
                f"| {paid['memory_mb']:.0f} MB |"
            )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=10.0, help="Length of each part.")
@click.option("--streams", default=",".join(map(str, STREAMS)), help="Numbers of open streams.", show_default=True)
@click.option("--alone", is_flag=True, help="Without Caddy beside it.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=_OUT, help="Folder for what it finds.")
def main(seconds: float, streams: str, alone: bool, out: Path) -> None:  # noqa: FBT001 - click gives it so
    """Measure, and write down what was found."""
    numbers = [int(number) for number in streams.split(",")]
    facts, results = machine.facts(), Results()
    found: dict[str, dict[str, Costs]] = {}
    with open_rig() as rig:
        for peer in fetched([Ours] if alone else [Ours, Caddy], results, _say):
            try:
                found[peer.name] = run(grown(rig, peer, seconds, numbers))
            except (Failed, OSError) as error:
                _say(f"{peer.name}: {error}")
    out.mkdir(parents=True, exist_ok=True)
    kept = {"facts": facts, "versions": results.versions, "seconds": seconds, "costs": found}
    (out / "growth.json").write_text(json.dumps(kept, indent=1) + "\n")
    (out / "growth.md").write_text(as_markdown(found))
    (out / "growth.svg").write_text(as_svg(found))
    click.echo(as_markdown(found))
    if Ours.name not in found:
        sys.exit(1)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.growth")
