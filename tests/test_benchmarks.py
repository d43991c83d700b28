"""The harness of the benchmarks works, and docs/performance.md claims no figure that is not in the committed run."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import launch
from benchmarks.bars import BARS
from benchmarks.measures import MEASURES
from benchmarks.peers.ours import Ours
from benchmarks.report import as_summary
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
    own = [bar for bar in run["bars"] if "÷ " not in bar["name"] or "without proxy" in bar["name"]]
    assert len(own) > 8
    assert all(bar["value"] is not None for bar in own)
    assert all(bar.name in (tmp_path / "table.md").read_text() for bar in BARS)
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_the_page_has_the_figures_of_the_committed_run() -> None:
    """No figure is claimed that the run in benchmarks/results does not have."""
    run = json.loads((RESULTS / "run.json").read_text())
    table = as_summary(run["figures"], run["versions"])
    assert table in (ROOT / "docs/performance.md").read_text(), f"docs/performance.md must have this table:\n{table}"
    assert (RESULTS / "table.md").exists()
    assert (RESULTS / "plot.svg").exists()


def test_every_bar_is_in_the_committed_run() -> None:
    """What was to be reached was measured, and the verdict stands beside it."""
    run = json.loads((RESULTS / "run.json").read_text())
    assert [bar["name"] for bar in run["bars"]] == [bar.name for bar in BARS]
    assert all(bar["verdict"] in ("met", "missed") for bar in run["bars"])


@pytest.mark.integration
def test_the_start_of_run_can_be_measured() -> None:
    """In turns with a plain start, to the first thing that the command does."""
    plain, launched, cpu = launch.measured(1)
    assert 0 < plain < launched
    assert 0 < cpu <= launched
