"""`benchmarks/run`: compares this proxy with others."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import machine, report
from benchmarks.compare import Comparison, Results, fetched
from benchmarks.loops import run
from benchmarks.measures import MEASURES, Plan
from benchmarks.peers import PEERS
from benchmarks.peers.ours import Ours
from benchmarks.plot import as_svg
from benchmarks.rig import open_rig

_OUT = Path(__file__).parent / "results"
_SMOKE = Plan(seconds=0.2, rounds=1, streams=50, stream_events=1, bulk=1_000_000, shots=2, pause=0.5, repeats=False)

_HELP = """\
Compare this proxy with others, on this machine.

Takes about twenty-five minutes, and wants two cores with nothing else to do. The first run fetches the others into
benchmarks/.cache; one that cannot be had is named as missing. Writes table.md, run.json and plot.svg.
"""


def _chosen(_: click.Context, option: click.Parameter, given: str | None) -> list[str] | None:
    known = {
        "only": [measure.name for measure in MEASURES],
        "peers": list(dict.fromkeys(peer.family() for peer in PEERS)),
    }[str(option.name)]
    if given is None:
        return None
    by_folded = {name.lower(): name for name in known}
    names = [name.strip().lower() for name in given.split(",")]
    if unknown := [name for name in names if name not in by_folded]:
        raise click.BadParameter(f"{', '.join(unknown)}; there are: {', '.join(known)}")
    return [by_folded[name] for name in names]


@click.command(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", callback=_chosen, metavar="MEASURES", help=", ".join(measure.name for measure in MEASURES))
@click.option("--peers", callback=_chosen, metavar="NAMES", help="Only these proxies, such as openrouter-proxy,caddy")
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="Length of a slice under load; others follow from it.")
@click.option("--rounds", type=click.IntRange(1, 20), help="How often each proxy has its turn.")
@click.option("--smoke", is_flag=True, help="A few seconds with this proxy alone, to see that the harness works.")
@click.option(
    "--again", is_flag=True, help="Measure nothing: judge the run in run.json by today's bars, and write anew."
)
@click.option(
    "--beside",
    "others",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="run.json of another whole run, to show what runs differ by. May be repeated.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=_OUT, help="Folder for what it finds.")
def main(
    only: list[str] | None,
    peers: list[str] | None,
    seconds: float | None,
    rounds: int | None,
    smoke: bool,  # noqa: FBT001 - click gives it so
    again: bool,  # noqa: FBT001 - click gives it so
    others: tuple[Path, ...],
    out: Path,
) -> None:
    """Measure, and write down what was found."""
    if again:
        _write(json.loads((out / "run.json").read_text()), others, out)
        return
    plan = _SMOKE if smoke else Plan()
    plan = replace(plan, seconds=seconds or plan.seconds, rounds=rounds or plan.rounds)
    wanted = peers or ([Ours.name] if smoke else [peer.family() for peer in PEERS])
    facts = machine.facts()
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    results = Results()

    ready = fetched([peer for peer in PEERS if peer.family() in wanted], results, _say)
    with open_rig() as rig:
        measures = [measure for measure in MEASURES if only is None or measure.name in only]
        run(Comparison(rig, plan, results, _say).run(ready, measures))

    _write(report.as_json(results, facts, plan, when), others, out)
    if Ours.name in wanted and Ours.name not in results.figures:
        sys.exit(1)


def _write(found: report.Run, others: Sequence[Path], out: Path) -> None:
    run = report.judged_anew(found, [json.loads(other.read_text()) for other in others])
    table = report.as_markdown(run)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(table)
    (out / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    if picture := as_svg(run["figures"]):
        (out / "plot.svg").write_text(picture)
    click.echo(table)
    _say(f"written to {out}")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main(prog_name="benchmarks/run")
