"""The automation of the repository: what an attacker could do with the workflows, and whether they run what we run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.proxies import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


@pytest.mark.integration
def test_zizmor_finds_nothing() -> None:
    """Neither in the workflows nor in the configuration of Dependabot; what needs the network is left out."""
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--persona", "pedantic", str(GITHUB)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned(workflow: Path) -> None:
    """By the hash of a commit, with the version beside it: a tag can be moved."""
    uses = re.findall(r"uses: (\S+)(.*)", workflow.read_text(encoding="utf-8"))
    assert all(re.search(r"@[0-9a-f]{40}$", action) and re.fullmatch(r" # v\S+", version) for action, version in uses)


def test_the_workflow_runs_what_a_checkout_runs() -> None:
    """`.ci/run`, on the oldest and the newest Python that are supported, and on Debian's."""
    text = (GITHUB / "workflows/ci.yml").read_text(encoding="utf-8")
    assert "run: .ci/run" in text
    for python in ("3.11", "3.13", "3.14", "debian:12"):
        assert python in text


def test_new_versions_wait() -> None:
    """Every ecosystem of Dependabot has a cooldown."""
    text = (GITHUB / "dependabot.yml").read_text(encoding="utf-8")
    assert text.count("package-ecosystem:") == text.count("cooldown:") == 3
