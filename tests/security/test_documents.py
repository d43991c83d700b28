"""What the documents on security say is so."""

import ast
import re
from pathlib import Path

import pytest

from proxy.openrouter.api import MANAGEMENT_FAMILIES
from proxy.settings.names import find
from proxy.settings.sources import load_settings
from tests.support.secrets import KEY, TOKEN

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TEAM = (ROOT / "docs/team.md").read_text(encoding="utf-8")

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)))


def test_every_threat_names_a_test() -> None:
    table = SECURITY.split("|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert len(table) > 10
    for row in table:
        assert re.search(r"`tests/[\w/]+\.py::\w+` *\|$", row), row


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_each_named_test_exists(path: str, name: str) -> None:
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in functions


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/team.md", "docs/configured-key.md", "docs/faults.md"])
def test_each_variable_exists(document: str) -> None:
    named = set(re.findall(r"OPENROUTER_[A-Z_]*[A-Z]", (ROOT / document).read_text(encoding="utf-8")))
    assert {name for name in named if find(name) is None} <= {"OPENROUTER_ENV_FILE"}


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/team.md", "docs/configured-key.md", "docs/faults.md"])
def test_each_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_families_that_can_be_opened_are_told() -> None:
    text = (ROOT / "docs/configured-key.md").read_text(encoding="utf-8")
    for family in MANAGEMENT_FAMILIES:
        assert f"`{family}`" in text


def test_the_teams_configuration_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the image, which listens everywhere, with what the document mounts."""
    compose = TEAM.partition("## A sidecar")[0]
    environment = dict(re.findall(r"^      (OPENROUTER_\w+): (.+)$", compose, re.MULTILINE))
    assert "OPENROUTER_ALLOWED_HOSTS" in environment
    for name, value in {**environment, "OPENROUTER_LISTEN": "0.0.0.0:6767"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("OPENROUTER_ACCESS_TOKEN", TOKEN)
    settings = load_settings({}).settings
    assert settings.allowed_hosts == ("llm.example.com",)


def test_the_sidecar_needs_one_line_more(monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = {"OPENROUTER_HTTP_REFERER": "https://github.com/you/your-app", "OPENROUTER_API_KEY": KEY}
    [(name, value)] = re.findall(r'^(OPENROUTER_\w+): "(\w+)"$', TEAM, re.MULTILINE)
    for each, text in {**laptop, "OPENROUTER_LISTEN": "0.0.0.0:6767", name: value}.items():
        monkeypatch.setenv(each, text)
    assert load_settings({}).settings.allow_unauthenticated
