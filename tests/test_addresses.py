"""Where the proxy listens, and what it calls."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.faults import Faulty
from proxy.host_names import ip_address, is_loopback
from proxy.settings.addresses import Listen, Upstream
from proxy.settings.model import Settings


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:6767", Listen("127.0.0.1", 6767)),
        ("0.0.0.0:0", Listen("0.0.0.0", 0)),
        ("[::1]:6767", Listen("::1", 6767)),
        ("[::]:65535", Listen("::", 65535)),
        ("localhost:80", Listen("localhost", 80)),
        ("my-host.example:8080", Listen("my-host.example", 8080)),
    ],
)
def test_listen_is_host_and_port(text: str, listen: Listen) -> None:
    assert Listen.parse(text) == listen
    assert str(listen) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("6767", "write 127.0.0.1:6767"),
        (":6767", "write 127.0.0.1:6767"),
        ("localhost", "write localhost:6767"),
        ("0.0.0.0", "write 0.0.0.0:6767"),
        ("*:80", "write 0.0.0.0:80"),
        ("http://127.0.0.1:80/", "write 127.0.0.1:80"),
        ("::1", "write [::1]:6767"),
        ("::1:8080", "write [::1]:8080"),
        ("127.0.0.1:65536", "for example 127.0.0.1:6767"),
        ("127.0.0.1:-1", "for example"),
        ("127.0.0.1:", "for example"),
        ("127.0.0.1:80 ", "for example"),
        ("256.0.0.1:80", "for example"),
        ("[1.2.3.4]:80", "for example"),
        ("[::g]:80", "for example"),
        ("a b:80", "for example"),
        ("", "for example"),
    ],
)
def test_a_faulty_listen_address_is_refused_with_the_likely_one(text: str, hint: str) -> None:
    with pytest.raises(Faulty, match="must be host:port") as error:
        Listen.parse(text)
    assert hint in str(error.value)


@pytest.mark.parametrize(
    ("text", "upstream", "normal"),
    [
        ("https://openrouter.ai", Upstream("https", "openrouter.ai", 443), "https://openrouter.ai"),
        ("https://openrouter.ai/", Upstream("https", "openrouter.ai", 443), "https://openrouter.ai"),
        ("HTTPS://OpenRouter.AI:443", Upstream("https", "openrouter.ai", 443), "https://openrouter.ai"),
        ("https://gw.example:8443/team-a/", Upstream("https", "gw.example", 8443, "/team-a"), None),
        ("http://127.0.0.1:8080", Upstream("http", "127.0.0.1", 8080), None),
        ("http://localhost/x", Upstream("http", "localhost", 80, "/x"), None),
        ("http://[::1]:9000/a/b", Upstream("http", "::1", 9000, "/a/b"), None),
    ],
)
def test_an_upstream_is_an_origin_with_an_optional_prefix(text: str, upstream: Upstream, normal: str | None) -> None:
    assert Upstream.parse(text) == upstream
    assert str(upstream) == (normal or text.rstrip("/"))


def test_an_authority_names_the_port_unless_it_is_the_schemes_own() -> None:
    assert Upstream.parse("https://openrouter.ai").authority == "openrouter.ai"
    assert Upstream.parse("https://openrouter.ai:80").authority == "openrouter.ai:80"
    assert Upstream.parse("http://[::1]:8080/x").authority == "[::1]:8080"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("openrouter.ai", 'must be an origin such as https://openrouter.ai, with an optional path prefix, not "openr'),
        ("ftp://openrouter.ai", "must be an origin"),
        ("https://", "must be an origin"),
        ("https://openrouter.ai:99999", "must be an origin"),
        ("https://[::1", "must be an origin"),
        (" https://openrouter.ai", "must be an origin"),
        ("https://openrouter.ai ", "must be an origin"),
        ("https://openrouter.ai?a=b", "no query or fragment"),
        ("https://openrouter.ai/#", "no query or fragment"),
        ("https://gw.example/a//b", "empty segments"),
        ("https://gw.example/a/../b", '".."'),
        ("https://gw.example/%2e%2e", '".."'),
        ("https://user:hunter2@openrouter.ai", "holds a user name or password"),
        ("https://b\u00fccher.example", "write the host as xn--bcher-kva.example"),
        ("https://openrouter.ai/\u00e4", "write it in ASCII"),
        ("https://" + "\u00e4" * 64 + ".example", "write it in ASCII"),  # too long for a name in punycode
        ("https://openrouter.ai/api/v1", "must not end with /api/v1"),
        ("https://openrouter.ai/api", "write https://openrouter.ai"),
    ],
)
def test_a_faulty_upstream_is_refused(text: str, fault: str) -> None:
    with pytest.raises(Faulty) as error:
        Upstream.parse(text)
    assert fault in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("text", ["http://openrouter.ai", "http://192.168.1.10:8080", "http://litellm:4000"])
def test_an_upstream_in_clear_beyond_this_machine_has_to_be_allowed(text: str) -> None:
    """As a gateway in a Compose network may have to be called."""
    with pytest.raises(ValueError, match="must start with https://"):
        Settings(http_referer="https://app.test/", upstream_url=text)
    settings = Settings(http_referer="https://app.test/", upstream_url=text, allow_plaintext_upstream="true")
    assert settings.doubts["upstream_url"] == ["is http:// beyond this machine: keys and prompts travel unencrypted"]
    assert not Settings(http_referer="https://app.test/", upstream_url="http://127.0.0.1:1").doubts["upstream_url"]


def test_a_prefix_that_repeats_the_apis_paths_is_warned_about() -> None:
    assert Upstream.parse("https://gw.example/openrouter").warnings() == []
    assert Upstream.parse("https://gw.example/openrouter/api/v1").warnings() == [
        (
            "ends with /openrouter/api/v1, and the tools' own paths begin so too: "
            "requests go to https://gw.example/openrouter/api/v1/api/v1/..."
        )
    ]


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1:6767", "http://127.0.0.1:6767"),
        ("127.0.0.1:6767", "http://localhost:6767"),
        ("127.0.0.1:6767", "http://LOCALHOST.:6767/prefix"),
        ("127.0.0.1:6767", "http://127.1:6767"),
        ("127.0.0.1:6767", "http://2130706433:6767"),
        ("127.0.0.1:6767", "http://0x7f000001:6767"),
        ("127.0.0.1:6767", "http://0.0.0.0:6767"),
        ("127.0.0.1:6767", "http://[::ffff:127.0.0.1]:6767"),
        ("127.0.0.1:6767", "https://127.0.0.1:6767"),
        ("localhost:6767", "http://127.0.0.1:6767"),
        ("localhost:6767", "http://[::1]:6767"),
        ("0.0.0.0:6767", "http://127.0.0.1:6767"),
        ("0.0.0.0:6767", "http://127.0.0.2:6767"),
        ("0.0.0.0:6767", "http://localhost:6767"),
        ("[::]:6767", "http://127.0.0.1:6767"),
        ("[::]:6767", "http://[::1]:6767"),
        ("[::1]:6767", "http://[0:0::1]:6767"),
        ("192.168.1.10:6767", "https://192.168.1.10:6767"),
        ("proxy.example:443", "https://PROXY.example"),
        ("127.0.0.1:80", "http://localhost"),
    ],
)
def test_the_proxys_own_address_is_recognised(listen: str, upstream: str) -> None:
    assert Upstream.parse(upstream).reaches(Listen.parse(listen))


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1:6767", "https://openrouter.ai"),
        ("127.0.0.1:6767", "http://127.0.0.1:6768"),
        ("127.0.0.1:6767", "http://127.0.0.2:6767"),
        ("127.0.0.1:6767", "http://[::1]:6767"),
        ("127.0.0.1:6767", "https://192.168.1.10:6767"),
        ("127.0.0.1:0", "http://127.0.0.1:8080"),
    ],
)
def test_another_server_is_not(listen: str, upstream: str) -> None:
    assert not Upstream.parse(upstream).reaches(Listen.parse(listen))


@pytest.mark.parametrize(
    "host", ["example.com", "1.2.3.4", "localhost.example", "127.0.0.1.example", "::2", "0x7f.1 x", "127.0.0.256", ""]
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


@given(st.text() | st.from_regex(r"(https?://)?[a-z0-9.:/@\[\]-]{1,30}", fullmatch=True))
@pytest.mark.parametrize("parse", [Listen.parse, Upstream.parse], ids=["listen", "upstream"])
def test_text_is_an_address_or_a_printable_fault(parse: Callable[[str], object], text: str) -> None:
    try:
        value = parse(text)
    except Faulty as error:
        value, faults = None, error.faults
    else:
        faults = ()
    assert value is None or parse(str(value)) == value
    assert all(fault.isascii() and fault.isprintable() for fault in faults)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_ip_address_survives_its_spelling(ip: object, port: int) -> None:
    listen = Listen(str(ip), port)
    assert Listen.parse(str(listen)) == listen
    assert ip_address(str(ip)) is not None
