"""Where the key and the token are looked for, what a bad one is told, and what is shown of a good one."""

import itertools
import json
import os
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.observe.redaction import HIDDEN, Redaction
from proxy.settings import given as loading
from proxy.settings.model import Settings
from proxy.settings.sources import Loaded, SettingsError, load_settings
from tests.support.canaries import assert_none, leaks
from tests.support.secrets import KEY, OWN_KEY, TOKEN

NAME = "OPENROUTER_API_KEY"


def load() -> Loaded:
    return load_settings({"http_referer": "https://app.test/"})


def fault() -> str:
    with pytest.raises(SettingsError) as error:
        load()
    [line] = error.value.faults
    assert_none(line, "the fault")
    return line


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What /run/secrets is for this test."""
    folder = tmp_path / "run-secrets"
    folder.mkdir()
    monkeypatch.setattr(loading, "SECRET_FILES", folder)
    return folder


def test_the_order_of_the_places(monkeypatch: pytest.MonkeyPatch, mounted: Path, tmp_path: Path) -> None:
    """Environment, then a named file, then the mounted one; within a place, as a value or as the name of a file."""
    monkeypatch.setenv("OPENROUTER_ENV_FILE", "my.env")
    Path("my.env").touch()
    (mounted / "openrouter_api_key").write_text("sk-or-mounted\n")
    assert (key(), load().sources["api_key"]) == ("sk-or-mounted", f"secret file {mounted}/openrouter_api_key")
    (tmp_path / "key").write_text("sk-or-file")
    Path("my.env").write_text(f"{NAME}_FILE={tmp_path}/key\n")
    assert (key(), load().sources["api_key"]) == ("sk-or-file", f"my.env {NAME}_FILE")
    Path("my.env").write_text(f"{NAME}=sk-or-env-file\n")
    assert (key(), load().sources["api_key"]) == ("sk-or-env-file", f"my.env {NAME}")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "key"))
    assert (key(), load().sources["api_key"]) == ("sk-or-file", f"environment {NAME}_FILE")
    monkeypatch.delenv(f"{NAME}_FILE")
    monkeypatch.setenv(NAME, "sk-or-environment")
    assert (key(), load().sources["api_key"]) == ("sk-or-environment", f"environment {NAME}")
    monkeypatch.setenv(NAME, "")
    assert key() == "sk-or-env-file"


def key() -> str:
    loaded = load()
    assert loaded.settings.api_key is not None
    return loaded.settings.api_key.get_secret_value()


def test_the_token_has_the_same_places(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    monkeypatch.setenv(NAME, KEY)
    (mounted / "openrouter_access_token").write_text(f"{TOKEN}\r\n")
    token = load().settings.access_token
    assert token is not None
    assert token.get_secret_value() == TOKEN


def test_a_value_and_a_file_in_one_place_are_a_contradiction(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    monkeypatch.setenv(NAME, KEY)
    monkeypatch.setenv(f"{NAME}_FILE", "/nowhere")
    assert fault() == f"{NAME} and {NAME}_FILE are both set: keep one"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read as a file (No such file or directory): mount it, or let this user read it"),
        (b"", "is a file without anything in it: write the secret there"),
        (b"\n", "is a file without anything in it: write the secret there"),
        (b"\xff" + KEY.encode(), "is a file that holds something else than printable ASCII"),
        (KEY.encode() * 200, "is a file of over 4096 bytes, which is not one secret"),
        (KEY.encode() + b"\n" + TOKEN.encode(), "is empty, or holds a blank, a control or a non-ASCII character"),
    ],
)
def test_a_file_that_holds_no_secret(
    content: bytes | None, told: str, monkeypatch: pytest.MonkeyPatch, mounted: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "key"))
    assert fault().startswith(f"{NAME}_FILE {told}")


def test_a_file_of_another_user(monkeypatch: pytest.MonkeyPatch, mounted: Path, tmp_path: Path) -> None:
    """As Compose mounts a file of mode 600 that belongs to root, into a container that runs as nobody in particular."""

    key = tmp_path / "key"
    opened = Path.open

    def closed(self: Path, mode: str) -> IO[Any]:
        if self == key:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode)

    monkeypatch.setenv(f"{NAME}_FILE", str(key))
    monkeypatch.setattr(Path, "open", closed)
    told = f"{NAME}_FILE is a file that this process may not read (its uid is {os.geteuid()}): give it to that user"
    assert fault().startswith(told)


def test_a_key_where_its_path_should_be_is_not_shown(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    for value in (KEY, f"{KEY}/../{TOKEN}", "/"):
        monkeypatch.setenv(f"{NAME}_FILE", value)
        assert "cannot be read as a file" in fault()


def test_a_bad_file_is_one_fault_beside_a_token(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    """Not that there is no key: there should be one."""
    monkeypatch.setenv(f"{NAME}_FILE", "/nowhere")
    monkeypatch.setenv("OPENROUTER_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("OPENROUTER_LISTEN", "0.0.0.0:6767")
    assert fault().startswith(f"{NAME}_FILE cannot be read")


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        ({NAME: "another-key"}, f"{NAME} does not look like an OpenRouter key, which begins with sk-or-"),
        (
            {NAME: KEY, "OPENROUTER_ACCESS_TOKEN": TOKEN, "OPENROUTER_ALLOW_UNAUTHENTICATED": "yes"},
            "OPENROUTER_ALLOW_UNAUTHENTICATED has no effect beside OPENROUTER_ACCESS_TOKEN",
        ),
        ({"OPENROUTER_ALLOW_MANAGEMENT": "keys"}, "OPENROUTER_ALLOW_MANAGEMENT has no effect without"),
    ],
)
def test_doubts(variables: dict[str, str], warning: str, monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    [told] = load().warnings
    assert told.startswith(warning)
    assert not leaks(told)
    assert "hunter2" not in told


@pytest.mark.parametrize("token", ["hunter2", "x" * 15])
def test_a_token_that_can_be_guessed(token: str, monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    """Promise 26: at least 16 characters."""
    monkeypatch.setenv(NAME, KEY)
    monkeypatch.setenv("OPENROUTER_ACCESS_TOKEN", token)
    told = fault()
    assert told.startswith("OPENROUTER_ACCESS_TOKEN is shorter than 16 characters, and could be guessed")
    assert token not in told
    monkeypatch.setenv("OPENROUTER_ACCESS_TOKEN", "x" * 16)
    assert load().settings.access_token is not None


def test_pages_of_all_origins_may_call_only_where_there_is_no_key() -> None:
    """Promise 24: ``*`` for all."""
    assert load_settings({"http_referer": "https://app.test/", "allowed_origins": "*,file://"}).warnings == ()


def test_extra_headers_are_guarded_as_a_key_is(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    """Promise 38: they make others pay, so they start beyond loopback only with somebody on guard."""
    monkeypatch.setenv("OPENROUTER_EXTRA_HEADERS", '{"cf-aig-authorization": "Bearer CANARY-of-a-gateway"}')
    settings = load().settings
    assert settings.pays
    assert {secret.get_secret_value() for secret in settings.secrets} == {
        "Bearer CANARY-of-a-gateway",
        "CANARY-of-a-gateway",
    }
    assert "CANARY" not in repr(settings)
    monkeypatch.setenv("OPENROUTER_LISTEN", "0.0.0.0:6767")
    assert fault().startswith("OPENROUTER_EXTRA_HEADERS would be spent by everyone who can reach 0.0.0.0:6767: ")
    monkeypatch.setenv("OPENROUTER_ALLOW_UNAUTHENTICATED", "true")
    assert load().warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OPENROUTER_ALLOWED_HOSTS", "http://a.example", "must be host names without scheme, port or path"),
        ("OPENROUTER_ALLOWED_HOSTS", "a.example:80", "must be host names without scheme, port or path"),
        ("OPENROUTER_ALLOWED_HOSTS", "*", "must be host names"),
        ("OPENROUTER_ALLOWED_HOSTS", "a.*.example", "must be host names"),
        ("OPENROUTER_ALLOWED_ORIGINS", "*", 'may not hold "*", which any web page can be'),
        (NAME, "${MY_KEY}", "refers to another variable, and such references are not replaced here"),
        (NAME, "$MY_KEY", "refers to another variable, and such references are not replaced here"),
        (
            "OPENROUTER_EXTRA_HEADERS",
            '{"X-A": "Bearer ${MY_KEY}"}',
            "gives X-A a value that refers to another variable",
        ),
        ("OPENROUTER_ALLOWED_ORIGINS", "https://a.example,null", 'may not hold "null", which any web page can be'),
        ("OPENROUTER_ALLOWED_ORIGINS", "a.example", "must be origins without a path"),
        ("OPENROUTER_ALLOWED_ORIGINS", "https://a.example/app", "must be origins without a path"),
        ("OPENROUTER_ALLOWED_ORIGINS", "https://u@a.example", "must be origins without a path"),
        ("OPENROUTER_ALLOW_MANAGEMENT", "key", "must be of auth/keys, byok,"),
        ("OPENROUTER_ALLOW_MANAGEMENT", "all", "must be of auth/keys, byok,"),
        ("OPENROUTER_ALLOW_UNAUTHENTICATED", "ture", "must be true or false"),
    ],
)
def test_bad_lists(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    monkeypatch.setenv(NAME, KEY)
    monkeypatch.setenv(name, value)
    assert fault().startswith(f"{name} {told}")


def test_good_lists(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> None:
    """Spelled as browsers spell them."""
    monkeypatch.setenv(NAME, KEY)
    monkeypatch.setenv(
        "OPENROUTER_ALLOWED_ORIGINS", "HTTPS://A.example:443/, http://b.example:8080,app://obsidian.md,file:///"
    )
    monkeypatch.setenv("OPENROUTER_ALLOWED_HOSTS", "A.example., *.B.example,192.0.2.1")
    monkeypatch.setenv("OPENROUTER_ALLOW_MANAGEMENT", "/Keys/, auth/keys")
    settings = load().settings
    assert settings.allowed_origins == ("https://a.example", "http://b.example:8080", "app://obsidian.md", "file://")
    assert settings.allowed_hosts == ("a.example", "*.b.example", "192.0.2.1")
    assert settings.allow_management == ("keys", "auth/keys")


# Redaction: the last look at what is about to be shown.


@pytest.mark.parametrize("text", [KEY, OWN_KEY, "sk-or-v1-0123456789", "sk-proj-0123456789", "sk-ant-api03-0123456789"])
def test_what_looks_like_a_key_is_hidden(text: str) -> None:
    assert Redaction()(f"/api/v1/{text}?") == f"/api/v1/{HIDDEN}?"
    assert Redaction().finds(text)


@pytest.mark.parametrize(
    "text", ["/api/v1/chat/completions", "task-0123456789", "risk-free-lunch", "gen-1780000000-abc"]
)
def test_what_does_not_is_shown(text: str) -> None:
    assert Redaction([SecretStr(TOKEN)])(text) == text


printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@given(st.lists(printable, min_size=1, max_size=3), st.text(), st.text())
def test_a_configured_secret_is_hidden_wherever_it_stands(secrets: list[str], before: str, after: str) -> None:
    redaction = Redaction(map(SecretStr, secrets))
    for secret in secrets:
        for text in (before + secret + after, json.dumps({"a": before + secret + after})):
            assert redaction.finds(text)
            assert not [part for part in redaction(text).split(HIDDEN) if secret in part]


@given(
    st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40), max_size=3),
    st.text(),
    st.text(),
)
def test_many_secrets_are_hidden_as_few_are(more: list[str], before: str, after: str) -> None:
    """A process with many profiles looks for them in another way."""
    secrets = [*(f"{TOKEN}-{n:04}" for n in range(100)), *more]
    redaction = Redaction(map(SecretStr, secrets))
    for secret in (secrets[0], secrets[57], *more):
        text = before + secret + after
        assert redaction.finds(text)
        assert not [part for part in redaction(text).split(HIDDEN) if secret in part]


def test_secrets_within_secrets() -> None:
    for order in itertools.permutations(["abcdef", "abc", "cde"]):
        assert Redaction(map(SecretStr, order))("<abcdef>") == f"<{HIDDEN}>"


def test_extra_headers_in_a_file_may_end_with_a_newline() -> None:
    """As a key may: most ways to write a file leave one."""
    made = Settings(http_referer="https://app.test/", extra_headers='{"X-Team": "search"}\n')
    assert made.extra_headers == ((b"X-Team", b"search"),)
