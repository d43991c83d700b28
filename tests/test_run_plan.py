"""What ``run`` would start: which tool is recognised, what its environment, arguments and files become."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.commands.run import child_windows
from proxy.commands.run.child_windows import resolved
from proxy.commands.run.ending import CannotStart, Ended
from proxy.commands.run.environment import Environment, environment_for
from proxy.commands.run.plan import Given, Plan, plan_for
from proxy.commands.run.recognition import program_name, recognised
from proxy.openrouter.tools import TOOLS, BaseUrls, Reach, named, variables
from tests.support.secrets import KEY, TOKEN

URLS = BaseUrls("http://127.0.0.1:1234")
MEANT = {**URLS.values, "KEY": TOKEN, "FOLDER": "/tmp/f", "MODEL": "openrouter/auto"}  # noqa: S108 - a name


def environment(inherited: dict[str, str], tool: str = "", key_variable: str | None = None) -> Environment:
    return environment_for(inherited, named(tool), MEANT, key_variable=key_variable, secrets=[KEY])


def plan(*command: str, insert: bool = True, **inherited: str) -> Plan:
    return plan_for(command, inherited, Given(URLS, TOKEN, "/tmp/f", insert))  # noqa: S108 - a name


class TestRecognition:
    @pytest.mark.parametrize(
        ("command", "name", "at"),
        [
            ("codex exec hi", "codex", 1),
            ("/usr/local/bin/codex", "codex", 1),
            (r"C:\Users\me\npm\codex.cmd exec", "codex", 1),
            ("claude.exe", "claude", 1),
            ("npx codex exec", "codex", 2),
            ("npx -y @openai/codex@0.169.0 exec", "codex", 3),
            ("npx --yes --package @openai/codex codex exec", "codex", 5),
            ("npm exec -- @openai/codex exec", "codex", 4),
            ("pnpm dlx opencode-ai run", "opencode", 3),
            ("yarn dlx cline", "cline", 3),
            ("bunx @anthropic-ai/claude-code -p hi", "claude", 2),
            ("bun x opencode-ai", "opencode", 3),
            ("uvx aider-chat==0.86.2 --model x", "aider", 2),
            ("uvx --from aider-chat aider", "aider", 4),
            ("uvx --python 3.12 llm hi", "llm", 4),
            ("uv tool run gptme", "gptme", 4),
            ("uv run --with x aider", "aider", 5),
            ("pipx run --spec aider-chat aider", "aider", 5),
            ("python3 -m aider --help", "aider", 3),
            ("/venv/bin/python3.12 -m llm", "llm", 3),
        ],
    )
    def test_known(self, command: str, name: str, at: int) -> None:
        """A tool is known by its program's name, also through a full path, npx, uvx and the like."""
        found = recognised(command.split())
        assert found is not None
        assert (found.tool, found.arguments_at) == (named(name), at)

    @pytest.mark.parametrize(
        "command",
        ["sh -c codex", "npx", "npx -y", "npx create-vite", "npm run codex", "python codex.py", "codexx", "uvx ruff"],
    )
    def test_unknown(self, command: str) -> None:
        """Whatever else is started keeps its arguments."""
        assert recognised(command.split()) is None

    @given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
    def test_any_command_line_may_be_looked_at(self, command: list[str]) -> None:
        recognised(command)
        program_name(command[0])


class TestEnvironment:
    def test_each_variable_is_set_emptied_or_gone(self) -> None:
        """No variable that names another provider, account or key survives."""
        names = [*(each.name for each in (*variables.SET, *variables.EMPTIED, *variables.REMOVED))]
        inherited = dict.fromkeys(names, "theirs") | {"OPENCODE_CONFIG_CONTENT": "{}", "KILO_CONFIG_CONTENT": "{}"}
        made = environment(inherited)
        for each in variables.REMOVED:
            assert each.name not in made.values
        for each in variables.EMPTIED:
            assert made.values[each.name] == ""
        assert made.values["OPENAI_BASE_URL"] == "http://127.0.0.1:1234/api/v1"
        assert made.values["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1234/api"
        assert made.values["OPENROUTER_HOST"] == "http://127.0.0.1:1234"
        for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "OPENROUTER_KEY", "ANTHROPIC_AUTH_TOKEN"):
            assert made.values[name] == TOKEN

    def test_an_anthropic_base_url_never_goes_without_a_token(self) -> None:
        """Alone it would send the user's own login there."""
        made = environment({})
        assert ("ANTHROPIC_BASE_URL" in made.values) == ("ANTHROPIC_AUTH_TOKEN" in made.values)

    @pytest.mark.parametrize(
        "name",
        [
            "OPENROUTER_API_KEY_FILE",
            "OPENROUTER_ACCESS_TOKEN",
            "OPENROUTER_ACCESS_TOKEN_FILE",
            "OPENROUTER_ENV_FILE",
            "OPENROUTER_EXTRA_HEADERS",
            "OPENROUTER_OUTBOUND_PROXY",
            "OPENROUTER_PROFILES__TEAM_A__API_KEY",
            "OPENROUTER_PROFILES__TEAM_A__ACCESS_TOKEN_FILE",
        ],
    )
    def test_the_proxys_own_secrets_are_not_passed_on(self, name: str) -> None:
        assert name not in environment({name: "x"}).values

    def test_what_is_the_users_stays(self) -> None:
        """Home, network, model, app: they are the command's own."""
        own = {
            "HOME": "/home/me",
            "HTTPS_PROXY": "http://proxy:1",
            "CODEX_HOME": "/c",
            "ANTHROPIC_MODEL": "m",
            "OPENROUTER_HTTP_REFERER": "https://app.example",
            "API_BASE_URL": "http://elsewhere",
        }
        made = environment(own)
        assert {name: made.values[name] for name in own} == own

    def test_a_key_under_any_other_name_is_replaced(self) -> None:
        """A copy of the key in a variable that nobody knows would travel with the command."""
        made = environment({"MY_KEY": KEY, "HEADERS": f"Authorization: Bearer {KEY}"})
        assert made.values["MY_KEY"] == TOKEN
        assert made.values["HEADERS"] == f"Authorization: Bearer {TOKEN}"
        assert {"MY_KEY", "HEADERS"} <= set(made.set)

    def test_one_more_variable_can_be_named(self) -> None:
        assert environment({}, key_variable="MY_KEY").values["MY_KEY"] == TOKEN

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("", "127.0.0.1,localhost,::1"),
            ("corp.example", "corp.example,127.0.0.1,localhost,::1"),
            ("localhost, corp.example", "localhost, corp.example,127.0.0.1,::1"),
            ("*", "*"),
        ],
    )
    def test_exceptions_from_a_proxy_are_added(self, old: str, new: str) -> None:
        made = environment({"NO_PROXY": old, "no_proxy": old})
        assert (made.values["NO_PROXY"], made.values["no_proxy"]) == (new, new)

    def test_an_inline_configuration_is_joined(self) -> None:
        """What the user has in OPENCODE_CONFIG_CONTENT stays, but for the address and the key."""
        theirs = {"model": "x", "provider": {"openrouter": {"options": {"apiKey": "k", "a": 1}}, "other": {}}}
        made = environment({"OPENCODE_CONFIG_CONTENT": json.dumps(theirs)})
        assert json.loads(made.values["OPENCODE_CONFIG_CONTENT"]) == {
            "model": "x",
            "provider": {
                "openrouter": {"options": {"apiKey": TOKEN, "a": 1, "baseURL": "http://127.0.0.1:1234/api/v1"}},
                "other": {},
            },
        }
        assert made.notes == ()

    @pytest.mark.parametrize("theirs", ["not json", "[1]"])
    def test_an_inline_configuration_that_is_none_is_told(self, theirs: str) -> None:
        made = environment({"OPENCODE_CONFIG_CONTENT": theirs})
        assert made.notes == ("OPENCODE_CONFIG_CONTENT holds no JSON object: its value is replaced",)

    @pytest.mark.parametrize("theirs", ["[A=B,C=D]", "A=B,C=D"])
    def test_aiders_own_settings_are_joined(self, theirs: str) -> None:
        assert (
            environment({"AIDER_SET_ENV": theirs}).values["AIDER_SET_ENV"].startswith("[A=B,C=D,OPENROUTER_API_BASE=")
        )

    @pytest.mark.integration
    @given(st.dictionaries(st.sampled_from([each.name for each in variables.SET]), st.text(max_size=20)))
    def test_no_value_of_the_users_breaks_it(self, inherited: dict[str, str]) -> None:
        """Whatever stands there, the token is where it must be."""
        made = environment(inherited)
        assert made.values["OPENROUTER_API_KEY"] == TOKEN
        assert (
            TOKEN in json.loads(made.values["OPENCODE_CONFIG_CONTENT"])["provider"]["openrouter"]["options"]["apiKey"]
        )


class TestPlan:
    def test_an_unknown_program_keeps_its_arguments(self) -> None:
        made = plan("sh", "-c", "x")
        assert made.command == ("sh", "-c", "x")
        assert not made.inserted
        assert not made.files

    def test_flags_go_right_behind_the_name(self) -> None:
        """Before the user's own arguments, of which the last one counts."""
        made = plan("npx", "-y", "@openai/codex", "exec", "hi")
        assert made.command[:4] == ("npx", "-y", "@openai/codex", "-c")
        assert made.command[-2:] == ("exec", "hi")
        assert "model_providers.openrouter-proxy.base_url=http://127.0.0.1:1234/api/v1" in made.inserted

    def test_the_users_own_flag_wins(self) -> None:
        """And that is told."""
        made = plan("codex", "-c", "model_provider=mine", "exec")
        assert made.command == ("codex", "-c", "model_provider=mine", "exec")
        assert made.notes == ("-c is left to your own arguments",)
        assert plan("cn", "--config=x.yaml").inserted == ()

    def test_without_flags_nothing_is_inserted_or_written(self) -> None:
        for name in ("codex", "cn", "pi", "droid", "cline", "aider"):
            made = plan(name, "x", insert=False)
            assert made.command == (name, "x")
            assert not made.files
            assert not [value for value in made.environment.values.values() if "/tmp/f" in value]  # noqa: S108

    @pytest.mark.parametrize(
        ("arguments", "model"),
        [
            ((), "openrouter/auto"),
            (("-m", "a/b"), "a/b"),
            (("--model", "a/b"), "a/b"),
            (("--model=a/b",), "a/b"),
            (("-m",), "openrouter/auto"),
        ],
    )
    def test_a_file_has_the_model_that_the_user_names(self, arguments: tuple[str, ...], model: str) -> None:
        made = plan("cline", *arguments)
        assert json.loads(made.files["providers.json"])["providers"]["openrouter"]["settings"]["model"] == model
        assert made.environment.values["CLINE_PROVIDER_SETTINGS_PATH"] == "/tmp/f/providers.json"  # noqa: S108

    def test_a_name_for_the_model_that_is_the_tools_own_is_understood(self) -> None:
        """droid knows the models of its file by another name than OpenRouter does."""
        (model,) = json.loads(plan("droid", "exec", "-m", "custom:a/b").files["settings.json"])["customModels"]
        assert (model["id"], model["model"]) == ("custom:a/b", "a/b")

    def test_tools_that_cannot_are_left_alone(self) -> None:
        for tool in TOOLS:
            if tool.reach in {Reach.NO, Reach.SETTINGS} and tool.programs:
                assert plan(tool.programs[0], "x").command == (tool.programs[0], "x")

    def test_a_plan_shows_no_secret_by_accident(self) -> None:
        assert TOKEN not in repr(plan("llm", "hi", A=TOKEN))


class TestWindowsChild:
    """Its way of starting a command is that of every system, so it can be tried here."""

    @pytest.mark.integration
    def test_the_exit_code_is_the_commands(self) -> None:
        assert child_windows.Child.start(["sh", "-c", "exit 3"], {"PATH": "/usr/bin:/bin"}).wait() == Ended(3)

    @pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 127)])
    def test_a_command_that_cannot_be_started(self, command: str, code: int) -> None:
        with pytest.raises(CannotStart) as refused:
            child_windows.Child.start([command], {"PATH": "/usr/bin:/bin"})
        assert refused.value.code == code


class TestWindows:
    """What can be tested of it without one: which file is started."""

    def test_the_file_with_an_ending_is_preferred_to_npms_script(self) -> None:
        found = resolved("codex", None, lambda word, path: r"C:\npm\codex", lambda path: path.endswith(".cmd"))
        assert found == r"C:\npm\codex.cmd"

    def test_a_program_is_taken_as_it_is_found(self) -> None:
        found = resolved("uv", None, lambda word, path: r"C:\bin\uv.EXE", lambda path: True)
        assert found == r"C:\bin\uv.EXE"

    def test_what_is_not_there_is_not_found(self) -> None:
        assert resolved("nothing", None, lambda word, path: None) is None

    def test_a_script_without_a_neighbour_is_left_to_windows(self) -> None:
        assert resolved("x", None, lambda word, path: r"C:\x", lambda path: False) == r"C:\x"
