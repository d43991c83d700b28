"""Profiles as settings: where they come from, what is wrong with one, and what `check` says of it."""

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.commands.banner import banner
from proxy.openrouter.attribution import Mode
from proxy.settings import given as places
from proxy.settings.model import Settings
from proxy.settings.names import PROFILE_FIELDS
from proxy.settings.profiles import settings_with
from proxy.settings.sources import Loaded, SettingsError, load_settings
from proxy.settings.variables import variable
from tests.support.canaries import assert_none
from tests.support.secrets import KEY, OWN_KEY, TOKEN

APP = {"OPENROUTER_HTTP_REFERER": "https://app.test/"}
A, B = "OPENROUTER_PROFILES__TEAM_A__", "OPENROUTER_PROFILES__B__"
APP_A = {f"{A}HTTP_REFERER": "https://a.test/"}
OTHER_TOKEN = "CANARY-another-token-a1b2c3d4"


def check(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments], env=environment)


def load(environment: dict[str, str]) -> Loaded:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return load_settings({})


def profile(environment: dict[str, str], name: str = "team-a") -> Settings:
    return load(environment).settings.profiles[name]


# What is refused.

P = "OPENROUTER_PROFILES__"
NAMES = "with other characters than A-Z, 0-9 and _, or with _ at an end: write, for example, "
EXAMPLE = f"{A}APP_TITLE (team-a in a URL)"
SETTINGS = ", ".join(field.upper() for field in PROFILE_FIELDS)
IS_A_PATH = "which is a path of the proxy or of the API: take another name"


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        pytest.param(
            {f"{P}__APP_TITLE": "x"},
            f"{P}__APP_TITLE names no profile, or no setting of one: write, for example, {A}APP_TITLE",
            id="empty name",
        ),
        pytest.param(
            {f"{P}{'A' * 41}__API_KEY": KEY},
            f"{P}{'A' * 41}__API_KEY names a profile with over 40 characters: take a shorter name",
            id="long name",
        ),
        *(
            pytest.param(
                {f"{P}{name}__API_KEY": KEY},
                f"{P}{name}__API_KEY names a profile {NAMES}{EXAMPLE}",
                id=f"name {name}",
            )
            for name in ("team_a", "TEAM-A", "TEAM.A", "_A", "A_", "TEAM%2DA", "A/B")
        ),
        *(
            pytest.param(
                {f"{P}{name}__API_KEY": KEY},
                f'{P}{name}__API_KEY names a profile "{name.lower()}", {IS_A_PATH}',
                id=f"path {name}",
            )
            for name in ("API", "V1", "HEALTHZ", "READYZ", "METRICS", "LIVE", "V1BETA")
        ),
        *(
            pytest.param(
                {f"{A}{field}": value},
                f"{A}{field} belongs to an app of the profile's own: set {A}HTTP_REFERER as well",
                id=f"{field} without a URL",
            )
            for field, value in (("APP_TITLE", "A"), ("APP_CATEGORIES", "game"), ("APP_VISIBILITY", "hidden"))
        ),
        pytest.param(
            {f"{A}HTTP_REFERER": "a.test"},
            f"{A}HTTP_REFERER must be a whole URL that starts with https:// or http:// and a valid host; "
            "write https://a.test",
            id="URL",
        ),
        pytest.param(
            {f"{A}HTTP_REFERER": "http://127.0.0.1:3000/"},
            f"{A}HTTP_REFERER is on this machine: OpenRouter tracks such an app only with a title; "
            f"use a public URL, or set a title with {A}APP_TITLE",
            id="loopback URL without a title",
        ),
        pytest.param(
            {**APP_A, f"{A}APP_TITLE": " A"},
            f"{A}APP_TITLE begins with a blank (U+0020 at character 1), which is lost on the way: remove it",
            id="title",
        ),
        pytest.param(
            {**APP_A, f"{A}ATTRIBUTION_MODE": "overide"},
            f'{A}ATTRIBUTION_MODE must be override, fill or passthrough, not "overide"; did you mean override?',
            id="mode",
        ),
        pytest.param(
            {**APP_A, f"{A}EXTRA_HEADERS": '{"Authorization": "hunter2"}'},
            f"{A}EXTRA_HEADERS may not name Authorization: "
            "whose key travels is not for a fixed header to say; leave it to the tool",
            id="extra headers",
        ),
        pytest.param(
            {f"{A}API_KEY": "two words"},
            f"{A}API_KEY is empty, or holds a blank, a control or a non-ASCII character: "
            "copy it again, and nothing else",
            id="key",
        ),
        pytest.param(
            {f"{A}API_KEY_FILE": "/nowhere"},
            f"{A}API_KEY_FILE cannot be read as a file (No such file or directory): mount it, or let this user read it",
            id="file of a key",
        ),
        pytest.param(
            {f"{A}API_KEY": KEY, f"{A}API_KEY_FILE": "/nowhere"},
            f"{A}API_KEY and {A}API_KEY_FILE are both set: keep one",
            id="key twice",
        ),
        pytest.param(
            {f"{A}ACCESS_TOKEN": TOKEN},
            f"{A}ACCESS_TOKEN is set without {A}API_KEY, whose use it allows: set the key as well, or remove the token",
            id="token without a key",
        ),
        pytest.param(
            {f"{A}API_KEY": KEY, f"{A}ACCESS_TOKEN": "hunter2"},
            f"{A}ACCESS_TOKEN is shorter than 16 characters, and could be guessed: "
            "take a random one, for example from openssl rand -hex 32",
            id="short token",
        ),
        pytest.param(
            {f"{A}APP_TITEL": "A"},
            f"{A}APP_TITEL is not a setting of a profile: did you mean {A}APP_TITLE?",
            id="nearly a setting",
        ),
        pytest.param(
            {f"{A}COLOUR": "red"}, f"{A}COLOUR is not a setting of a profile: it has {SETTINGS}", id="unknown setting"
        ),
        pytest.param(
            {f"{A}LISTEN": "127.0.0.1:1"},
            f"{A}LISTEN is not a setting of a profile: OPENROUTER_LISTEN is one of the whole process; "
            f"it has {SETTINGS}",
            id="a setting of the process",
        ),
        pytest.param(
            {
                f"{A}API_KEY": KEY,
                f"{A}ACCESS_TOKEN": TOKEN,
                f"{B}API_KEY": OWN_KEY,
                f"{B}ACCESS_TOKEN": TOKEN,
            },
            f"{B}ACCESS_TOKEN is the same as {A}ACCESS_TOKEN, so nobody could tell whose it is: take another",
            id="two with one token",
        ),
        pytest.param(
            {
                "OPENROUTER_API_KEY": KEY,
                "OPENROUTER_ACCESS_TOKEN": TOKEN,
                f"{A}API_KEY": OWN_KEY,
                f"{A}ACCESS_TOKEN": TOKEN,
            },
            f"{A}ACCESS_TOKEN is the same as OPENROUTER_ACCESS_TOKEN, so nobody could tell whose it is: take another",
            id="the default's token",
        ),
        pytest.param(
            {f"{A}API_KEY": KEY, "OPENROUTER_LISTEN": "0.0.0.0:6767"},
            f"{A}API_KEY would be spent by everyone who can reach 0.0.0.0:6767: "
            "listen on this machine only (OPENROUTER_LISTEN=127.0.0.1:6767; not in a container), "
            f"or ask callers for a token ({A}ACCESS_TOKEN), "
            "or say that the network is the guard (OPENROUTER_ALLOW_UNAUTHENTICATED=true)",
            id="nobody on guard",
        ),
    ],
)
def test_a_bad_profile_is_refused_with_its_line(environment: dict[str, str], line: str) -> None:
    """Promise 33: each fault on a line, under the variable that the user wrote; never a secret."""
    result = check({**APP, **environment})
    assert result.stderr == f"error: {line}\n"
    assert result.exit_code == 2
    assert "hunter2" not in result.output
    assert_none(result.output, "the output")


def test_a_fault_of_the_default_is_told_once() -> None:
    result = check({**APP_A, **APP, "OPENROUTER_LISTEN": "nowhere", f"{B}API_KEY": KEY})
    [line] = result.stderr.splitlines()
    assert line.startswith("error: OPENROUTER_LISTEN must be host:port")


def test_a_profile_without_any_url() -> None:
    """Neither its own nor the default's."""
    result = check({f"{A}API_KEY": KEY})
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: {A}HTTP_REFERER is not set: it is the URL of the app that OpenRouter credits")


def test_two_that_rename_one_app_are_warned_about() -> None:
    environment = {**APP, f"{A}HTTP_REFERER": APP["OPENROUTER_HTTP_REFERER"], f"{A}APP_TITLE": "Another"}
    assert load(environment).warnings == (
        f"{A}HTTP_REFERER is OPENROUTER_HTTP_REFERER's too, under another title: each request renames the app",
    )
    same = {**environment, "OPENROUTER_APP_TITLE": "Another"}
    assert load(same).warnings == ()


def test_what_is_doubtful_is_said_under_the_profiles_name() -> None:
    warnings = load({**APP, f"{A}HTTP_REFERER": "https://www.a.test/", f"{A}API_KEY": "another"}).warnings
    assert warnings == (
        f"{A}HTTP_REFERER names www.a.test, another app than a.test to OpenRouter; stored as https://www.a.test/",
        f"{A}API_KEY does not look like an OpenRouter key, which begins with sk-or-",
    )


def test_a_profile_that_is_misspelt_as_a_whole_is_warned_about() -> None:
    [warning] = load({**APP, "OPENROUTER_PROFILE__TEAM_A__API_KEY": KEY}).warnings
    assert warning == f"OPENROUTER_PROFILE__TEAM_A__API_KEY is not a setting: did you mean {A}API_KEY?"


# What it is made of.


def test_an_identity_is_replaced_as_a_whole() -> None:
    """Promise 33: nothing of the default's identity is mixed in."""
    default = {**APP, "OPENROUTER_APP_TITLE": "App", "OPENROUTER_APP_CATEGORIES": "game"}
    made = profile({**default, **APP_A}).attribution
    assert made is not None
    assert (made.referer, made.title, made.categories, made.visibility) == ("https://a.test/", None, (), None)


def test_a_profile_may_be_only_a_key_and_a_token() -> None:
    """Without any variable of an identity it has the default's whole one."""
    default = {**APP, "OPENROUTER_APP_TITLE": "App", "OPENROUTER_APP_CATEGORIES": "game"}
    loaded = load({**default, f"{A}API_KEY": KEY, f"{A}ACCESS_TOKEN": TOKEN})
    made = loaded.settings.profiles["team-a"]
    assert made.attribution == loaded.settings.attribution
    assert made.api_key is not None
    assert loaded.settings.api_key is None


def test_what_is_not_given_is_the_defaults() -> None:
    """Mode, extra headers, key and token; each can be the profile's own."""
    default = {
        **APP,
        "OPENROUTER_ATTRIBUTION_MODE": "fill",
        "OPENROUTER_EXTRA_HEADERS": '{"X-Team": "all"}',
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_ACCESS_TOKEN": TOKEN,
    }
    made = profile({**default, **APP_A})
    assert made.attribution_mode is Mode.FILL
    assert made.extra_headers == ((b"X-Team", b"all"),)
    assert made.api_key is not None
    assert made.access_token is not None
    own = {
        f"{A}ATTRIBUTION_MODE": "override",
        f"{A}EXTRA_HEADERS": '{"X-Team": "a"}',
        f"{A}API_KEY": OWN_KEY,
        f"{A}ACCESS_TOKEN": OTHER_TOKEN,
    }
    made = profile({**default, **APP_A, **own})
    assert made.attribution_mode is Mode.OVERRIDE
    assert made.extra_headers == ((b"X-Team", b"a"),)
    assert made.api_key is not None
    assert made.api_key.get_secret_value() == OWN_KEY
    assert made.access_token is not None
    assert made.access_token.get_secret_value() == OTHER_TOKEN


def test_no_default_url_is_needed() -> None:
    """The plain base URL then answers that a profile is required."""
    settings = load(APP_A).settings
    assert not settings.is_identity
    assert settings.profiles["team-a"].is_identity
    assert load({**APP, **APP_A}).settings.is_identity


def test_all_secrets_are_hidden() -> None:
    """Promise 28: those of each profile too."""
    settings = load({**APP, f"{A}API_KEY": KEY, f"{A}ACCESS_TOKEN": TOKEN, f"{B}API_KEY": OWN_KEY}).settings
    assert {each.get_secret_value() for each in settings.secrets} == {KEY, TOKEN, OWN_KEY}
    assert_none(f"{settings!r} {settings}", "the settings as text")


# Where they come from.


def test_secret_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By `..._FILE`, and mounted under the variable's name in lower case, which alone makes a profile."""
    monkeypatch.setattr(places, "SECRET_FILES", tmp_path)
    (tmp_path / "openrouter_profiles__team_a__api_key").write_text(f"{KEY}\n")
    (tmp_path / "token").write_text(TOKEN)
    loaded = load({**APP, f"{A}ACCESS_TOKEN_FILE": str(tmp_path / "token")})
    made = loaded.settings.profiles["team-a"]
    assert made.api_key is not None
    assert made.access_token is not None
    assert loaded.profiles["team-a"].sources["api_key"].startswith("secret file ")
    assert loaded.profiles["team-a"].sources["access_token"] == f"environment {A}ACCESS_TOKEN_FILE"


def test_a_named_file_may_say_all_of_it() -> None:
    Path("my.env").write_text(
        "".join(f"{name}={value}\n" for name, value in {**APP, **APP_A}.items()) + f"{A}API_KEY={KEY}\n"
    )
    loaded = load_settings({}, env_file="my.env")
    assert loaded.settings.profiles["team-a"].api_key is not None
    assert loaded.profiles["team-a"].sources["api_key"] == f"my.env {A}API_KEY"


@pytest.mark.parametrize(
    "name", ["API_KEY", "API_KEY_FILE", "ACCESS_TOKEN", "ACCESS_TOKEN_FILE", "EXTRA_HEADERS", "APP_VISIBILITY"]
)
def test_a_folder_may_not_say_a_profiles_secrets(name: str) -> None:
    """Promise 37."""
    Path(".env").write_text(f"{A}{name}=x\n")
    with pytest.raises(SettingsError) as error:
        load(APP)
    [line] = error.value.faults
    assert line.startswith(f".env of this folder may not set {A}{name}: ")


@pytest.mark.parametrize("name", ["HTTP_REFERER", "APP_TITLE", "ATTRIBUTION_MODE"])
def test_a_folder_may_say_nothing_of_a_profile(name: str) -> None:
    """Promise 37: a profile with the user's key and the user's app would be made a stranger's."""
    Path(".env").write_text(f"{A}{name}=https://folder.test/\n")
    with pytest.raises(SettingsError) as error:
        load({**APP, f"{A}API_KEY": KEY})
    [line] = error.value.faults
    assert line.startswith(f".env of this folder may not set {A}{name}: ")


def test_a_folder_does_not_write_to_the_terminal() -> None:
    """A name in its file is shown escaped, and not every one of them."""
    Path(".env").write_text("".join(f"OPENROUTER_PROFILES__\x1b[2J{n}__API_KEY=x\n" for n in range(44)))
    with pytest.raises(SettingsError) as error:
        load(APP)
    [line] = error.value.faults
    assert line.isprintable()
    assert " and 4 more: " in line


def test_a_profile_has_no_flags() -> None:
    assert "PROFILES" not in check({}, "--help").output


def test_a_program_may_make_them_too() -> None:
    settings = settings_with({"http_referer": "https://app.test/"}, {"team-a": {"api_key": KEY}})
    assert settings.profiles["team-a"].http_referer == "https://app.test/"


# What is shown of them.

SHOWN = """\
Profile team-a

  Authorization: Bearer (hidden)
  HTTP-Referer: https://a.test/
  X-OpenRouter-Title: Team A
  X-Title: Team A

  base URLs  http://localhost:6767/team-a/api/v1, http://localhost:6767/team-a/api, http://localhost:6767/team-a/v1
  mode       override
  key        its own, for its own token

  HTTP_REFERER      https://a.test/  environment OPENROUTER_PROFILES__TEAM_A__HTTP_REFERER
  APP_TITLE         Team A           environment OPENROUTER_PROFILES__TEAM_A__APP_TITLE
  APP_CATEGORIES    -                default
  APP_VISIBILITY    -                default
  ATTRIBUTION_MODE  override         the default's
  EXTRA_HEADERS     -                the default's
  API_KEY           (set)            environment OPENROUTER_PROFILES__TEAM_A__API_KEY
  ACCESS_TOKEN      (set)            environment OPENROUTER_PROFILES__TEAM_A__ACCESS_TOKEN
"""
FULL_A = {**APP_A, f"{A}APP_TITLE": "Team A", f"{A}API_KEY": KEY, f"{A}ACCESS_TOKEN": TOKEN}


def test_check_shows_the_exact_lines_of_each() -> None:
    everything = check({**APP, **FULL_A, f"{B}API_KEY": OWN_KEY})
    assert everything.exit_code == 0
    assert SHOWN in everything.stdout
    assert "\nProfile b\n" in everything.stdout
    assert_none(everything.output, "the output")


def test_check_shows_one_of_them() -> None:
    assert check({**APP, **FULL_A, f"{B}API_KEY": OWN_KEY}, "--profile", "team-a").stdout == SHOWN
    unknown = check({**APP, **FULL_A}, "--profile", "TEAM_A")
    assert (unknown.exit_code, unknown.stderr) == (2, 'error: There is no profile "TEAM_A": there are team-a\n')
    unnamed = check({**APP, **FULL_A}, "--profile", "")
    assert (unnamed.exit_code, unnamed.stderr) == (2, 'error: There is no profile "": there are team-a\n')
    none = check(APP, "--profile", "a")
    assert (none.exit_code, none.stderr) == (2, 'error: There is no profile "a": there are none\n')


def test_the_start_shows_a_table() -> None:
    page = banner(load({**APP, **FULL_A, f"{B}API_KEY": OWN_KEY}), 6767)
    lines = page.split("\n\n")[3].splitlines()
    assert [line.split() for line in lines[:1]] == [["profile", "base", "URL", "mode", "key", "credited", "to"]]
    base = "http://localhost:6767"
    assert sorted(lines[1:]) == [
        f"  b        {base}/b/api/v1       override  its own                     https://app.test/",
        f"  team-a   {base}/team-a/api/v1  override  its own, for its own token  Team A | https://a.test/",
    ]
    assert_none(page, "the banner")


@pytest.mark.parametrize(("more", "told"), [({}, True), ({f"{A}ACCESS_TOKEN": TOKEN}, False)])
def test_the_start_says_who_may_spend_a_profiles_key(more: dict[str, str], *, told: bool) -> None:
    """Promise 27: also where the default has none."""
    page = banner(load({**APP, f"{A}API_KEY": KEY, **more}), 6767)
    assert ("  callers                programs on this machine, of its other users too" in page) == told


def test_the_start_of_a_process_without_a_default_names_no_plain_base_url() -> None:
    page = banner(load(APP_A), 6767)
    assert "http://localhost:6767/PROFILE/api/v1\n" in page
    assert "http://localhost:6767/api/v1" not in page


# Many of them.


def many(count: int) -> dict[str, str]:
    return {
        variable(field, f"TEAM_{n}"): value
        for n in range(count)
        for field, value in {
            "http_referer": f"https://team-{n}.test/",
            "app_title": f"Team {n}",
            "api_key": f"{KEY}-{n}",
            "access_token": f"{TOKEN}-{n}",
        }.items()
    }


def test_a_hundred_profiles_are_read_at_once() -> None:
    """In under half a second; it takes a tenth of that on an idle machine, of which CPU time is told here."""
    began = time.process_time()
    loaded = load({**APP, **many(100)})
    assert time.process_time() - began < 0.5
    assert len(loaded.settings.profiles) == 100
    assert len(banner(loaded, 6767).splitlines()) < 50
    assert check({**APP, **many(100)}).stdout.count("\nProfile team-") == 100
