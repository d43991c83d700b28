"""The files of deploy/profiles, and the recipes of docs/team.md: the settings in them start."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.settings import given as places
from proxy.settings.sources import Loaded, load_settings
from tests.support.proxies import ROOT
from tests.support.secrets import KEY, TOKEN

FOLDER = ROOT / "deploy/profiles"
TEAM = (ROOT / "docs/team.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^#{2,3} ([^\n]+)\n(?:(?!^#)[^\n]*\n)*?```sh\n(.*?)```", TEAM, re.MULTILINE | re.DOTALL))


def load(environment: dict[str, str]) -> Loaded:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return load_settings({})


def both_teams(loaded: Loaded) -> None:
    """Each with its own app, key and token, and nobody without."""
    assert list(loaded.settings.profiles) == ["search", "support"]
    assert not loaded.settings.is_identity
    assert loaded.settings.api_key is None
    for name, settings in loaded.settings.profiles.items():
        assert settings.http_referer == f"https://{name}.example.com/"
        assert settings.app_title == name.title()
        assert settings.api_key is not None
        assert settings.api_key.get_secret_value() == f"{KEY}-{name}"
        assert settings.access_token is not None
        assert settings.access_token.get_secret_value() == f"{TOKEN}-{name}"
    assert loaded.warnings == ()


def secret(name: str) -> str:
    """What stands in a file of that name."""
    team, _, kind = name.partition("_")
    return f"{KEY if kind == 'api_key' else TOKEN}-{team}"


def test_the_compose_file_starts_two_teams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the image, which listens everywhere, with the secrets mounted as the file says."""
    compose: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    service = compose["services"]["openrouter-proxy"]
    assert {each["source"] for each in service["secrets"]} == set(compose["secrets"])
    for each in service["secrets"]:
        assert compose["secrets"][each["source"]]["file"] == f"./{each['source']}"
        (tmp_path / each["target"]).write_text(f"{secret(each['source'])}\n")
    monkeypatch.setattr(places, "SECRET_FILES", tmp_path)
    both_teams(load({**service["environment"], "OPENROUTER_LISTEN": "[::]:6767"}))


def test_the_kubernetes_file_starts_two_teams() -> None:
    """With the variables of its ConfigMap, and of the Secrets that its first lines make."""
    text = (FOLDER / "kubernetes.yaml").read_text()
    configuration, deployment, _ = yaml.safe_load_all(text)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    sources = [reference["name"] for source in container["envFrom"] for reference in source.values()]
    assert sources == ["openrouter-proxy", "openrouter-search", "openrouter-support"]
    made = dict(re.findall(r"--from-file=(OPENROUTER_\w+)=(\w+)", text))
    assert len(made) == 2
    secrets = {
        name.replace("SEARCH", team.upper()): f"{secret(file.replace('search', team))}\n"
        for team in ("search", "support")
        for name, file in made.items()
    }
    both_teams(load({**configuration["data"], **secrets}))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("title", "profiles"),
    [
        ("Profiles: one process, several identities", {"team-a"}),
        ("One key, many agents", {"planner", "reviewer"}),
        ("Development beside production", {"dev"}),
    ],
)
def test_the_recipes_are_settings_that_start(title: str, profiles: set[str], tmp_path: Path) -> None:
    """As a shell reads them."""
    shell = "\n".join(line for line in RECIPES[title].splitlines() if line.startswith("export "))
    (tmp_path / ".config/openrouter-proxy").mkdir(parents=True)
    (tmp_path / ".config/openrouter-proxy/dev_api_key").write_text(KEY)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        ["/bin/sh", "-c", f"{shell}\nenv"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    variables = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("OPENROUTER_"))
    loaded = load({name: value.replace("sk-or-...", KEY) for name, value in variables.items()})
    assert set(loaded.settings.profiles) == profiles
