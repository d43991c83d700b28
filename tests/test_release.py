"""What is published: the same bytes whoever builds them, and a wheel that runs where there is nothing else."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker

from proxy import __version__
from tests.support.proxies import ROOT

WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text()
JOBS = yaml.safe_load(WORKFLOW)["jobs"]

needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")


def build(copy: Path, out: Path) -> dict[str, str]:
    """Builds what is published, and returns the digest of each file."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1780000000"}
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.iterdir()}


def sources() -> list[Path]:
    """What a build takes, of the working tree: not only of the last commit."""
    return [
        ROOT / name
        for name in ("proxy", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "config.example.env")
    ]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two copies, in other places, with other times and other modes than the first."""
    made = []
    for name, mode in (("one", 0o644), ("another place", 0o600)):
        copy = tmp_path_factory.mktemp("copies") / name
        copy.mkdir()
        for source in sources():
            if source.is_dir():
                shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        for file in copy.rglob("*"):
            if file.is_file():
                file.chmod(mode)
                os.utime(file, (mode * 1_000_000, mode * 1_000_000))
        made.append(copy)
    return made[0], made[1]


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_two_builds_are_the_same_byte_for_byte(copies: tuple[Path, Path], tmp_path: Path) -> None:
    """Wherever, whenever and by whomever the files were written."""
    one, another = (build(copy, tmp_path / copy.name) for copy in copies)
    assert len(one) == 2
    assert one == another


@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.skipif(not importlib.util.find_spec("ensurepip"), reason="this Python comes without pip")
def test_the_wheel_runs_in_a_bare_environment(copies: tuple[Path, Path], tmp_path: Path) -> None:
    """With the locked packages and nothing else, from a foreign folder: the demo proves itself."""
    build(copies[0], tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=True)
    pip = [str(bare / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True, cwd=tmp_path)
    (site,) = bare.glob("lib/python3*/site-packages")
    for name in locked():
        packed = distribution(name)
        for file in packed.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(packed.locate_file(file)), site / file)
    subprocess.run([*pip, "check"], check=True, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = str(bare / "bin/openrouter-proxy")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(elsewhere)}
    ran = subprocess.run(
        [command, "demo", "--once"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("\nok  ") >= 4
    assert "FAILED" not in ran.stdout
    shown = subprocess.run(
        [command, "--version"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[-1] == __version__


def locked() -> list[str]:
    """The packages that the proxy runs with here."""
    pins = re.findall(r"^([\w.-]+)==[\w.]+(?: ; ([^\\\n]+))?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return [name for name, marker in pins if not marker or Marker(marker).evaluate()]


def test_the_version_stands_in_one_place() -> None:
    """In the package; the examples for Kubernetes name the same image."""
    for file in (ROOT / "deploy/kubernetes").rglob("kustomization.yaml"):
        for tag in re.findall(r"newTag: (\S+)", file.read_text()):
            assert tag == __version__
    assert "version = " not in re.sub(
        r"(minversion|python_version|target-version) = .*", "", (ROOT / "pyproject.toml").read_text()
    )


def test_the_workflow_uses_nothing_that_can_be_exchanged() -> None:
    """Each action by its commit; each job with the rights that it needs, and no secret of ours."""
    uses = re.findall(r"uses: (.*)", WORKFLOW)
    assert len(uses) > 5
    for use in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use
    assert "permissions: {}\n" in WORKFLOW
    assert set(re.findall(r"secrets\.(\w+)", WORKFLOW)) <= {"GITHUB_TOKEN"}
    for name, job in JOBS.items():
        assert "permissions" in job, name
    assert JOBS["pypi"]["permissions"] == {"id-token": "write"}  # trusted publishing, and nothing else
    assert "password" not in str(JOBS["pypi"])


def test_nothing_is_published_that_was_not_tested() -> None:
    for name in ("pypi", "image", "github"):
        assert "test" in JOBS[name]["needs"], name
    tested = JOBS["test"]["strategy"]["matrix"]["python"]
    assert tested == re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())


@pytest.mark.integration
@needs_git
def test_a_slip_is_no_release() -> None:
    ran = subprocess.run([ROOT / "scripts/release", "--dryrun"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "usage: scripts/release [--dry-run]\n")
