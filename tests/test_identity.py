"""What OpenRouter accepts as an identity, and what it does with it without saying so."""

import h11
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.openrouter import identity
from proxy.openrouter.attribution import Attribution
from proxy.openrouter.identity import KNOWN_CATEGORIES

LOOPBACK_URLS = [
    "http://localhost",
    "http://LOCALHOST:3000/",
    "http://localhost.",
    "http://app.localhost:8080/x",
    "http://127.0.0.1",
    "http://127.0.0.1.",
    "http://127.1",
    "http://127.255.255.254",
    "http://0x7f.1",
    "http://0177.0.0.1",
    "http://2130706433",
    "http://017700000001",
    "http://0.0.0.0:3000",
    "http://0",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
]
PUBLIC_URLS = [
    "https://example.com/",
    "https://localhost.example.com/",
    "https://notlocalhost/",
    "https://128.0.0.1/",
    "https://[2001:db8::1]:8443/",
    "https://github.com/you/your-app",
]


@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_loopback_in_any_spelling_needs_a_title(url: str) -> None:
    assert identity.referer_faults(url) == []
    assert len(identity.untitled_faults(url)) == 1
    with pytest.raises(ValueError, match="only with a title"):
        Attribution(url)
    assert Attribution(url, "My App").headers[0] == (b"HTTP-Referer", url.encode())


@pytest.mark.parametrize("url", PUBLIC_URLS)
def test_a_public_url_needs_none(url: str) -> None:
    assert identity.referer_faults(url) == []
    assert Attribution(url).headers == ((b"HTTP-Referer", url.encode()),)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("example.com", "write https://example.com"),
        ("example.com/app", "write https://example.com/app"),
        ("ftp://example.com/", "must be a whole URL"),
        ("//example.com/", "must be a whole URL"),
        ("https:example.com", "must be a whole URL"),
        ("https:///path", "must be a whole URL"),
        ("https://", "must be a whole URL"),
        ("https://example..com/", "must be a whole URL"),
        ("https://.example.com/", "must be a whole URL"),
        ("https://256.1.1.1/", "must be a whole URL"),
        ("https://example.com:0/", "must be a whole URL"),
        ("https://example.com:65536/", "must be a whole URL"),
        ("https://example.com:http/", "must be a whole URL"),
        ("https://[::1", "must be a whole URL"),
        ("https://[example]/", "must be a whole URL"),
        ("https://user@example.com/", "user name or password"),
        ("https://user:hunter2@example.com/", "user name or password"),
        ("https://example.com/#top", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com/a b", "U+0020 SPACE at character 22"),
        (" https://example.com/", "U+0020 SPACE at character 1"),
        ("https://example.com/\n", "U+000A NEWLINE at character 21"),
        ("https://exam\tple.com/", "U+0009 TAB at character 13"),
        ("https://example.com/\x1b[2J", "U+001B ESCAPE at character 21"),
        ("https://example.com/\x7f", "U+007F DELETE at character 21"),
        ("https://bücher.example/", "write https://xn--bcher-kva.example/"),
        ("https://bücher.example:8443/ä?q=ö", "write https://xn--bcher-kva.example:8443/%C3%A4?q=%C3%B6"),
        ("https://example.com/café", "write https://example.com/caf%C3%A9"),
        ("https://straße.example/", "write the host in punycode"),  # IDNA 2003 and 2008 disagree: no guess
        ("https://example.com/\udcff", "the byte 0xFF (not UTF-8) at character 21"),
        ('"https://example.com/"', "has quotes around it"),
        ("<https://example.com/>", "U+003C LESS-THAN SIGN at character 1"),
        ("https://example.com\\@evil.example/", "U+005C REVERSE SOLIDUS"),
        ("sk-or-v1-0123456789abcdef", "looks like an OpenRouter key"),
        ("https://example.com/?key=sk-or-v1-0123", "looks like an OpenRouter key"),
        ("   ", "is blank"),
        ("https://example.com/" + "x" * 2048, "longer than 2048 characters"),
    ],
)
def test_a_referer_that_is_no_app_url_is_refused(url: str, fault: str) -> None:
    assert any(fault in found for found in identity.referer_faults(url)), identity.referer_faults(url)


def test_all_that_is_wrong_with_a_referer_is_told_at_once() -> None:
    assert len(identity.referer_faults("https://u:p@exa mple.com/\né#x")) == 5


@given(st.text(min_size=8, alphabet=st.characters(min_codepoint=65, max_codepoint=90)), st.text(), st.text())
def test_a_password_in_a_referer_is_never_shown(password: str, before: str, after: str) -> None:
    for url in (f"https://user:{password}@example.com/{after}", f"{before}:{password}@{after}"):
        faults = identity.referer_faults(url)
        assert faults
        assert not any(password in fault for fault in faults if password not in before + after)


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("https://example.com", "is stored by OpenRouter with a slash at its end: write https://example.com/"),
        (
            "https://www.example.com/",
            "names www.example.com, another app than example.com to OpenRouter; stored as https://www.example.com/",
        ),
        (
            "https://example.com/app",
            (
                "has a path, so it is another app than https://example.com/ to OpenRouter; "
                "stored as https://example.com/app"
            ),
        ),
        (
            "https://github.com/you/app/",
            'ends with "/", another app than without it to OpenRouter; stored as https://github.com/you/app/',
        ),
        (
            "http://example.com/",
            "starts with http://, another app than with https:// to OpenRouter; stored as http://example.com/",
        ),
        (
            "https://example.com/?a=b",
            'has a query (from "?" on), another app than without it to OpenRouter; stored as https://example.com/?a=b',
        ),
        (
            "https://Example.com/",
            "has upper case in its host, which may be another app than example.com: write that",
        ),
        (
            "https://github.com/",
            "is the address of github.com itself: add the path of your project, as in https://github.com/you/your-app",
        ),
    ],
)
def test_a_spelling_that_is_another_app_is_warned_about(url: str, warning: str) -> None:
    assert identity.referer_warnings(url) == [warning]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://app.example.com/",
        "https://github.com/you/app",
        "https://gitlab.com/group/sub/app",
        "https://codeberg.org/you/app",
        "https://huggingface.co/spaces/you/app",
        "https://you.github.io/app",
        "https://marketplace.visualstudio.com/items?itemName=you.app",
        "http://localhost/",
        "http://127.0.0.1:3000/",
    ],
)
def test_the_usual_spellings_are_not(url: str) -> None:
    assert identity.referer_warnings(url) == []


@pytest.mark.parametrize(
    ("title", "fault"),
    [
        ("   ", "is blank"),
        ("\n", "is blank"),
        (" My App", "begins with a blank (U+0020 at character 1)"),
        ("My App ", "ends with a blank (U+0020 at character 7)"),
        ("My\nApp", "holds U+000A NEWLINE at character 3"),
        ("My App\r", "holds U+000D CARRIAGE RETURN at character 7"),
        ("My\tApp", "holds U+0009 TAB at character 3"),
        ("\x00App", "holds U+0000 NUL at character 1"),
        ("Caf\u00e9", "U+00E9 LATIN SMALL LETTER E WITH ACUTE at character 4: most HTTP software refuses it"),
        ("Caf\u00e9", "write Cafe"),
        ("\u65e5\u672c", "U+65E5 CJK UNIFIED IDEOGRAPH-65E5 at character 1 (and 1 more)"),
        ("App\u200b", "U+200B ZERO WIDTH SPACE at character 4"),
        ("App\x85", "U+0085 a control character at character 4"),
        ("App\udc80", "the byte 0x80 (not UTF-8) at character 4"),
        ("x" * 201, "has 201 characters: shorten it to 200"),
        ("sk-or-v1-0123456789", "looks like an OpenRouter key"),
    ],
)
def test_a_title_that_cannot_travel_is_refused(title: str, fault: str) -> None:
    assert any(fault in found for found in identity.title_faults(title)), identity.title_faults(title)


def test_a_title_may_be_any_printable_ascii() -> None:
    assert identity.title_faults("".join(map(chr, range(0x21, 0x7F)))) == []
    assert identity.title_faults("x" * 200) == []


def test_a_title_in_quotes_is_warned_about() -> None:
    assert identity.title_warnings('"My App"') == [
        "is sent with the quotes around it: write My App (docker --env-file keeps quotes)"
    ]
    assert identity.title_warnings('The "App"') == []


@pytest.mark.parametrize(
    ("categories", "faults"),
    [
        (("cli-agent", "game"), []),
        (("something-new",), []),
        (
            ("cli-agent", "game", "legal", "roleplay"),
            ['names 4 categories, but OpenRouter takes 2: "legal", "roleplay" would be lost; keep the 2 that fit best'],
        ),
        (("Cli-Agent",), ['holds "Cli-Agent", which would be lost (upper case); did you mean cli-agent?']),
        (
            ("ide_extension",),
            [
                (
                    'holds "ide_extension", which would be lost (other characters than a-z, 0-9 and -); '
                    "did you mean ide-extension?"
                )
            ],
        ),
        (
            ("programming-app-for-programmers",),
            [
                (
                    'holds "programming-app-for-programmers", which would be lost (longer than 30 characters); '
                    "did you mean programming-app?"
                )
            ],
        ),
        (("game", "game"), ['holds "game" 2 times: write it once']),
    ],
)
def test_a_category_that_would_be_lost_is_refused(categories: tuple[str, ...], faults: list[str]) -> None:
    assert identity.category_faults(categories) == faults


def test_an_unknown_category_is_only_warned_about() -> None:
    assert identity.category_warnings(("cli-agnt", "game")) == [
        (
            'holds "cli-agnt", unknown when this version was made: OpenRouter drops unknown ones without an error; '
            "did you mean cli-agent?"
        )
    ]
    (warning,) = identity.category_warnings(("zzz",))
    assert warning.endswith(f"known are {', '.join(KNOWN_CATEGORIES)}")
    assert identity.category_warnings(KNOWN_CATEGORIES) == []
    assert identity.category_faults(KNOWN_CATEGORIES[:2]) == []


def test_visibility_is_hidden_or_nothing() -> None:
    assert identity.visibility_faults("hidden") == []
    assert identity.visibility_faults("public") == ['must be "hidden" or unset, not "public"']


@pytest.mark.parametrize(
    ("referer", "stored"),
    [
        ("https://example.com", "https://example.com/"),
        ("https://example.com:8443", "https://example.com:8443/"),
        ("https://example.com/", "https://example.com/"),
        ("https://example.com/app", "https://example.com/app"),
        ("https://example.com/app/", "https://example.com/app/"),
    ],
)
def test_a_bare_origin_is_stored_with_a_slash(referer: str, stored: str) -> None:
    assert identity.stored_form(referer) == stored


def test_a_faulty_attribution_names_each_part() -> None:
    with pytest.raises(ValueError, match="title is blank") as error:
        Attribution("nonsense", " ", ("A",), "visible")
    for part in ("the referer must", "the title is", "the list of categories holds", "the visibility must"):
        assert part in str(error.value)


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
odd = st.text(st.characters(max_codepoint=300))
urls = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["https", "HTTP"]),
    st.sampled_from(["example.com", "a.b.c:8443", "[::1]:1", "127.1", "-"]),
    st.just("") | st.builds("/{}".format, st.text("aZ09/._~%?&=;:@!$'()*+,")) | printable,
)


@given(urls, st.none() | printable, st.lists(st.text("abc-0", min_size=1, max_size=31), max_size=2, unique=True))
def test_what_is_accepted_is_a_header_that_any_server_accepts(
    referer: str, title: str | None, categories: list[str]
) -> None:
    assume(not identity.faults(referer, title, tuple(categories), None))
    headers = Attribution(referer, title, tuple(categories)).headers
    request = h11.Request(method="GET", target="/", headers=[(b"Host", b"x"), *headers])
    assert [value for _, value in request.headers][1:] == [value for _, value in headers]
    assert all(warning.isprintable() for warning in identity.referer_warnings(referer))


@given(st.one_of(urls, odd), st.none() | odd, st.lists(odd, max_size=3), odd)
def test_a_fault_is_one_printable_line(referer: str, title: str | None, categories: list[str], visibility: str) -> None:
    for fault in identity.faults(referer, title, tuple(categories), visibility):
        assert fault.isascii(), fault
        assert fault.isprintable(), fault
