"""docs/architecture.md and its neighbours name what there is in the code, and leave out no room."""

import re
from pathlib import Path

import pytest

from tests.support.proxies import ROOT

ARCHITECTURE = ROOT / "docs/architecture.md"
PAGES = [ARCHITECTURE, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs/decisions").glob("*.md"))]
NAMED = re.compile(r"`([\w./-]+\.(?:py|md|toml|env))(?:::(\w+))?`")


def place_of(name: str) -> Path | None:
    """The file that is meant: within the project, or within proxy/."""
    return next((path for path in (ROOT / name, ROOT / "proxy" / name) if path.is_file()), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_exists(page: Path) -> None:
    """Every file, and every test in one."""
    for name, test in NAMED.findall(page.read_text(encoding="utf-8")):
        place = place_of(name)
        assert place is not None, name
        assert not test or f"def {test}(" in place.read_text(encoding="utf-8"), test


def test_each_room_is_on_the_map() -> None:
    """The table of rooms has a row for every folder of the package."""
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Rooms\n")[2].partition("\n## ")[0]
    rooms = {path.parent.name for path in (ROOT / "proxy").glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}`" not in section} == set()


def test_each_decision_says_why_and_what_would_change_it() -> None:
    """Each record has the same four parts, and stands in the index."""
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    records = [path for path in (ROOT / "docs/decisions").glob("*.md") if path.name != "README.md"]
    assert len(records) >= 5
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) == [
            "Decision",
            "Why",
            "What it costs",
            "What would change it",
        ]
        assert f"]({record.name})" in index
