"""The harness of the benchmarks works, and docs/performance.md claims no figure that is not in the committed run."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from benchmarks import commands, launch
from benchmarks.__main__ import main
from benchmarks.bars import BARS
from benchmarks.growth import as_markdown as growth_table
from benchmarks.growth_plot import as_svg as growth_picture
from benchmarks.measures import MEASURES
from benchmarks.peers import PEERS
from benchmarks.peers.caddy import Caddy, CaddyWithLog
from benchmarks.peers.ours import Ours, OursTwice, OursWithLog
from benchmarks.report import as_markdown, as_summary, judged_anew
from tests.support.proxies import ROOT

RESULTS = ROOT / "benchmarks/results"


@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_smoke_run(tmp_path: Path) -> None:
    """Every measurement of this proxy gives its figures, in seconds; table, JSON and picture are written."""
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["missing"] == {}
    assert run["failures"] == {}
    assert set(run["samples"][Ours.name]) == {measure.name for measure in MEASURES}
    assert set(run["samples"][OursWithLog.name]) == {"cpu"}
    assert set(run["samples"][OursTwice.name]) == {"workers"}
    own = [bar for bar in run["bars"] if "÷ " not in bar["name"] or "without proxy" in bar["name"]]
    assert len(own) > 8
    assert all(bar["value"] is not None for bar in own)
    assert all(bar.name in (tmp_path / "table.md").read_text() for bar in BARS)
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.slow
def test_the_growth_with_streams_can_be_measured(tmp_path: Path) -> None:
    """Each number of open streams gives its costs; table, JSON and picture are written."""
    command = [sys.executable, "-m", "benchmarks.growth", "--alone", "--seconds", "0.5", "--streams", "1,5"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    costs = json.loads((tmp_path / "growth.json").read_text())["costs"][Ours.name]
    assert [sorted(costs[number]) for number in ("1", "5")] == [
        ["event_us", "memory_mb", "request_us", "stream_kb"],
    ] * 2
    assert done.stdout.strip() == (tmp_path / "growth.md").read_text().strip()
    assert ET.parse(tmp_path / "growth.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_the_page_has_the_growth_of_the_committed_measurement() -> None:
    """What docs/performance.md says of many streams is what benchmarks/results has."""
    costs = json.loads((RESULTS / "growth.json").read_text())["costs"]
    table = growth_table(costs)
    assert (RESULTS / "growth.md").read_text() == table
    assert table in (ROOT / "docs/performance.md").read_text(), f"docs/performance.md must have this table:\n{table}"
    assert (RESULTS / "growth.svg").read_text() == growth_picture(costs)


def test_the_page_has_the_figures_of_the_committed_run() -> None:
    """No figure is claimed that the run in benchmarks/results does not have."""
    run = json.loads((RESULTS / "run.json").read_text())
    table = as_summary(run["figures"], run["versions"])
    assert table in (ROOT / "docs/performance.md").read_text(), f"docs/performance.md must have this table:\n{table}"
    assert (RESULTS / "table.md").read_text() == as_markdown(run), "benchmarks/run --again writes it"
    assert (RESULTS / "plot.svg").exists()


def test_every_bar_is_in_the_committed_run() -> None:
    """What was to be reached was measured, and the verdict stands beside it."""
    run = json.loads((RESULTS / "run.json").read_text())
    assert [bar["name"] for bar in run["bars"]] == [bar.name for bar in BARS], "benchmarks/run --again judges it anew"
    assert all(bar["bar"] == pytest.approx(of.bar, abs=1e-4) for bar, of in zip(run["bars"], BARS, strict=True))
    # The committed run may be older than what some bars are made of; then it can say nothing of these.
    newer = set()
    if CaddyWithLog.name not in run["versions"]:
        newer = {
            "CPU for each request ÷ Caddy's, both logs on",
            next(bar.name for bar in BARS if "16 at once after" in bar.name),
        }
    assert {bar["name"] for bar in run["bars"] if bar["verdict"] not in ("met", "missed")} == newer


def test_what_runs_differ_by() -> None:
    """A run that is shown beside others says how far the values of each bar lie apart."""
    run = json.loads((RESULTS / "run.json").read_text())
    figures = {**run["figures"], Ours.name: {**run["figures"][Ours.name], "rss_mb": 60.0}}
    table = as_markdown(judged_anew(run, [{**run, "figures": figures}]))
    assert "| 2 runs differ by |" in table
    rows = {cells[1].strip(): cells[-2].strip() for line in table.splitlines() if len(cells := line.split("|")) > 5}
    assert rows["memory after the start"] == f"{60 - run['figures'][Ours.name]['rss_mb']:.3g} MB"
    assert rows["start to first /healthz"] == "0 s"
    assert judged_anew(run)["bars"] == run["bars"]


def test_a_run_is_judged_anew(tmp_path: Path) -> None:
    """`--again` measures nothing: it makes the committed table of the committed run, or one more column."""
    (tmp_path / "run.json").write_bytes((RESULTS / "run.json").read_bytes())
    again = CliRunner().invoke(main, ["--again", "--out", str(tmp_path)])
    assert again.exit_code == 0, again.output
    for name in ("run.json", "table.md", "plot.svg"):
        assert (tmp_path / name).read_text() == (RESULTS / name).read_text(), name
    beside = CliRunner().invoke(main, ["--again", "--out", str(tmp_path), "--beside", str(RESULTS / "run.json")])
    assert beside.exit_code == 0, beside.output
    assert "| 2 runs differ by |" in (tmp_path / "table.md").read_text()


def test_who_is_measured_by_what() -> None:
    """Each proxy names measures that exist; one with its log, and one with two workers, has the same one without."""
    names = {measure.name for measure in MEASURES}
    assert all(peer.measured_by <= names for peer in PEERS)
    families = {peer.name for peer in PEERS if peer.family() == peer.name}
    assert {peer.family() for peer in PEERS} == families
    assert all(peer.logs == (peer.measured_by == {"cpu"}) for peer in PEERS)
    assert {peer.family() for peer in PEERS if "workers" in peer.measured_by} == {Ours.name, Caddy.name, "nginx"}


@pytest.mark.integration
@pytest.mark.parametrize("name", commands.SHOTS)
def test_the_time_of_a_command_can_be_measured(name: str) -> None:
    """From the start of its process to its answer."""
    shot, _ = commands.SHOTS[name]
    assert 0 < shot() < 60


@pytest.mark.integration
def test_the_start_of_run_can_be_measured() -> None:
    """In turns with a plain start, to the first thing that the command does."""
    plain, launched, cpu = launch.measured(1)
    assert 0 < plain < launched
    assert 0 < cpu <= launched
