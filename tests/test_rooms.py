"""The import rule between the rooms of the house."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[1]


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the import linter says about the package in ``folder``, by this project's contracts."""
    program = Path(sys.executable).parent / "lint-imports"
    arguments = [str(program), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    environment = {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "proxy", tmp_path / "proxy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_as_it_is(copied: Path) -> None:
    """Rooms import downwards only."""
    result = checked(copied)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("headers", "observe.record"),  # the ground, from above it
        ("openrouter/api", "settings.model"),
        ("settings/validators", "middleware.management"),
        ("middleware/guard", "upstream.trust"),  # beside it
        ("upstream/pool", "server.server"),
        ("middleware/errors", "forward.forwarder"),
        ("forward/upload", "app"),
        ("app", "imitation"),  # which only commands may use
        ("imitation/app", "headers"),
    ],
)
def test_a_forbidden_import(copied: Path, module: str, imported: str) -> None:
    """An import upwards, sideways or of the imitation makes the check fail, and is named."""
    source = copied / "proxy" / f"{module}.py"
    source.write_text(source.read_text(encoding="utf-8") + f"\nimport proxy.{imported}\n", encoding="utf-8")
    result = checked(copied)
    assert result.returncode == 1
    assert f"proxy.{module.replace('/', '.')} ->" in result.stdout


def test_a_new_room(copied: Path) -> None:
    """A room that has no place in the rule makes the check fail."""
    room = copied / "proxy" / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""A new room."""\n', encoding="utf-8")
    result = checked(copied)
    assert result.returncode == 1
    assert "attic" in result.stdout
