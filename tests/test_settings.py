"""What can be set, from where, and in what order."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from proxy.commands import reference
from proxy.commands.check import report
from proxy.faults import Faulty
from proxy.openrouter.attribution import Mode
from proxy.settings.addresses import Listen, Upstream
from proxy.settings.extra_headers import parse_extra_headers
from proxy.settings.model import Settings, option
from proxy.settings.sources import Loaded, SettingsError, load_settings
from proxy.settings.variables import flag, variable

ROOT = Path(__file__).parents[1]
REFERER = "https://github.com/you/app"


def attempted(flags: Mapping[str, str | None]) -> Loaded | SettingsError:
    try:
        return load_settings(flags)
    except SettingsError as error:
        return error


def faults_of(flags: Mapping[str, str | None]) -> tuple[str, ...]:
    outcome = attempted(flags)
    assert isinstance(outcome, SettingsError)
    return outcome.faults


# Where values come from.


def test_the_defaults_are_those_that_the_documents_promise() -> None:
    settings = Settings(http_referer=REFERER)
    assert settings.attribution_mode is Mode.OVERRIDE
    assert settings.listen == Listen("localhost", 6767)
    assert settings.upstream_url == Upstream("https", "openrouter.ai", 443)
    assert (settings.connect_timeout, settings.response_timeout, settings.idle_timeout) == (10, 600, 300)
    assert settings.warm_connections == "auto"
    assert settings.shutdown_grace == 30
    assert (settings.log_level, settings.log_format) == ("info", "auto")
    assert settings.extra_headers == ()


def test_a_flag_beats_the_environment_beats_the_env_file_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        f"OPENROUTER_HTTP_REFERER={REFERER}\nOPENROUTER_APP_TITLE=File\nOPENROUTER_LOG_LEVEL=debug\n"
        "OPENROUTER_IDLE_TIMEOUT=1\n"
    )
    monkeypatch.setenv("OPENROUTER_APP_TITLE", "Environment")
    monkeypatch.setenv("OPENROUTER_LOG_LEVEL", "warning")
    loaded = load_settings({"app_title": "Flag", "listen": None})
    assert loaded.settings.app_title == "Flag"
    assert loaded.settings.log_level == "warning"
    assert loaded.settings.idle_timeout == 1
    assert loaded.settings.connect_timeout == 10
    assert {
        field: loaded.sources[field] for field in ("app_title", "log_level", "idle_timeout", "connect_timeout")
    } == {
        "app_title": "flag --app-title",
        "log_level": "environment OPENROUTER_LOG_LEVEL",
        "idle_timeout": ".env OPENROUTER_IDLE_TIMEOUT",
        "connect_timeout": "default",
    }
    assert list(loaded.sources) == list(Settings.model_fields)


@pytest.mark.parametrize("name", option("http_referer").also)
def test_other_names_of_the_url_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, REFERER)
    loaded = load_settings({})
    assert loaded.settings.http_referer == REFERER
    assert loaded.sources["http_referer"] == f"environment {name}"


@pytest.mark.parametrize("name", option("app_title").also)
def test_other_names_of_the_title_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "My App")
    loaded = load_settings({"http_referer": REFERER})
    assert loaded.settings.app_title == "My App"
    assert loaded.warnings == ()


def test_our_name_beats_another_name_in_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_APP_NAME", "Other")
    monkeypatch.setenv("OPENROUTER_APP_TITLE", "Ours")
    assert load_settings({"http_referer": REFERER}).settings.app_title == "Ours"


def test_another_name_in_the_environment_beats_our_name_in_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENROUTER_APP_TITLE=File\n")
    monkeypatch.setenv("OR_APP_NAME", "Environment")
    assert load_settings({"http_referer": REFERER}).settings.app_title == "Environment"


def test_empty_means_unset_in_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"OPENROUTER_HTTP_REFERER={REFERER}\nOPENROUTER_APP_CATEGORIES=\nOPENROUTER_IDLE_TIMEOUT\n")
    for field in Settings.model_fields:
        monkeypatch.setenv(variable(field), "")
    loaded = load_settings(dict.fromkeys(Settings.model_fields, ""))
    assert loaded.settings == Settings(http_referer=REFERER)
    assert loaded.sources["http_referer"] == ".env OPENROUTER_HTTP_REFERER"


def test_a_base_url_for_tools_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://localhost:6767/api/v1")
    loaded = load_settings({"http_referer": REFERER})
    assert str(loaded.settings.upstream_url) == "https://openrouter.ai"
    assert loaded.warnings == ()


def test_names_are_read_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("openrouter_app_title", "My App")
    loaded = load_settings({"http_referer": REFERER})
    assert loaded.settings.app_title is None
    assert loaded.warnings == ("openrouter_app_title is not a setting: did you mean OPENROUTER_APP_TITLE?",)


def test_building_settings_reads_nothing_but_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENROUTER_APP_TITLE=File\n")
    monkeypatch.setenv("OPENROUTER_APP_TITLE", "Environment")
    assert Settings(http_referer=REFERER).app_title is None


def test_settings_are_frozen_and_take_no_unknown_name() -> None:
    settings = Settings(http_referer=REFERER)
    with pytest.raises(ValidationError, match="frozen"):
        settings.app_title = "x"  # type: ignore[misc]  # that is the point
    with pytest.raises(ValidationError, match="titel"):
        Settings(http_referer=REFERER, titel="x")  # type: ignore[call-arg]  # so too here


def test_a_program_that_embeds_the_proxy_may_add_a_source_of_its_own() -> None:
    """The hook of pydantic-settings: an argument counts first, then what the vault says, then the default."""

    class FromVault(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            vault = {"http_referer": REFERER, "api_key": "sk-or-vault", "app_title": "Vault"}
            return (init_settings, InitSettingsSource(settings_cls, vault))

    settings = FromVault(app_title="Argument")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-or-vault"
    assert (settings.http_referer, settings.app_title) == (REFERER, "Argument")


def test_rules_hold_for_defaults_too() -> None:
    """Which is why the settings are pydantic-settings' and not a plain model."""
    with pytest.raises(ValidationError, match="is not set"):
        Settings()


# The .env file.


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("OPENROUTER_APP_TITLE=My App", "My App"),
        ('OPENROUTER_APP_TITLE="My App"', "My App"),
        ("export OPENROUTER_APP_TITLE='My App'", "My App"),
        ("OPENROUTER_APP_TITLE=My App # the name", "My App"),
        ("OPENROUTER_APP_TITLE=My App\r", "My App"),
        ("OPENROUTER_APP_TITLE=${HOME} $x", "${HOME} $x"),
        ("\ufeffOPENROUTER_APP_TITLE=My App", "My App"),
    ],
)
def test_an_env_file_is_read_as_usual(line: str, title: str) -> None:
    Path(".env").write_bytes(line.encode() + f"\nOPENROUTER_HTTP_REFERER={REFERER}\n".encode())
    assert load_settings({}).settings.app_title == title


def test_a_real_newline_in_an_env_file_is_refused() -> None:
    Path(".env").write_text(f'OPENROUTER_HTTP_REFERER={REFERER}\nOPENROUTER_APP_TITLE="My\nApp"\n')
    assert faults_of({}) == (
        "OPENROUTER_APP_TITLE (in .env) holds U+000A NEWLINE at character 3: write the title on one line, without it",
    )


def test_a_directory_named_env_is_no_env_file() -> None:
    """Docker makes one of a file to be mounted that is missing, so it is said; a virtual environment is meant."""
    Path(".env").mkdir()
    loaded = load_settings({"http_referer": REFERER})
    assert loaded.settings.http_referer == REFERER
    assert loaded.warnings == (
        ".env is a folder, so no setting is read from it: a missing file to be mounted becomes one",
    )
    Path(".env/pyvenv.cfg").touch()
    assert load_settings({"http_referer": REFERER}).warnings == ()


def test_an_env_file_that_is_not_utf_8_is_refused() -> None:
    Path(".env").write_bytes("OPENROUTER_APP_TITLE=My App\n".encode("utf-16"))
    assert faults_of({"http_referer": REFERER}) == (".env is not UTF-8 text (at byte 1): save it as UTF-8",)


def test_an_env_file_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, how: int) -> int:
        if path.name != ".env":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", fail)
    assert faults_of({"http_referer": REFERER}) == (
        ".env cannot be read (Permission denied): make it readable, or move it away",
    )


def test_a_line_of_ours_that_cannot_be_understood_is_a_fault_and_shows_no_value() -> None:
    Path(".env").write_text('FOREIGN="\n# a comment\nOPENROUTER_EXTRA_HEADERS="hunter2\n')
    (fault,) = faults_of({"http_referer": REFERER})
    assert fault.startswith(".env cannot be understood at line ")
    assert "hunter2" not in fault


def test_a_foreign_line_that_cannot_be_understood_is_left_alone() -> None:
    Path(".env").write_text(f"OPENROUTER_HTTP_REFERER={REFERER}\nFOREIGN='\n")
    assert load_settings({}).settings.http_referer == REFERER


def test_a_value_that_a_comment_cuts_is_warned_about() -> None:
    """What only begins as a comment does may be a part of the value: docker run --env-file takes it for one."""
    app = "OPENROUTER_HTTP_REFERER=https://app.test/ # the app\n"
    Path("my.env").write_text(f"# A=1 #2\n{app}OPENROUTER_APP_TITLE=App #1\n")
    loaded = load_settings({}, env_file="my.env")
    assert loaded.settings.app_title == "App"
    [warning] = loaded.warnings
    assert warning.startswith("OPENROUTER_APP_TITLE (in my.env, line 3): what stands behind a blank and # is not read")
    for whole in ("'App #1'", '"App #1"', "App#1"):
        Path("my.env").write_text(f"OPENROUTER_HTTP_REFERER=https://app.test/\nOPENROUTER_APP_TITLE={whole}\n")
        loaded = load_settings({}, env_file="my.env")
        assert (loaded.settings.app_title, loaded.warnings) == (whole.strip("'\""), ())


@pytest.mark.integration
def test_files_are_read_where_there_is_no_owner_of_a_process(tmp_path: Path) -> None:
    """As on Windows, whose Python has none of these names (os, "Availability: Unix")."""
    script = (
        "import os, pydantic, pydantic_settings, proxy.settings.model\n"
        'for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW", "geteuid"): delattr(os, name)\n'
        "from proxy.settings.sources import load_settings\n"
        'print(load_settings({}, env_file="my.env").settings.http_referer, load_settings({}).settings.http_referer)\n'
    )
    for name in ("my.env", ".env"):
        (tmp_path / name).write_text("OPENROUTER_HTTP_REFERER=https://app.test/\n")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("https://app.test/ https://app.test/\n", "")


def test_a_file_that_cannot_be_read_is_all_that_is_told() -> None:
    """What it may have said is not called missing."""
    Path("my.env").write_bytes(b"OPENROUTER_HTTP_REFERER=https://app.test/\nOPENROUTER_APP_TITLE=\xff\n")
    with pytest.raises(SettingsError) as error:
        load_settings({}, env_file="my.env")
    assert error.value.faults == ("my.env is not UTF-8 text (at byte 64): save it as UTF-8",)


def test_two_lines_for_one_name_are_warned_about_with_both_numbers() -> None:
    """Blank lines and comments count as an editor counts them; names of others do not concern us."""
    Path("my.env").write_text(
        f"\n# a comment\nOPENROUTER_HTTP_REFERER={REFERER}\nOPENROUTER_APP_TITLE=One\nPATH=/a\nPATH=/b\n\n\n"
        "export OPENROUTER_APP_TITLE='Two'\nOPENROUTER_APP_TITLE=\nOPENROUTER_LOG_LEVEL=debug\n"
        "OPENROUTER_LOG_LEVEL=info\n"
    )
    loaded = load_settings({}, env_file="my.env")
    assert loaded.warnings == (
        "OPENROUTER_APP_TITLE stands twice in my.env (lines 4 and 9): the last one counts",
        "OPENROUTER_LOG_LEVEL stands twice in my.env (lines 11 and 12): the last one counts",
    )
    assert loaded.settings.app_title is None  # the last of all is empty, and that is unset
    assert loaded.settings.log_level == "info"


@pytest.mark.parametrize(
    "referer", ["https://github.com/you/your-app", "https://your-app.example", "https://x.example."]
)
def test_the_address_of_an_example_is_warned_about(referer: str) -> None:
    """Somebody has copied it from here."""
    warnings = load_settings({"http_referer": referer}).warnings
    assert warnings[0] == (
        "--http-referer is the address of an example, and its app would be credited: write your own app's URL"
    )


# What is wrong with them.


def test_all_faults_are_told_at_once_each_with_the_name_that_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.env").write_text("OPENROUTER_IDLE_TIMEOUT=soon\n")
    monkeypatch.setenv("OPENROUTER_ENV_FILE", "my.env")
    monkeypatch.setenv("OR_APP_NAME", "Caf\u00e9")
    monkeypatch.setenv("OPENROUTER_SITE_URL", "example.com")
    monkeypatch.setenv("OPENROUTER_APP_CATEGORIES", "a,b,c,C")
    faults = faults_of({"listen": "6767", "attribution_mode": "overide", "extra_headers": '{"Host": "x", "TE": "y"}'})
    assert [fault.split(" ")[0] for fault in faults] == [
        "OPENROUTER_SITE_URL",
        "OR_APP_NAME",
        "OPENROUTER_APP_CATEGORIES",
        "OPENROUTER_APP_CATEGORIES",
        "--attribution-mode",
        "--listen",
        "OPENROUTER_IDLE_TIMEOUT",
        "--extra-headers",
        "--extra-headers",
    ]


def test_a_missing_referer_is_told_beside_other_faults() -> None:
    missing, blank = faults_of({"app_title": " "})[::-1]
    assert missing.startswith("OPENROUTER_HTTP_REFERER is not set")
    assert blank.startswith("--app-title is blank")


def test_passthrough_needs_no_identity_and_has_none() -> None:
    assert load_settings({"attribution_mode": "passthrough"}).settings.attribution is None
    loaded = load_settings({"attribution_mode": "passthrough", "http_referer": "http://localhost"})
    assert loaded.settings.attribution is None
    assert loaded.warnings == ("--attribution-mode is passthrough: the identity that is set as well will not be sent",)


def test_the_identity_is_what_was_configured() -> None:
    settings = Settings(
        http_referer="https://a.example", app_title="A", app_categories="game, legal", app_visibility="hidden"
    )
    assert settings.attribution is not None
    assert settings.attribution.headers == (
        (b"HTTP-Referer", b"https://a.example"),
        (b"X-OpenRouter-Title", b"A"),
        (b"X-Title", b"A"),
        (b"X-OpenRouter-Categories", b"game,legal"),
        (b"X-OpenRouter-App-Visibility", b"hidden"),
    )


@pytest.mark.parametrize(
    ("text", "categories"),
    [
        ("game", ("game",)),
        ("game,legal", ("game", "legal")),
        (" game , legal ", ("game", "legal")),
        ("game,", ("game",)),
    ],
)
def test_blanks_and_empty_places_in_a_list_do_not_count(text: str, categories: tuple[str, ...]) -> None:
    assert Settings(http_referer=REFERER, app_categories=text).app_categories == categories


@pytest.mark.parametrize(("text", "seconds"), [("10", 10.0), ("2.5", 2.5), (".5", 0.5), ("3.", 3.0), ("0", None)])
def test_a_timeout_is_a_number_of_seconds_and_0_is_none(text: str, seconds: float | None) -> None:
    for field in ("connect_timeout", "response_timeout", "idle_timeout"):
        assert getattr(load_settings({"http_referer": REFERER, field: text}).settings, field) == seconds


def test_timeouts_can_be_given_as_numbers() -> None:
    settings = Settings(http_referer=REFERER, connect_timeout=0.25, idle_timeout=0, response_timeout=None)
    assert (settings.connect_timeout, settings.idle_timeout, settings.response_timeout) == (0.25, None, None)


def test_a_grace_of_0_cuts_at_once() -> None:
    assert Settings(http_referer=REFERER, shutdown_grace="0").shutdown_grace == 0


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "10s", "1e3", "1_0", "\u0661", " 1", "ten"])
@pytest.mark.parametrize("field", ["connect_timeout", "response_timeout", "idle_timeout", "shutdown_grace"])
def test_anything_else_is_no_duration(field: str, text: str) -> None:
    (fault,) = faults_of({"http_referer": REFERER, field: text})
    assert fault.startswith(f"{flag(field)} must be a number of seconds, 0 or more, not ")


@pytest.mark.parametrize("text", ["31536001", "9" * 400])
def test_a_duration_is_at_most_a_year(text: str) -> None:
    assert faults_of({"http_referer": REFERER, "idle_timeout": text}) == (
        "--idle-timeout must be from 0 to 31536000 seconds",
    )


@pytest.mark.parametrize("count", [0, 1, 16])
def test_a_few_connections_are_kept_warm_at_most(count: int) -> None:
    assert Settings(http_referer=REFERER, warm_connections=str(count)).warm_connections == count


@pytest.mark.parametrize("text", ["17", "-1", "1.0", "1e0", "0_1", "\u0661", " 1", "one", "yes", "Auto", "9" * 5000])
def test_anything_else_is_no_such_number(text: str) -> None:
    (fault,) = faults_of({"http_referer": REFERER, "warm_connections": text})
    assert fault.startswith("--warm-connections must be auto or a whole number from 0 to 16, not ")


@pytest.mark.parametrize(
    ("field", "text", "fault"),
    [
        ("attribution_mode", "overide", 'must be override, fill or passthrough, not "overide"; did you mean override?'),
        ("log_level", "warn", 'must be debug, info, warning or error, not "warn"; did you mean warning?'),
        ("log_format", "xml", 'must be auto, text or json, not "xml"'),
        ("app_visibility", "public", 'must be "hidden" or unset, not "public"'),
        (
            "app_visibility",
            "'hidden'",
            "has quotes around it: remove them (docker --env-file makes them part of the value)",
        ),
        ("log_level", "info\n", "holds U+000A NEWLINE at character 5: write the value on one line, without it"),
    ],
)
def test_a_choice_that_is_none_is_refused(field: str, text: str, fault: str) -> None:
    assert faults_of({"http_referer": REFERER, field: text}) == (f"{flag(field)} {fault}",)


def test_choices_are_understood_in_any_case() -> None:
    settings = Settings(http_referer=REFERER, attribution_mode="FILL", log_level="WARNING", log_format="Json")
    assert (settings.attribution_mode, settings.log_level, settings.log_format) == (Mode.FILL, "warning", "json")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OPENROUTER_HTTP_REFERRER", "OPENROUTER_HTTP_REFERER"),
        ("OPENROUTER_REFERER", "OPENROUTER_HTTP_REFERER"),
        ("OPENROUTER_APPTITLE", "OPENROUTER_APP_TITLE"),
        ("OPENROUTER_TITLE", "OPENROUTER_APP_TITLE"),
        ("OPENROUTER_CATEGORIES", "OPENROUTER_APP_CATEGORIES"),
        ("OPENROUTER_UPSTREAM", "OPENROUTER_UPSTREAM_URL"),
        ("OPENROUTER_LOGLEVEL", "OPENROUTER_LOG_LEVEL"),
        ("OPENROUTER_APP_TITLE_FILE", "OPENROUTER_APP_TITLE"),
        ("OPENROUTER_API_KEY_FIL", "OPENROUTER_API_KEY_FILE"),
        ("OPENROUTER_PROFILES_TEAM_A_API_KEY", "OPENROUTER_PROFILES__TEAM_A__API_KEY"),
        ("OPENROUTER_PROFILES_TEAM_A__HTTP_REFERER", "OPENROUTER_PROFILES__TEAM_A__HTTP_REFERER"),
        ("OPENROUTER__PROFILES__TEAM_A__APP_TITLE", "OPENROUTER_PROFILES__TEAM_A__APP_TITLE"),
        ("OPENROUTER_PROFILE_TEAM_A_ACCESS_TOKEN_FILE", "OPENROUTER_PROFILES__TEAM_A__ACCESS_TOKEN_FILE"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_misspelt_name_is_warned_about(name: str, meant: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if place == "environment":
        monkeypatch.setenv(name, "x")
    else:
        Path(".env").write_text(f"{name}=x\n")
    warning = f"{name} is not a setting: did you mean {meant}?"
    assert load_settings({"http_referer": REFERER}).warnings == (warning,)
    with pytest.raises(SettingsError) as error:
        load_settings({})
    assert error.value.warnings == (warning,)


@pytest.mark.parametrize(
    "name",
    [
        *("OPENROUTER_BASE_URL", "OPENROUTER_API_BASE", "OPENROUTER_API_URL", "OPENROUTER_MODEL", "OPENROUTER_TIMEOUT"),
        # What Kubernetes injects for a service named "openrouter".
        *("OPENROUTER_SERVICE_HOST", "OPENROUTER_SERVICE_PORT", "OPENROUTER_PORT", "OPENROUTER_PORT_6767_TCP_ADDR"),
        *("APP_TITLE", "MY_OPENROUTER_APP_TITEL", "HTTP_REFERRER"),
    ],
)
def test_names_of_others_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert load_settings({"http_referer": REFERER}).warnings == ()


@given(st.dictionaries(st.sampled_from([*Settings.model_fields]), st.text(min_size=1), min_size=1))
def test_every_fault_is_one_printable_line_that_begins_with_the_name(flags: dict[str, str]) -> None:
    outcome = attempted(flags)
    if isinstance(outcome, Loaded):
        assert all(warning.isprintable() for warning in outcome.warnings)
        return
    for fault in outcome.faults:
        assert fault.isascii(), fault
        assert fault.isprintable(), fault
        assert fault.startswith(("OPENROUTER_", *(f"{flag(field)} " for field in flags))), fault


@pytest.mark.parametrize("field", Settings.model_fields)
@pytest.mark.parametrize(
    "text", ["https://user:hunter2@example.com/#", "user:hunter2@example.com:x", "\nsk-or-hunter2"]
)
def test_a_password_in_the_wrong_place_is_never_shown(field: str, text: str) -> None:
    arguments: dict[str, Any] = {"http_referer": REFERER, field: text}
    outcome = attempted(arguments)
    if isinstance(outcome, Loaded):
        assert field in {"app_title", "api_key"}  # shown to everybody anyway; shown to nobody
        assert field == "app_title" or "hunter2" not in f"{outcome!r} {outcome.settings!s} {report(outcome)}"
        return
    assert "hunter2" not in str(outcome)
    with pytest.raises(ValidationError) as raw:
        Settings(**arguments)
    assert "hunter2" not in str(raw.value)


# Extra headers.


def test_extra_headers_are_a_json_object_in_its_order() -> None:
    settings = Settings(http_referer=REFERER, extra_headers='{"X-Team": "search", "cf-aig-token": "hunter2", "A": ""}')
    assert settings.extra_headers == ((b"X-Team", b"search"), (b"cf-aig-token", b"hunter2"), (b"A", b""))
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not JSON (Expecting property name enclosed in double quotes at character 2)"),
        ("X-Team: search", "is not JSON"),
        ("[]", "must be a JSON object of strings"),
        ('"X"', "must be a JSON object of strings"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"X": 1}', "gives X a value that is not a string"),
        ('{"X": {"a": "b"}}', "gives X a value that is not a string"),
        ('{"X": null}', "gives X a value that is not a string"),
        ('{"": "a"}', 'names "", which is no header name'),
        ('{"X Y": "a"}', 'names "X Y", which is no header name'),
        ('{"X:": "a"}', 'names "X:", which is no header name'),
        ('{"X\\r\\nY": "a"}', 'names "X\\r\\nY", which is no header name'),
        ('{"\u00c4": "a"}', 'names "\\xc4", which is no header name'),
        ('{"X": "a\\r\\nY: b"}', "gives X a value with control or non-ASCII characters"),
        ('{"X": "\u00e4"}', "gives X a value with control or non-ASCII characters"),
        ('{"X": " a"}', "gives X a value that begins or ends with a blank"),
        ('{"X": "a", "X": "b"}', 'names "X" twice'),
        ('{"X-Y": "a", "x_y": "b"}', 'names "x_y" twice'),
        *((f'{{"{name}": "a"}}', f"may not name {name}: the attribution has settings of its own") for name in (
            "HTTP-Referer", "http_referer", "X-Title", "x-openrouter-title", "X-OpenRouter-Categories",
            "X-OpenRouter-App-Visibility",
        )),
        *((f'{{"{name}": "a"}}', f"may not name {name}: whose key travels") for name in (
            "Authorization", "x-api-key", "X_API_KEY", "Cookie", "api-key",
        )),
        *((f'{{"{name}": "a"}}', f"may not name {name}: it describes the connection or the body") for name in (
            "Host", "Connection", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Expect",
            "Keep-Alive", "Proxy-Authorization", "Content-Type", "content_encoding",
        )),
    ],
)  # fmt: skip
def test_headers_that_would_displace_or_break_something_are_refused(text: str, fault: str) -> None:
    with pytest.raises(Faulty) as error:
        parse_extra_headers(text)
    assert any(found.startswith(fault) for found in error.value.faults), error.value.faults


@given(st.dictionaries(st.text(), st.text()))
def test_a_header_is_taken_as_it_is_or_refused_without_its_value(headers: dict[str, str]) -> None:
    try:
        taken = parse_extra_headers(json.dumps(headers))
    except Faulty as error:
        taken, faults = None, error.faults
    else:
        faults = ()
    assert taken is None or dict(taken) == {name.encode(): value.encode() for name, value in headers.items()}
    assert all(fault.isascii() and fault.isprintable() for fault in faults)


# The documents that are made from the settings.


def test_the_example_file_is_up_to_date() -> None:
    """`python -m proxy.commands.reference env > config.example.env` mends this."""
    assert (ROOT / "config.example.env").read_text() == reference.example_env()


def test_the_example_file_loads_as_it_is_and_with_every_setting_uncommented(monkeypatch: pytest.MonkeyPatch) -> None:
    example = (ROOT / "config.example.env").read_text()
    uncommented = example.replace("#OPENROUTER_", "OPENROUTER_")
    assert uncommented.count("\nOPENROUTER_") == len(Settings.model_fields)
    for text in (example, uncommented):
        Path("my.env").write_text(text)
        loaded = load_settings({"http_referer": REFERER}, env_file="my.env")
        assert loaded.settings == Settings(http_referer=REFERER)
        assert loaded.warnings == ()
    # docker's reader: a line is a comment only if it begins with #, and all that follows the first = is the value.
    for line in uncommented.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value)
    assert load_settings({"http_referer": REFERER}).settings == Settings(http_referer=REFERER)


def test_every_setting_is_documented_in_one_line() -> None:
    for field in Settings.model_fields:
        text = reference.meaning(field)
        assert text
        assert text.isascii()
        assert "\n" not in text
        assert len(text) <= 120


# The house.


def test_only_one_module_reads_the_environment() -> None:
    for path in (ROOT / "proxy").rglob("*.py"):
        if path == ROOT / "proxy/settings/environment.py":
            continue
        read = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        ]
        assert not read, path
