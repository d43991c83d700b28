"""The scripts of a checkout, run by a bare shell: with the tools that every system has, and Python."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.proxies import ROOT

TOOLS = ["cat", "cmp", "cp", "dirname", "mkdir", "rm", "sh"]

# A project in one file that builds itself, so that a setup needs no network: its command prints its arguments and ends
# with 7. What setup does with it is what it does with this project, but for the packages.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''
import zipfile

def build_editable(directory, settings=None, metadata=None):
    """One module and one command."""
    with zipfile.ZipFile(f"{directory}/tiny-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "import sys\\ndef main():\\n    print(*sys.argv[1:], sep='|')\\n    return 7")
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/entry_points.txt", "[console_scripts]\\nopenrouter-proxy = tiny:main\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return "tiny-1-py3-none-any.whl"
'''
LOCKS = ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for POSIX shells")
needs_pip = pytest.mark.skipif(not importlib.util.find_spec("ensurepip"), reason="this Python comes without pip")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH without Python and uv; no network for pip."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} here"))
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture
def with_python(environment: dict[str, str]) -> dict[str, str]:
    """And with the Python that runs this test, outside its virtual environment."""
    return {**environment, "PYTHON": str(Path(sys.executable).resolve())}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts, in a directory with a blank in its name, around a project that needs no network."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "proxy").mkdir()
    (root / "proxy/__init__.py").touch()
    for lock in LOCKS:
        (root / lock).write_text("# nothing\n")
    return root


def start(script: Path, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [str(script), *arguments]
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def run(script: Path, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with start(script, *arguments, environment=environment) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def first_line_of_a_killed_setup(root: Path, environment: dict[str, str]) -> str:
    with start(root / "scripts/setup", environment=environment) as killed:
        assert killed.stderr
        line = killed.stderr.readline()
        os.killpg(killed.pid, signal.SIGKILL)
    return line


@pytest.mark.integration
def test_no_python(checkout: Path, environment: dict[str, str]) -> None:
    """The message says what to install, for each system, and nothing is left behind."""
    result = run(checkout / "scripts/serve", environment=environment)
    assert result.returncode == 1
    assert "no Python 3.11 or later was found" in result.stderr
    assert "sudo apt install python3 python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.integration
def test_a_python_that_does_not_run(checkout: Path, environment: dict[str, str]) -> None:
    """A version manager's shim for a version that is not there is passed over; one that was asked for is refused."""
    broken = Path(environment["PATH"]) / "python3.13"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert "no Python 3.11" in run(checkout / "scripts/setup", environment=environment).stderr
    result = run(checkout / "scripts/setup", environment={**environment, "PYTHON": "python3.13"})
    assert result.returncode == 1
    assert "PYTHON=python3.13 does not run, or is older than 3.11" in result.stderr


@pytest.mark.integration
def test_a_python_without_pip(checkout: Path, environment: dict[str, str]) -> None:
    """Debian's python3 without python3-venv: the message names the package."""
    debian = Path(environment["PATH"]) / "python3"
    debian.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    debian.chmod(0o755)
    result = run(checkout / "scripts/setup", environment=environment)
    assert result.returncode == 1
    assert "python3 comes without venv and pip" in result.stderr
    assert "sudo apt install python3-venv" in result.stderr


@pytest.mark.integration
def test_an_unknown_argument(checkout: Path, environment: dict[str, str]) -> None:
    """A slip is no setup."""
    result = run(checkout / "scripts/setup", "--dve", environment=environment)
    assert (result.returncode, result.stderr) == (2, "usage: scripts/setup [--dev]\n")


@pytest.mark.integration
@needs_pip
@pytest.mark.timeout(180)  # making a virtual environment takes seconds even on an idle machine
@pytest.mark.slow
def test_serve_makes_what_is_missing_once(checkout: Path, with_python: dict[str, str]) -> None:
    """The first run says what it does; later ones only serve. Arguments and exit code pass."""
    with_python["PYTHONDONTWRITEBYTECODE"] = "1"
    first = run(checkout / "scripts/serve", "demo", "--title", "My App", environment=with_python)
    assert (first.returncode, first.stdout) == (7, "demo|--title|My App\n")
    assert first.stderr.startswith("Making .venv with Python 3.")
    assert list((checkout / "proxy/__pycache__").glob("__init__.*.pyc"))  # else each start would compile it
    second = run(checkout / "scripts/serve", "check", environment=with_python)
    assert (second.returncode, second.stdout, second.stderr) == (7, "check\n", "")

    assert run(checkout / "scripts/setup", "--dev", environment=with_python).stderr == "Updating .venv ...\n"
    for arguments in [], ["--dev"]:
        assert run(checkout / "scripts/setup", *arguments, environment=with_python).stderr == ""

    (checkout / "pyproject.toml").write_text(f"{PYPROJECT}# changed\n")
    assert run(checkout / "scripts/setup", environment=with_python).stderr == "Updating .venv ...\n"


@pytest.mark.integration
@needs_pip
@pytest.mark.timeout(180)  # making a virtual environment takes seconds even on an idle machine
@pytest.mark.slow
def test_setup_makes_afresh_what_no_longer_fits(checkout: Path, with_python: dict[str, str]) -> None:
    """A checkout that was moved, a lock that has changed, a Python that is gone."""
    run(checkout / "scripts/setup", environment=with_python)
    moved = checkout.rename(checkout.with_name("moved"))
    result = run(moved / "scripts/serve", "x", environment=with_python)
    assert (result.returncode, result.stdout) == (7, "x\n")
    assert result.stderr.startswith("Making .venv")

    lock = moved / "requirements.lock"
    lock.write_text("# something else\n")
    assert first_line_of_a_killed_setup(moved, with_python).startswith("Making .venv")
    lock.write_text("# nothing\n")
    (moved / ".venv/bin/python").unlink()
    assert first_line_of_a_killed_setup(moved, with_python).startswith("Making .venv")


@pytest.mark.integration
@needs_pip
@pytest.mark.timeout(180)  # making a virtual environment takes seconds even on an idle machine
@pytest.mark.slow
def test_setup_after_a_killed_one_and_beside_another(checkout: Path, with_python: dict[str, str]) -> None:
    """One makes .venv from what the killed one left, the other waits for it; both serve."""
    first_line_of_a_killed_setup(checkout, with_python)
    both = [start(checkout / "scripts/serve", "x", environment=with_python) for _ in range(2)]
    outputs = [each.communicate() for each in both]
    assert [each.returncode for each in both] == [7, 7]
    assert [out for out, _ in outputs] == ["x\n", "x\n"]
    assert "".join(err for _, err in outputs).count("Making .venv") == 1
