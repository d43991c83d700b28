"""Promise 37: a folder is not trusted. Its ``.env`` may say who the app is, and not where the key goes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.settings.model import Settings, option
from proxy.settings.sources import Loaded, SettingsError, load_settings
from proxy.settings.variables import variable
from tests.support.client import get
from tests.support.fixtures import Connect, OpenUpstream
from tests.support.proxies import spawned
from tests.support.secrets import KEY, TOKEN

FLAGS = {"http_referer": "https://app.test/"}
FORBIDDEN = {
    "OPENROUTER_UPSTREAM_URL": "https://any.example",
    "OPENROUTER_OUTBOUND_PROXY": "http://any.example:3128",
    "OPENROUTER_OUTBOUND_PROXY_FILE": "/etc/hostname",
    "OPENROUTER_API_KEY": KEY,
    "OPENROUTER_API_KEY_FILE": "~/.git-credentials",
    "OPENROUTER_ACCESS_TOKEN": TOKEN,
    "OPENROUTER_ACCESS_TOKEN_FILE": "/run/secrets/kubernetes.io/serviceaccount/token",
    "OPENROUTER_ALLOW_UNAUTHENTICATED": "true",
    "OPENROUTER_ALLOWED_HOSTS": "any.example",
    "OPENROUTER_ALLOWED_ORIGINS": "https://evil.example",
    "OPENROUTER_ALLOW_MANAGEMENT": "keys",
    "OPENROUTER_EXTRA_HEADERS": '{"X-Gateway": "CANARY-of-the-author"}',
    "OPENROUTER_EXTRA_HEADERS_FILE": "/etc/hostname",
    "OPENROUTER_APP_VISIBILITY": "hidden",
    "OPENROUTER_LISTEN": "0.0.0.0:6767",
}


def refusal(flags: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as error:
        load_settings(flags or FLAGS)
    [line] = error.value.faults
    return line


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_a_folder_may_not_say(name: str) -> None:
    """Promise 37: one line, which names the variable and the ways out, and not the value."""
    Path(".env").write_text(f"{name}={FORBIDDEN[name]}\n")
    line = refusal()
    assert line.startswith(f".env of this folder may not set {name}: ")
    assert "--env-file .env" in line
    assert "no-config/openrouter-proxy/env" in line
    assert FORBIDDEN[name] not in line


def test_all_of_it_is_one_line() -> None:
    """Promise 37: also where much is wrong, and whatever else is wrong."""
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in FORBIDDEN.items()))
    line = refusal({"http_referer": "no URL"})
    assert all(name in line for name in FORBIDDEN)


def test_a_new_setting_is_not_for_a_folder_to_say_unless_it_is_declared() -> None:
    """Promise 37: the list of what a folder may say is short, and this test has to be changed to make it longer."""
    may = {field for field in Settings.model_fields if option(field).by_folder}
    assert may == {
        *("http_referer", "app_title", "app_categories", "attribution_mode", "listen", "log_level", "log_format"),
        *("connect_timeout", "response_timeout", "idle_timeout", "shutdown_grace", "warm_connections"),
    }


def test_what_a_folder_may_say() -> None:
    """Promise 37: who the app is, the mode, logging, timeouts, a loopback address."""
    Path(".env").write_text(
        "OR_SITE_URL=https://folder.test/\nOPENROUTER_APP_TITLE=Folder\nOPENROUTER_APP_CATEGORIES=game\n"
        "OPENROUTER_ATTRIBUTION_MODE=fill\nOPENROUTER_LOG_LEVEL=debug\nOPENROUTER_IDLE_TIMEOUT=7\n"
        "OPENROUTER_LISTEN=[::1]:7777\nOPENROUTER_MODEL=openrouter/auto\nOPENAI_API_KEY=sk-proj-of-another-program\n"
    )
    loaded = load_settings({})
    assert loaded.settings == Settings(
        http_referer="https://folder.test/",
        app_title="Folder",
        app_categories="game",
        attribution_mode="fill",
        log_level="debug",
        idle_timeout=7,
        listen="[::1]:7777",
    )
    assert loaded.warnings == ()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_a_loopback_address(address: str) -> None:
    Path(".env").write_text(f"OPENROUTER_LISTEN={address}\n")
    assert load_settings(FLAGS).settings.listen.is_loopback


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "192.168.1.1:1", "proxy.example:1", "0:1"])
def test_an_address_beyond_loopback(address: str) -> None:
    Path(".env").write_text(f"OPENROUTER_LISTEN={address}\n")
    assert "may not set OPENROUTER_LISTEN" in refusal()


@pytest.mark.parametrize("by_flag", [True, False])
def test_an_identity_is_one_thing(by_flag: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a parameter
    """Promise 37: a folder does not rename the app that the environment or a flag names."""
    flags = FLAGS if by_flag else {}
    if not by_flag:
        monkeypatch.setenv("OPENROUTER_HTTP_REFERER", FLAGS["http_referer"])
    Path(".env").write_text(
        "OPENROUTER_HTTP_REFERER=https://folder.test/\nOPENROUTER_APP_TITLE=Evil\nOPENROUTER_APP_CATEGORIES=game\n"
    )
    settings = load_settings(flags).settings
    assert (settings.http_referer, settings.app_title, settings.app_categories) == ("https://app.test/", None, ())
    Path(".env").write_text("OPENROUTER_APP_TITLE=Evil\n")
    loaded = load_settings(flags)
    assert loaded.settings.app_title is None
    [warning] = loaded.warnings
    named = "--http-referer" if by_flag else "OPENROUTER_HTTP_REFERER"
    assert warning == (
        f"OPENROUTER_APP_TITLE (in .env) is not used: it belongs to an app, and {named} names another one"
    )


@pytest.mark.parametrize("mode", ["fill", "passthrough"])
def test_no_folder_hides_an_app_that_somebody_else_has_named(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 37: its mode is for the app that it names itself; for no profile either."""
    Path(".env").write_text(f"OPENROUTER_ATTRIBUTION_MODE={mode}\n")
    loaded = load_settings(FLAGS)
    assert loaded.settings.attribution_mode == "override"
    assert loaded.warnings == (
        "OPENROUTER_ATTRIBUTION_MODE (in .env) is not used: it belongs to an app, and --http-referer names another one",
    )
    assert load_settings({**FLAGS, "attribution_mode": "fill"}).settings.attribution_mode == "fill"
    Path(".env").write_text(f"OPENROUTER_ATTRIBUTION_MODE={mode}\nOPENROUTER_HTTP_REFERER=https://folder.test/\n")
    assert load_settings({}).settings.attribution_mode == mode
    monkeypatch.setenv("OPENROUTER_PROFILES__TEAM_A__HTTP_REFERER", "https://team.test/")
    assert load_settings({}).profiles["team-a"].settings.attribution_mode == "override"


def test_a_profile_without_an_app_has_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 37: as it has the default's from anywhere else, and the mode with it."""
    Path(".env").write_text("OPENROUTER_ATTRIBUTION_MODE=fill\nOPENROUTER_HTTP_REFERER=https://folder.test/\n")
    monkeypatch.setenv("OPENROUTER_PROFILES__TEAM_A__API_KEY", KEY)
    settings = load_settings({}).profiles["team-a"].settings
    assert (settings.http_referer, settings.attribution_mode) == ("https://folder.test/", "fill")


def test_the_users_own_mode_is_for_each_app() -> None:
    """Promise 37: what the user's own file says needs no app beside it."""
    users = Path("no-config/openrouter-proxy/env")
    users.parent.mkdir(parents=True)
    users.write_text("OPENROUTER_ATTRIBUTION_MODE=fill\n")
    assert load_settings(FLAGS).settings.attribution_mode == "fill"


def test_an_identity_is_one_thing_among_the_users_own_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A title beside another app's URL would rename that app."""
    users = Path("no-config/openrouter-proxy/env")
    users.parent.mkdir(parents=True)
    users.write_text("OPENROUTER_HTTP_REFERER=https://usual.test/\nOPENROUTER_APP_TITLE=Usual\n")
    Path("my.env").write_text("OPENROUTER_HTTP_REFERER=https://special.test/\n")
    settings = load_settings({}, env_file="my.env").settings
    assert (settings.http_referer, settings.app_title) == ("https://special.test/", None)
    assert load_settings({}).settings.app_title == "Usual"
    assert load_settings({"app_title": "By flag"}).settings.app_title == "By flag"


def test_what_the_environment_says_in_the_same_words_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 37: editors and version managers load a folder's file into the environment unasked."""
    monkeypatch.setenv("OPENROUTER_UPSTREAM_URL", "https://any.example")
    Path(".env").write_text("OPENROUTER_UPSTREAM_URL=https://any.example\n")
    assert "OPENROUTER_UPSTREAM_URL" in refusal()
    assert load_settings(FLAGS, env_file=".env").settings.upstream_url.host == "any.example"


# The ways out.


def test_a_named_file_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 37: by flag or by variable; also if it is the folder's own."""
    for file in ("my.env", ".env"):
        Path(file).write_text(f"OPENROUTER_UPSTREAM_URL=https://gw.example\nOPENROUTER_API_KEY={KEY}\n")
        loaded = load_settings(FLAGS, env_file=file)
        assert str(loaded.settings.upstream_url) == "https://gw.example"
        assert loaded.sources["upstream_url"] == f"{file} OPENROUTER_UPSTREAM_URL"
        assert loaded.settings.api_key is not None
    assert load_settings(FLAGS, env_file=str(Path(".env").resolve())).settings.api_key is not None
    monkeypatch.setenv("OPENROUTER_ENV_FILE", "my.env")
    assert load_settings(FLAGS).sources["api_key"] == "my.env OPENROUTER_API_KEY"


def test_a_named_file_that_others_can_write_is_warned_about() -> None:
    """Promise 37: it is believed, as the user has named it, but not without a word."""
    Path("my.env").write_text("OPENROUTER_LOG_LEVEL=debug\n")
    Path("my.env").chmod(0o666)
    loaded = load_settings(FLAGS, env_file="my.env")
    assert loaded.settings.log_level == "debug"
    assert loaded.warnings == (
        "my.env can be written by other users of this machine, who could say where your requests go: chmod go-w it",
    )


def test_whoever_names_a_file_is_not_stopped_by_the_folders() -> None:
    """Its lines that it may not say are left out, and that is said; so is all of a file that is not to be believed."""
    Path("my.env").write_text("OPENROUTER_LOG_LEVEL=debug\n")
    Path(".env").write_text(f"OPENROUTER_API_KEY={KEY}\n")
    loaded = load_settings(FLAGS, env_file="my.env")
    assert loaded.settings.api_key is None
    assert loaded.settings.log_level == "debug"
    [warning] = loaded.warnings
    assert warning.startswith(".env of this folder may not set OPENROUTER_API_KEY: ")


def test_the_users_own_file_is_always_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise 37: below XDG_CONFIG_HOME, or ~/.config where that is unset or no absolute path."""
    for base, home in (("xdg", None), ("home/.config", ""), ("home/.config", "relative")):
        path = tmp_path / base / "openrouter-proxy/env"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"OPENROUTER_API_KEY={KEY}\n")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / base) if home is None else home)
        loaded = load_settings(FLAGS, folder=None)
        assert loaded.settings.api_key is not None
        shown = path if home is None else "~/.config/openrouter-proxy/env"
        assert loaded.sources["api_key"] == f"{shown} OPENROUTER_API_KEY"


def test_the_order_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag, the environment, the named file, the user's own, the folder's, the default."""
    users = Path("no-config/openrouter-proxy/env")
    users.parent.mkdir(parents=True)
    timeouts = ["idle_timeout", "response_timeout", "connect_timeout", "shutdown_grace"]
    for n, path in enumerate((Path("my.env"), users, Path(".env"))):
        path.write_text("".join(f"{variable(field)}={n + 1}\n" for field in timeouts[n:]))
    settings = load_settings(FLAGS, env_file="my.env").settings
    assert [getattr(settings, field) for field in timeouts] == [1, 1, 1, 1]
    settings = load_settings(FLAGS).settings
    assert [getattr(settings, field) for field in timeouts] == [300, 2, 2, 2]
    users.unlink()
    monkeypatch.setenv("OPENROUTER_CONNECT_TIMEOUT", "8")
    settings = load_settings({**FLAGS, "shutdown_grace": "9"}).settings
    assert [getattr(settings, field) for field in timeouts] == [300, 600, 8, 9]


def test_a_folder_can_be_left_out() -> None:
    """Promise 37: as ``run`` does."""
    Path(".env").write_text("OPENROUTER_LOG_LEVEL=debug\nOPENROUTER_UPSTREAM_URL=https://any.example\n")
    assert load_settings(FLAGS, folder=None).settings == Settings(http_referer=FLAGS["http_referer"])


@pytest.mark.parametrize("path", ["nowhere.env", "folder", "latin.env", "big.env", "nul\0.env"])
def test_a_named_file_that_cannot_be_used(path: str) -> None:
    """Whoever names a file wants it read."""
    Path("folder").mkdir()
    Path("latin.env").write_bytes(b"OPENROUTER_APP_TITLE=Caf\xe9\n")
    Path("big.env").write_bytes(b"#" * 65537)
    with pytest.raises(SettingsError) as error:
        load_settings(FLAGS, env_file=path)
    [line] = error.value.faults
    assert line.isprintable()


def test_a_named_file_may_be_a_pipe() -> None:
    """``--env-file <(pass show openrouter)``."""
    reader, writer = os.pipe()
    os.write(writer, f"OPENROUTER_API_KEY={KEY}\n".encode())
    os.close(writer)
    assert load_settings(FLAGS, env_file=f"/dev/fd/{reader}").settings.api_key is not None
    os.close(reader)


# How the file is read.


def a_pipe() -> None:
    os.mkfifo(".env")


def a_link_to_zero() -> None:
    Path(".env").symlink_to("/dev/zero")


def a_link_to_a_file() -> None:
    Path("elsewhere").write_text("OPENROUTER_LOG_LEVEL=debug\n")
    Path(".env").symlink_to("elsewhere")


def a_device() -> None:
    try:
        os.mknod(".env", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


def too_much() -> None:
    Path(".env").write_bytes(b"#" * (64 * 1024) + b"\n")


def ten_megabytes() -> None:
    Path(".env").write_bytes(b"#" * 10_000_000)


def writable_by_all() -> None:
    Path(".env").touch()
    Path(".env").chmod(0o666)


def another_users() -> None:
    Path(".env").touch()
    try:
        os.chown(".env", 12345, 12345)
    except PermissionError:
        pytest.skip("only root gives files away")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (a_pipe, "is not a regular file"),
        (a_link_to_zero, "is a link"),
        (a_link_to_a_file, "is a link"),
        (a_device, "is not a regular file"),
        (too_much, "is larger than 64 KiB"),
        (ten_megabytes, "is larger than 64 KiB"),
        (writable_by_all, "can be written by other users"),
        (another_users, "belongs to another user"),
    ],
)
def test_a_file_that_is_not_to_be_believed(made: Callable[[], None], said: str) -> None:
    """Promise 37: refused at once, in one line; whoever names another file is only told."""
    made()
    assert refusal().startswith(f".env {said}")
    Path("my.env").touch()
    [warning] = load_settings(FLAGS, env_file="my.env").warnings
    assert warning.startswith(f".env {said}")


def test_64_kib_are_enough() -> None:
    line = "OPENROUTER_LOG_LEVEL=debug\n"
    Path(".env").write_text(line + "#" * (64 * 1024 - len(line)))
    assert load_settings(FLAGS).settings.log_level == "debug"


def test_a_file_for_the_users_own_group_is_the_users() -> None:
    """Where each user has a group of their own, files are written for it (umask 002)."""
    Path(".env").write_text("OPENROUTER_LOG_LEVEL=debug\n")
    Path(".env").chmod(0o664)
    own = os.geteuid() == 0  # root's group is root
    assert own == isinstance(attempted(), Loaded)
    os.chown(".env", -1, 4) if own else None  # another group
    assert isinstance(attempted(), SettingsError)


def attempted() -> Loaded | SettingsError:
    try:
        return load_settings(FLAGS)
    except SettingsError as error:
        return error


def test_the_users_own_file_may_be_a_link_and_not_for_others_to_write(tmp_path: Path) -> None:
    """Many keep such files in a repository."""
    (tmp_path / "dotfiles").write_text("OPENROUTER_LOG_LEVEL=debug\n")
    users = tmp_path / "no-config/openrouter-proxy/env"
    users.parent.mkdir(parents=True)
    users.symlink_to(tmp_path / "dotfiles")
    assert load_settings(FLAGS).settings.log_level == "debug"
    (tmp_path / "dotfiles").chmod(0o666)
    assert refusal().startswith(f"{users} can be written by other users")


# The process.


@pytest.mark.parametrize("command", ["serve", "check"])
async def test_a_process_in_a_foreign_folder(command: str, upstream: OpenUpstream, tmp_path: Path) -> None:
    """Promise 37: the user's key in the environment, the destination in a cloned folder: nothing is sent."""
    thief = await upstream()
    (tmp_path / ".env").write_text(f"OPENROUTER_UPSTREAM_URL={thief.url}\n")
    async with spawned(command, cwd=tmp_path, api_key=KEY) as child:
        assert await child.exit_code() == 2
    [line] = child.stderr.splitlines()
    assert line.startswith("error: .env of this folder may not set OPENROUTER_UPSTREAM_URL")
    assert child.stdout == ""
    assert not thief.connections


async def test_a_process_with_a_named_file(upstream: OpenUpstream, connect: Connect, tmp_path: Path) -> None:
    """Promise 37: the flag, as the line above says it."""
    behind = await upstream()
    (tmp_path / ".env").write_text(f"OPENROUTER_UPSTREAM_URL={behind.url}\nOPENROUTER_API_KEY={KEY}\n")
    async with spawned("--env-file", ".env", cwd=tmp_path) as child:
        await child.until(lambda: "listening on" in child.stdout, "the start")
        child.port = int(child.stdout.partition("http://127.0.0.1:")[2].partition('"')[0])
        client = await connect(child)
        assert (await client.ask(get())).status == 200
    assert behind.requests[0].values("authorization") == [f"Bearer {KEY}".encode()]
