"""``tools`` and docs/tools.md: what is known of each tool, told from one set of data.

``python -m tests.test_tools`` renews the parts of the page that are made from it.
"""

import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.commands.tools import UnknownTool, exports, listing, page
from proxy.commands.tools_reference import PARTS, readme_table
from proxy.openrouter.tools import TOOLS, BaseUrls, Reach, Tool, named, names, started_by, variables
from tests.real_tools.trials import TRIALS
from tests.support.proxies import ROOT
from tests.support.secrets import KEY, OWN_KEY, TOKEN

DOCUMENT = ROOT / "docs/tools.md"
HERE = BaseUrls("http://localhost:6767")

each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.slug)


def made_part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->\n)", re.DOTALL)


IN_THE_DOCUMENT = [
    name for name in re.findall(r"<!-- ([a-z]+) -->", DOCUMENT.read_text(encoding="utf-8")) if name != "results"
]  # those are what scripts/try-tools found


@pytest.mark.parametrize("name", IN_THE_DOCUMENT)
def test_the_page_is_that_of_the_data(name: str) -> None:
    """docs/tools.md says of each tool what the data say."""
    assert made_part(name).findall(DOCUMENT.read_text(encoding="utf-8")) == [PARTS[name]()], (
        "renew it: python -m tests.test_tools"
    )


def test_the_results_are_of_the_tools_that_are_tried() -> None:
    """Each in the version that is pinned, and none of them a failure."""
    (results,) = made_part("results").findall(DOCUMENT.read_text(encoding="utf-8"))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        [trial.name, ", ".join(f"`{package.split(':', 1)[1]}`" for package in trial.packages)] for trial in TRIALS
    ]
    assert not [row for row in rows if "FAILED" in "".join(row)]


def test_each_tool_has_names_of_its_own() -> None:
    """Whoever asks for one tool does not get another."""
    every = [name for tool in TOOLS for name in names(tool)]
    assert sorted(every) == sorted(set(every))
    programs = [program for tool in TOOLS for program in tool.programs]
    assert sorted(programs) == sorted(set(programs))


@each_tool
def test_a_tool_is_found_however_it_is_written(tool: Tool) -> None:
    """By its name, its command, its package, in any case."""
    for name in (tool.name, tool.name.upper(), tool.slug, *tool.programs, *tool.packages):
        assert named(name) is tool
    for program in tool.programs:
        assert started_by(program) is tool


@each_tool
def test_a_page_is_whole(tool: Tool) -> None:
    """No placeholder is left, each address is the proxy's, and the key itself stands nowhere."""
    text = page(tool.slug, BaseUrls("http://127.0.0.1:1234", "team-a"))
    assert not re.search(r"\$(?:OAI|ANT|ORIGIN|KEY|MODEL|FOLDER)\b", text)
    assert "sk-or-" not in text
    for url in re.findall(r"http://127\.0\.0\.1:1234[\w/-]*", text):
        assert re.fullmatch(r"http://127\.0\.0\.1:1234/team-a(?:/api(?:/v1(?:/chat/completions)?)?)?", url)


@each_tool
def test_a_tool_that_cannot_says_why_at_once(tool: Tool) -> None:
    """What `run` tells after a run without a request; and there is nothing to insert for tools that cannot."""
    if tool.programs and tool.reach in {Reach.NO, Reach.SETTINGS}:
        assert tool.silent
    if tool.reach in {Reach.NO, Reach.SETTINGS}:
        assert not tool.extra
        assert not tool.arguments
        assert not tool.files


@pytest.mark.integration
@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.variables], ids=lambda tool: tool.slug)
def test_the_lines_to_paste_are_a_shells(tool: Tool) -> None:
    """A shell sets from them exactly the values that are meant, with the key from its variable."""
    script = "\n".join([*exports(tool, HERE), "env -0"])
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"OPENROUTER_API_KEY": "sk-or-mine", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    for name, template in tool.variables:
        value = template
        for placeholder, text in {**HERE.values, "KEY": "sk-or-mine", "MODEL": "openrouter/auto"}.items():
            value = value.replace(f"${placeholder}", text)
        assert found[name] == value


def test_what_is_json_is_json() -> None:
    for each in variables.SET:
        if each.value.startswith("{"):
            json.loads(each.value)
    for tool in TOOLS:
        for name, content in tool.files:
            if name.endswith(".json"):
                json.loads(content)


def test_the_list_has_each_tool() -> None:
    lines = listing().splitlines()
    for tool in TOOLS:
        assert [line for line in lines if line.split()[:1] == [tool.slug]], tool.slug


def test_a_page_has_the_address_of_the_settings() -> None:
    """Of the environment's `OPENROUTER_LISTEN`; and no app need be configured to ask."""
    for listen, reached in {
        "127.0.0.1:7000": "127.0.0.1:7000",  # the name may have an address on which somebody else listens
        "localhost:7000": "localhost:7000",
        "0.0.0.0:7000": "127.0.0.1:7000",
        "0:7000": "127.0.0.1:7000",
        "[::]:7000": "localhost:7000",
    }.items():
        asked = CliRunner().invoke(cli, ["tools", "codex"], env={"OPENROUTER_LISTEN": listen})
        assert asked.exit_code == 0
        assert f'base_url = "http://{reached}/api/v1"' in asked.output
        assert "openrouter-proxy run -- codex" in asked.output


def test_a_proxy_with_a_token_is_given_that() -> None:
    """A key in its place would be refused; a profile may ask for one where the default does not."""
    hint = "It asks for its access token: give the tool that, wherever $OPENROUTER_API_KEY stands here."
    key = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_PROFILES__TEAM_A__HTTP_REFERER": "https://team.example"}
    for tool in ("claude", "openai-sdk", "codex"):
        assert hint not in CliRunner().invoke(cli, ["tools", tool], env=key).output
        assert hint in CliRunner().invoke(cli, ["tools", tool], env={**key, "OPENROUTER_ACCESS_TOKEN": TOKEN}).output
    own = {**key, "OPENROUTER_PROFILES__TEAM_A__ACCESS_TOKEN": TOKEN, "OPENROUTER_PROFILES__TEAM_A__API_KEY": OWN_KEY}
    assert hint not in CliRunner().invoke(cli, ["tools", "claude"], env=own).output
    assert hint in CliRunner().invoke(cli, ["tools", "claude", "--profile", "team-a"], env=own).output


def test_settings_that_are_not_in_order_are_told() -> None:
    """The page then has the default address."""
    asked = CliRunner().invoke(cli, ["tools", "claude"], env={"OPENROUTER_LISTEN": "nowhere"})
    assert (asked.exit_code, "http://localhost:6767/api" in asked.stdout) == (0, True)
    assert asked.stderr == "warning: the settings are not in order (see check), so the default address is shown\n"


def test_a_page_can_be_for_a_profile() -> None:
    team = {"OPENROUTER_PROFILES__TEAM_A__HTTP_REFERER": "https://team.example"}
    asked = CliRunner().invoke(cli, ["tools", "claude", "--profile", "team-a"], env=team)
    assert "export ANTHROPIC_BASE_URL=http://localhost:6767/team-a/api\n" in asked.output
    assert "openrouter-proxy run --profile team-a -- claude" in asked.output
    asked = CliRunner().invoke(cli, ["tools", "claude", "--profile", "team-b"], env=team)
    assert (asked.exit_code, asked.stderr) == (2, 'error: There is no profile "team-b" in these settings\n')
    asked = CliRunner().invoke(cli, ["tools", "claude", "--profile", ""], env=team)
    assert (asked.exit_code, asked.stderr) == (2, 'error: There is no profile "" in these settings\n')


def test_an_unknown_tool_is_told_with_the_nearest_name() -> None:
    asked = CliRunner().invoke(cli, ["tools", "opncode"])
    assert asked.exit_code == 2
    assert asked.stdout == ""
    assert "did you mean opencode?" in asked.stderr
    with pytest.raises(UnknownTool, match="openrouter-proxy tools lists all"):
        page("zzzzzz", HERE)


def test_the_readmes_table_has_each_tool() -> None:
    assert readme_table().count("\n") == len(TOOLS) + 2


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    for part in IN_THE_DOCUMENT:
        old = made_part(part).search(text)
        assert old is not None
        text = text[: old.start()] + PARTS[part]() + text[old.end() :]
    DOCUMENT.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT} is renewed\n")
