"""The recipes of docs/team.md for profiles: the settings in them start."""

import re
import subprocess
from pathlib import Path

import pytest

from proxy.settings.sources import Loaded, load_settings
from tests.support.proxies import ROOT
from tests.support.secrets import KEY

TEAM = (ROOT / "docs/team.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^#{2,3} ([^\n]+)\n(?:(?!^#)[^\n]*\n)*?```sh\n(.*?)```", TEAM, re.MULTILINE | re.DOTALL))


def load(environment: dict[str, str]) -> Loaded:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return load_settings({})


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
