"""What is installed beside the proxy, and what it may do unasked."""

import os
import re
import shutil
import subprocess
import sysconfig
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).parents[2]

DATABASE_IS_SILENT = "requests.exceptions.ConnectionError: Max retries exceeded"


def runs_with() -> list[Distribution]:
    """The locked packages that the proxy runs with on this machine."""
    pins = re.findall(r"^([\w.-]+)==[\w.]+(?: ; ([^\\\n]+))?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return [distribution(name) for name, marker in pins if not marker or Marker(marker).evaluate()]


def test_nothing_runs_at_the_start_of_python() -> None:
    """A `.pth` file is code that every Python of an environment runs at its start; so are these two modules."""
    assert len(runs_with()) > 10
    for each in runs_with():
        for file in each.files or []:
            assert file.suffix != ".pth", each.name
            assert file.name not in ("sitecustomize.py", "usercustomize.py"), each.name


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-audit.lock"]
)
def test_every_package_has_its_hash(lock: str) -> None:
    for entry in re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text()):
        if re.match(r"[\w.-]+==", entry):
            assert "--hash=sha256:" in entry, entry


def audit(folder: Path, *arguments: str, tool: str | None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in a folder in which the tools are a shell script, or cannot be installed."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts/audit", folder / "scripts/audit")
    executable(folder / "scripts/setup", "")
    executable(folder / ".venv/bin/python", "exit 1")
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-audit.lock"):
        (folder / lock).write_text("# nothing\n")
    if tool is not None:
        executable(folder / ".venv-audit/bin/pip-audit", tool)
        executable(folder / ".venv-audit/bin/python", 'echo "{}" "$@"')
        (folder / ".venv-audit/lock").write_text("# nothing\n")
    return subprocess.run(
        [folder / "scripts/audit", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def executable(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.integration
def test_no_vulnerability(tmp_path: Path) -> None:
    ran = audit(tmp_path, tool="echo 'No known vulnerabilities found'")
    assert (ran.returncode, ran.stdout.count("No known vulnerabilities")) == (0, 2)


@pytest.mark.integration
def test_a_vulnerability_is_told_and_fails(tmp_path: Path) -> None:
    ran = audit(tmp_path, tool="echo 'Found 1 known vulnerability'; exit 1")
    assert (ran.returncode, ran.stdout.count("Found 1")) == (1, 2)


@pytest.mark.integration
@pytest.mark.parametrize("tool", [None, f"echo '{DATABASE_IS_SILENT}' >&2; exit 1"], ids=["no tools", "no database"])
def test_offline_it_says_so(tmp_path: Path, tool: str | None) -> None:
    ran = audit(tmp_path, tool=tool)
    assert ran.returncode == 0
    assert ran.stderr.splitlines()[-1].startswith("scripts/audit: offline, so nothing was audited: ")
    assert not ran.stdout


@pytest.mark.integration
@pytest.mark.parametrize("tool", [None, f"echo '{DATABASE_IS_SILENT}' >&2; exit 1"], ids=["no tools", "no database"])
def test_offline_it_fails_in_ci(tmp_path: Path, tool: str | None) -> None:
    """Where nobody reads what it says, an audit that did not take place is no success."""
    ran = audit(tmp_path, tool=tool, CI="true")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("scripts/audit: offline, so nothing was audited: ")


def test_only_wheels_are_installed() -> None:
    """The hash of a source archive says nothing of what its build fetches and runs."""
    for path in ("scripts/setup", "Dockerfile", "scripts/audit"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if "--require-hashes" in line and "install" in line:
                assert "--only-binary :all:" in line or "--no-build " in line, (path, line)


def test_setup_leaves_no_hook_of_setuptools() -> None:
    """A `.pth` file runs at the start of every Python of the environment; what builds this project brings one."""
    site = Path(sysconfig.get_path("purelib"))
    if not (ROOT / ".venv/.setup").is_dir() or not site.is_relative_to(ROOT):
        pytest.skip("not made by scripts/setup")
    assert not list(site.glob("distutils*.pth"))


@pytest.mark.integration
def test_the_list_of_what_is_inside(tmp_path: Path) -> None:
    ran = audit(tmp_path, "--sbom", tool="exit 1")
    assert ran.returncode == 0
    assert ran.stdout.startswith("{}")
    assert "requirements.lock" in ran.stdout


@pytest.mark.integration
def test_wrong_usage(tmp_path: Path) -> None:
    assert audit(tmp_path, "--no", tool=None).returncode == 2
