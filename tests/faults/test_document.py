"""docs/faults.md: each row is held by a test that exists, and names nothing that the proxy does not say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from proxy import errors
from proxy.errors import ProxyError

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
CUTS: list[type[errors.ResponseCut]] = [errors.ResponseCut, *errors.ResponseCut.__subclasses__()]
LOGGED_ONLY = {"response-cut", "idle-timeout"}
"""What a line says of an answer that is cut: no client can be told."""


class Row(NamedTuple):
    """A fault."""

    fault: str
    client: str
    log: str
    advice: str
    tests: str


ROWS = [Row(*line.strip("| ").split(" | ")) for line in re.findall(r"^\| .+ \|$", DOCUMENT, re.MULTILINE)][1:]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)


def all_errors(kind: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    for error in kind.__subclasses__():
        yield error
        yield from all_errors(error)


STATUSES = {error.slug: error.status for error in all_errors()}


def named(text: str) -> list[tuple[int, str]]:
    """The statuses and names in a cell, of answers that are ours."""
    return [(int(status), name) for status, name in re.findall(r"\b(\d{3}) `([a-z-]+)`", text)]


def held_by(row: Row) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.tests)


def source_of(path: str, name: str) -> str:
    """The module, if it has such a test."""
    text = (ROOT / path).read_text(encoding="utf-8")
    functions = [each.name for each in ast.parse(text).body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in functions, f"{path} has no {name}"
    return text


@each_row
def test_a_test_holds_each_row(row: Row) -> None:
    """Its tests exist, and speak of each name that a client or the log is said to see."""
    tests = held_by(row)
    assert tests
    assert row.tests == " ".join(f"`{path}::{name}`" for path, name in tests)
    sources = "\n".join(source_of(path, name) for path, name in tests)
    for _, name in named(row.client) + named(row.log):
        assert f'"{name}"' in sources, name


@each_row
def test_names_and_statuses(row: Row) -> None:
    """They are those of proxy/errors.py; beside a 200 stands the reason for a cut."""
    for status, name in named(row.client):
        assert STATUSES[name] == status
    for status, name in named(row.log):
        assert status == 200
        assert name in LOGGED_ONLY | {errors.Stopping.slug}


def test_names_that_only_the_log_has() -> None:
    """They are those of what cuts an answer."""
    assert {cut.slug for cut in CUTS} == LOGGED_ONLY


def test_every_error_of_the_surroundings_has_a_row() -> None:
    """What a client is told when it is not its own fault, nor a bug's."""
    expected = {slug for slug, status in STATUSES.items() if status in (502, 503, 504)} | {"request-timeout"}
    assert {name for row in ROWS for _, name in named(row.client)} == expected
