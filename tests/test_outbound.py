"""Which outbound proxy is used: what the environment says, what the setting says, and that no password is shown."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.commands.banner import banner, facts
from proxy.faults import Faulty
from proxy.settings.model import Settings
from proxy.settings.outbound_proxy import OutboundProxy, is_exempt
from proxy.settings.sources import SettingsError, load_settings

REFERER = "https://github.com/you/app"
SECRET = "CANARY%2Fword"
URL = f"http://someone:{SECRET}@proxy.corp:3128"


def used(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """How the upstream is reached in that environment, as the start line tells it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return str(facts(load_settings({"http_referer": REFERER}), 6767)["reached"])


# What it means.


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://proxy.corp:3128/", "http://proxy.corp:3128"),
        ("HTTP://Proxy.Corp", "http://proxy.corp:80"),
        ("proxy.corp:3128", "http://proxy.corp:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("socks5://proxy.corp", "socks5://proxy.corp:1080"),
        ("socks://127.0.0.1:1080/", "socks5h://127.0.0.1:1080"),  # as GNOME writes ALL_PROXY
        ("socks5h://127.0.0.1:9050", "socks5h://127.0.0.1:9050"),
        ("socks4a://someone@proxy.corp", "socks4a://proxy.corp:1080"),
        (URL, "http://proxy.corp:3128"),
        ("http://someone@proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://someone:@proxy.corp:3128", "http://proxy.corp:3128"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """As curl takes them; shown without user and password, also by repr."""
    proxy = OutboundProxy.parse(url)
    assert str(proxy) == shown
    assert "someone" not in repr(proxy)
    assert "CANARY" not in repr(proxy)


def test_credentials_are_decoded() -> None:
    proxy = OutboundProxy.parse("http://some%20one:p%C3%A9%3A@proxy.corp:3128")
    assert proxy.user == "some one"
    assert proxy.password is not None
    assert proxy.password.get_secret_value() == "p\u00e9:"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            " ",
            "http://",
            "http://:3128",
            "ftp://proxy.corp",
            "proxy.corp:port",
        ),
        *(
            "http://a b",
            "http://proxy.corp:0",
            "http://proxy.corp:99999",
            "http://proxy.corp:3128/path",
            "http://proxy.corp?q",
        ),
        *("http://someone:CANARY/word@proxy.corp:3128", "http://someone:CANARY#word@proxy.corp", '"http://proxy.corp"'),
        *("http://someone:CANARY%FF@proxy.corp", "http://some%3Aone:CANARY@proxy.corp", "http://proxy.corp\n:1"),
        *("https://someone:CANARY@proxy.corp", "socks4a://someone:CANARY@proxy.corp", "socks5://someone@proxy.corp"),
        *("socks5://:CANARY@proxy.corp", "socks5://someone:CANARY%C3%A9@proxy.corp", f"socks5://a:{'C' * 256}@proxy"),
        *(
            "off",
            "Direct",
            "http://1.2.3.999:1",
            "http://-x:1",
            "http://proxy..corp:1",
            "socks5://a%00b:CANARY@proxy.corp",
        ),
    ],
)
def test_no_urls(url: str) -> None:
    """What cannot be one is refused, and its words show nothing of it."""
    with pytest.raises(Faulty) as refused:
        OutboundProxy.parse(url)
    for word in ("CANARY", "someone", "word@"):
        assert word not in str(refused.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "openrouter.ai", False),
        ("openrouter.ai", "openrouter.ai", True),
        ("OpenRouter.AI", "openrouter.ai", True),
        ("openrouter.ai", "eu.openrouter.ai", True),
        (".openrouter.ai", "openrouter.ai", True),
        ("*.openrouter.ai", "eu.openrouter.ai", True),
        ("router.ai", "openrouter.ai", False),
        ("openrouter.ai", "openrouter.ai.example", False),
        ("openrouter.ai:443", "openrouter.ai", True),
        ("openrouter.ai:8443", "openrouter.ai", False),
        ("localhost, 127.0.0.1 ,openrouter.ai", "openrouter.ai", True),
        ("localhost openrouter.ai", "openrouter.ai", True),
        ("openrouter.ai", "openrouter.ai.", True),
        ("*", "openrouter.ai", True),
        ("localhost,*", "openrouter.ai", True),
        (",,", "openrouter.ai", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "openrouter.ai", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
        ("fd00::1", "fd00::1", True),
        ("fd00::2", "fd00::1", False),
        ("10.0.0.0/99", "10.1.2.3", False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, exempt: bool) -> None:  # noqa: FBT001 - a table's cell
    """What the standard library reads, and what it lacks."""
    assert is_exempt(host, 443, no_proxy) is exempt


# Who says it.


@pytest.mark.parametrize(
    ("environment", "reached"),
    [
        ({}, "direct"),
        ({"OPENROUTER_OUTBOUND_PROXY": "auto"}, "direct"),
        ({"OPENROUTER_OUTBOUND_PROXY": "none"}, "direct (OPENROUTER_OUTBOUND_PROXY)"),
        ({"ALL_PROXY": "socks://127.0.0.1:1080/"}, "through socks5h://127.0.0.1:1080 (ALL_PROXY)"),
        ({"HTTPS_PROXY": URL}, "through http://proxy.corp:3128 (HTTPS_PROXY)"),
        ({"https_proxy": URL}, "through http://proxy.corp:3128 (https_proxy)"),
        ({"ALL_PROXY": "socks5://proxy.corp"}, "through socks5://proxy.corp:1080 (ALL_PROXY)"),
        ({"all_proxy": "socks5://proxy.corp"}, "through socks5://proxy.corp:1080 (all_proxy)"),
        ({"ALL_PROXY": "socks5://b", "HTTPS_PROXY": "http://a"}, "through http://a:80 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, "through http://b:80 (https_proxy)"),
        ({"HTTP_PROXY": "http://a"}, "direct"),
        ({"HTTPS_PROXY": ""}, "direct"),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": ".ai"}, "direct (NO_PROXY)"),
        ({"HTTPS_PROXY": "http://a", "no_proxy": "*"}, "direct (no_proxy)"),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": "example.com"}, "through http://a:80 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a", "OPENROUTER_OUTBOUND_PROXY": "auto"}, "through http://a:80 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a", "OPENROUTER_OUTBOUND_PROXY": "none"}, "direct (OPENROUTER_OUTBOUND_PROXY)"),
        (
            {"HTTPS_PROXY": "http://a", "OPENROUTER_OUTBOUND_PROXY": "http://b", "NO_PROXY": "*"},
            "through http://b:80 (OPENROUTER_OUTBOUND_PROXY)",
        ),
        ({"HTTPS_PROXY": "http://a", "OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:1"}, "direct"),
        ({"HTTPS_PROXY": "http://a", "OPENROUTER_UPSTREAM_URL": "https://localhost:1"}, "direct"),
        (
            {"OPENROUTER_OUTBOUND_PROXY": "http://b", "OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:1"},
            "through http://b:80 (OPENROUTER_OUTBOUND_PROXY)",
        ),
    ],
)
def test_the_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], reached: str) -> None:
    """HTTPS_PROXY, else ALL_PROXY, unless NO_PROXY names the upstream or it is on this machine; the setting wins."""
    assert used(monkeypatch, **environment) == reached


def test_a_secret_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A URL with a password may stand in a file, as other secrets may."""
    file = tmp_path / "outbound"
    file.write_text(URL + "\n")
    shown = used(monkeypatch, OPENROUTER_OUTBOUND_PROXY_FILE=str(file))
    assert shown == "through http://proxy.corp:3128 (OPENROUTER_OUTBOUND_PROXY_FILE)"


def test_settings_made_by_code_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo and the tests build them so: what the machine is behind does not matter to them."""
    monkeypatch.setenv("HTTPS_PROXY", URL)
    assert Settings(http_referer=REFERER).outbound is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy", "OPENROUTER_OUTBOUND_PROXY"])
@pytest.mark.parametrize("url", ["http://someone:CANARY/word@proxy.corp:3128", "https://someone:CANARY@proxy.corp"])
def test_a_bad_one_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    """Promise 31: one line that names the variable as it was written, and shows nothing of its value."""
    monkeypatch.setenv(name, url)
    result = CliRunner().invoke(cli, ["check", "--http-referer", REFERER])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {name} ")
    assert result.stderr.count("\n") == 1
    assert "CANARY" not in result.output
    assert "someone" not in result.output


@pytest.mark.parametrize("more", [{"NO_PROXY": "*"}, {"OPENROUTER_OUTBOUND_PROXY": "none"}])
def test_a_bad_one_that_is_not_used_stops_nothing(monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    assert used(monkeypatch, HTTPS_PROXY="https://proxy.corp", **more).startswith("direct")


def test_this_proxy_is_not_its_own_outbound_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some set HTTPS_PROXY to it, where a tool wants a base URL."""
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:6767")
    with pytest.raises(SettingsError) as refused:
        load_settings({"http_referer": REFERER})
    assert str(refused.value).startswith("HTTPS_PROXY is this proxy's own address")


# What is shown.


def test_check_and_the_banner_tell_the_way_and_not_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 28: neither they nor the settings themselves show it."""
    monkeypatch.setenv("HTTPS_PROXY", URL)
    loaded = load_settings({"http_referer": REFERER})
    report = CliRunner().invoke(cli, ["check", "--http-referer", REFERER])
    assert report.exit_code == 0
    assert "  reached   through http://proxy.corp:3128 (HTTPS_PROXY)\n" in report.output
    lines = [line.split() for line in report.output.splitlines()]
    assert ["OPENROUTER_OUTBOUND_PROXY", "http://proxy.corp:3128", "environment", "HTTPS_PROXY"] in lines
    page = banner(loaded, 6767)
    assert "  reached                through http://proxy.corp:3128 (HTTPS_PROXY)\n" in page
    shown: list[Any] = [report.output, page, facts(loaded, 6767), loaded, loaded.settings, loaded.settings.model_dump()]
    for each in shown:
        for text in (str(each), repr(each)):
            assert "CANARY" not in text
            assert "someone" not in text or each is shown[-1]  # the user's name is no secret


def test_a_password_is_hidden_from_the_log_unless_it_may_be_any_word(monkeypatch: pytest.MonkeyPatch) -> None:
    for password, hidden in (("CANARY-long", True), ("a", False)):
        settings = Settings(http_referer=REFERER, outbound_proxy=f"http://u:{password}@proxy.corp:1")
        assert [secret.get_secret_value() for secret in settings.secrets] == ([password] if hidden else [])
