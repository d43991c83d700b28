"""The scanner that reads the whole suite's output finds what it is there for."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.canaries import leaks
from tests.support.secrets import KEY, OWN_KEY, PLACEHOLDER, TOKEN

ROOT = Path(__file__).parents[2]

PLANTED = f"""
import logging, os, subprocess, sys
import pytest

def test_stdout(): print("Authorization: Bearer {KEY}")
def test_stderr(): print("{TOKEN}", file=sys.stderr)
def test_process(): subprocess.run([sys.executable, "-c", "print('{OWN_KEY}')"], check=True)
def test_log(): logging.getLogger("any").warning("{KEY}")
def test_debug_log():
    logging.getLogger("proxy").setLevel(logging.DEBUG)
    logging.getLogger("proxy").debug("%s", "{KEY}")
def test_facts(): logging.getLogger("proxy").warning("x", extra={{"facts": {{"a": "{KEY}"}}}})

@pytest.fixture
def leaking():
    yield
    print("{PLACEHOLDER}")

def test_teardown(leaking): pass
def test_clean(): print("sk-or-demo", "nothing here")
"""


@pytest.mark.integration
def test_what_is_planted_is_found(tmp_path: Path) -> None:
    """Promise 28: a secret in what a test prints, logs or lets a process print fails that test."""
    (tmp_path / "test_planted.py").write_text(PLANTED)
    arguments = [
        "-p",
        "tests.support.canaries",
        "-p",
        "no:cacheprovider",
        "-c",
        "none.ini",
        "-q",
        "-rA",
        "test_planted.py",
    ]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = [
        line.split()[0] for line in ran.stdout.splitlines() if line.split()[:1] in (["PASSED"], ["FAILED"], ["ERROR"])
    ]
    # `test_teardown` passes and then errs.
    assert sorted(outcomes) == ["ERROR", *["FAILED"] * 6, "PASSED", "PASSED"], ran.stdout


@pytest.mark.parametrize("secret", [KEY, OWN_KEY, TOKEN, PLACEHOLDER, "sk-or-v1-canary"])
def test_every_made_up_secret_is_one(secret: str) -> None:
    assert leaks(f"a\nb {secret} c\nd") == [f"b {secret} c"]
