"""What is installed, and from where: the locks, the wheel, the workflow."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from proxy import __version__
from tests.support.proxies import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES: list[str] = PROJECT["project"]["dependencies"]
BUILD: list[str] = PROJECT["dependency-groups"]["build"]
DEV = [each for each in PROJECT["dependency-groups"]["dev"] if isinstance(each, str)]
LOCKS = {
    "requirements.lock": DEPENDENCIES,
    "requirements-build.lock": BUILD,
    "requirements-dev.lock": [*DEPENDENCIES, *BUILD, *DEV],
}


def locked(name: str) -> dict[str, Requirement]:
    """The requirements of a lock, by name."""
    text = (ROOT / name).read_text().replace("\\\n", "")
    lines = [line.partition("--hash")[0] for line in text.splitlines() if line[:1] not in ("#", " ", "")]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def version(requirement: Requirement) -> str:
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    """`scripts/lock` was run after the last change of a dependency."""
    pins = locked(lock)
    for wanted in map(Requirement, LOCKS[lock]):
        assert wanted.specifier.contains(version(pins[canonicalize_name(wanted.name)])), f"run scripts/lock: {wanted}"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_versions_and_hashes_and_no_place(lock: str) -> None:
    """Each line is a pin, a hash or a comment; where packages come from is the user's own configuration."""
    text = (ROOT / lock).read_text()
    for line in text.splitlines():
        assert re.fullmatch(
            r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[0-9.]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
            r"|\s*#[^/:]*|#    scripts/lock"
            r"|    #   (via )?openrouter-attribution-proxy \(pyproject\.toml(:[a-z]+)?\)"
            r"|    # via openrouter-attribution-proxy \(pyproject\.toml(:[a-z]+)?\)|# This file .* command:",
            line,
        ), line
    assert len(re.findall(r" \\\n    --hash", text)) >= len(locked(lock))


def test_the_locks_agree() -> None:
    """What is tested is what is run: the same versions in all three."""
    everything = {name: version(pin) for name, pin in locked("requirements-dev.lock").items()}
    for lock in LOCKS:
        assert {name: version(pin) for name, pin in locked(lock).items()}.items() <= everything.items()


def test_every_import_is_a_declared_dependency() -> None:
    """Nothing is imported that is only there because something else needs it."""
    declared = {canonicalize_name(Requirement(each).name) for each in DEPENDENCIES}
    distributions = packages_distributions()
    for path in (ROOT / "proxy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules = [each.name for each in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"proxy"}:
                assert declared & {canonicalize_name(each) for each in distributions[top]}, f"{path}: {top}"


@pytest.mark.integration
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Nothing of the tests or of this checkout is installed; types, the API's table, the page and the command are."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.whl")
    assert path.name == f"openrouter_attribution_proxy-{__version__}-py3-none-any.whl"
    info = f"openrouter_attribution_proxy-{__version__}.dist-info"
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        scripts = wheel.read(f"{info}/entry_points.txt").decode()
    assert {name.partition("/")[0] for name in names} == {"proxy", info}
    page = {f"proxy/pages/live/static/{path.name}" for path in (ROOT / "proxy/pages/live/static").iterdir()}
    data = {"proxy/py.typed", "proxy/openrouter/endpoints.tsv", *page}
    assert {name for name in names if name.startswith("proxy/") and not name.endswith(".py")} == data
    assert data | {"proxy/__main__.py", f"{info}/licenses/LICENSE"} <= names
    assert "openrouter-proxy = proxy.__main__:main" in scripts


def test_the_workflow_tests_every_python_that_the_project_names() -> None:
    """With actions that nobody can exchange, and no right but to read."""
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert re.findall(r'"(.*?)"', matrix) == classifiers
    for use in re.findall(r"uses: (.*)", workflow):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)
    assert "permissions:\n  contents: read\n" in workflow
    assert "write" not in workflow
