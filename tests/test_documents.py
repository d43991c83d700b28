"""docs/wire.md promises nothing that no test holds, leaves out none of the promises, and says where each lives."""

import ast
import re
from functools import cache

import pytest

from benchmarks.strictness import rows
from benchmarks.strictness.groups import group_of
from tests.support.proxies import ROOT

DOCUMENT = (ROOT / "docs/wire.md").read_text(encoding="utf-8")
PROMISES = dict(re.findall(r"^\| (\d+) \| (.+) \|$", DOCUMENT, re.MULTILINE))
NOT_CARRIED = re.findall(r"^\| (.+) \|$", DOCUMENT.partition("## What is not carried")[2], re.MULTILINE)[2:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@cache
def collected_in(path: str) -> set[str]:
    """The names of the tests that pytest collects there."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    bodies = [module.body, *(node.body for node in module.body if isinstance(node, ast.ClassDef))]
    nodes = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name for node in nodes if node.name.startswith("test")}


def test_all_promises_are_there_in_order() -> None:
    assert list(PROMISES) == [str(number) for number in range(1, 39)]


@pytest.mark.parametrize("number", PROMISES)
def test_each_promise_names_its_tests(number: str) -> None:
    """Those in the file of its number, if it has one, and whatever else holds it."""
    text, _, held_by = PROMISES[number].rpartition(" | ")
    assert re.match(r"\*\*.+\*\*", text)
    named = [path for path, _ in NAMED.findall(held_by)]
    assert named
    own = {str(path.relative_to(ROOT)) for path in ROOT.glob(f"tests/wire/test_promise_{int(number):02}_*.py")}
    assert own <= set(named)


@pytest.mark.parametrize("number", PROMISES)
def test_each_promise_names_where_it_lives(number: str) -> None:
    """One to four modules, all of which exist."""
    cells = PROMISES[number].split(" | ")
    assert len(cells) == 3
    modules = re.findall(r"`(proxy/[\w/]+\.py)`", cells[1])
    assert 1 <= len(modules) <= 4
    assert cells[1] == " ".join(f"`{module}`" for module in modules)
    assert [module for module in modules if not (ROOT / module).is_file()] == []


def test_each_rule_belongs_to_a_promise() -> None:
    """No module of the middleware or of the pages is without a promise, but for what runs the rules and records."""
    files = {
        str(path.relative_to(ROOT)) for room in ("middleware", "pages") for path in (ROOT / "proxy" / room).glob("*.py")
    }
    without = {
        f"proxy/{name}.py"
        for name in ("middleware/rules", "middleware/record", "middleware/__init__", "pages/__init__")
    }
    assert {path for path in files - without if f"`{path}`" not in DOCUMENT} == set()


def test_each_file_of_a_promise_is_named() -> None:
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/wire/test_*.py")}
    files -= {"tests/wire/test_uvicorn_pin.py"}  # it is about uvicorn
    assert files <= {path for path, _ in NAMED.findall(DOCUMENT)}


@pytest.mark.parametrize("row", NOT_CARRIED, ids=lambda row: str(row).partition(" | ")[0])
def test_what_is_not_carried_is_seen_in_a_test(row: str) -> None:
    *cells, seen_in = row.split(" | ")
    assert len(cells) == 3
    assert all(cells)
    assert NAMED.search(seen_in)


def test_that_list_is_long() -> None:
    assert len(NOT_CARRIED) > 15


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(DOCUMENT))))
def test_what_is_named_exists(path: str, name: str) -> None:
    assert collected_in(path)
    assert not name or name in collected_in(path)


@pytest.mark.parametrize("document", sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")))
def test_each_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_readme_leads_there() -> None:
    assert "](docs/wire.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_each_row_that_is_compared_has_a_group() -> None:
    """A row that is added to the tables of the tests finds its place in docs/strictness.md when that is made anew."""
    every: list[rows.RequestRow | rows.AnswerRow] = [*rows.requests(), *rows.answers()]
    assert len(every) > 1000
    assert all(group_of(row).title for row in every)
