"""`check`: each bad input has its promised line, and a good configuration shows what will be sent."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli

GOOD = {"OPENROUTER_HTTP_REFERER": "https://github.com/you/app"}
REFERER = "OPENROUTER_HTTP_REFERER"
TITLE = "OPENROUTER_APP_TITLE"
CATEGORIES = "OPENROUTER_APP_CATEGORIES"
UPSTREAM = "OPENROUTER_UPSTREAM_URL"


REPORT = """\
Sent with each request to https://gw.example:8443/team

  HTTP-Referer: https://app.test/
  X-OpenRouter-Title: My App
  X-Title: My App
  X-OpenRouter-Categories: cli-agent,game
  X-OpenRouter-App-Visibility: hidden
  X-Team: (hidden)
  cf-aig-token: (hidden)
  X-Note: (hidden)

  mode      override: it replaces what a tool sends itself
  shown at  https://openrouter.ai/apps?url=https%3A%2F%2Fapp.test%2F
  headers   further ones for every caller; from the environment (env -u OPENROUTER_EXTRA_HEADERS starts without)
  callers   programs on this machine, of its other users too (OPENROUTER_ACCESS_TOKEN keeps those out)
  upstream  https://gw.example:8443/team (--upstream-url)
  reached   direct
  watch at  http://localhost:6767/

Settings

  OPENROUTER_HTTP_REFERER              https://app.test/             environment OPENROUTER_APP_URL
  OPENROUTER_APP_TITLE                 My App                        flag --app-title
  OPENROUTER_APP_CATEGORIES            cli-agent,game                environment OPENROUTER_APP_CATEGORIES
  OPENROUTER_APP_VISIBILITY            hidden                        environment OPENROUTER_APP_VISIBILITY
  OPENROUTER_ATTRIBUTION_MODE          override                      default
  OPENROUTER_LISTEN                    localhost:6767                default
  OPENROUTER_UPSTREAM_URL              https://gw.example:8443/team  flag --upstream-url
  OPENROUTER_ALLOW_PLAINTEXT_UPSTREAM  false                         default
  OPENROUTER_OUTBOUND_PROXY            auto                          default
  OPENROUTER_API_KEY                   -                             default
  OPENROUTER_ACCESS_TOKEN              -                             default
  OPENROUTER_ALLOW_UNAUTHENTICATED     false                         default
  OPENROUTER_ALLOWED_HOSTS             -                             default
  OPENROUTER_ALLOWED_ORIGINS           -                             default
  OPENROUTER_ALLOW_MANAGEMENT          -                             default
  OPENROUTER_CONNECT_TIMEOUT           10                            default
  OPENROUTER_RESPONSE_TIMEOUT          600                           default
  OPENROUTER_IDLE_TIMEOUT              0                             .env OPENROUTER_IDLE_TIMEOUT
  OPENROUTER_WARM_CONNECTIONS          auto                          default
  OPENROUTER_WORKERS                   1                             default
  OPENROUTER_SHUTDOWN_GRACE            30                            default
  OPENROUTER_LOG_LEVEL                 info                          default
  OPENROUTER_LOG_FORMAT                auto                          default
  OPENROUTER_METRICS                   on                            default
  OPENROUTER_LIVE_PAGE                 auto                          default
  OPENROUTER_EXTRA_HEADERS             X-Team, cf-aig-token, X-Note  environment OPENROUTER_EXTRA_HEADERS
"""


def check(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments], env=environment)


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        pytest.param(
            {},
            f"{REFERER} is not set: it is the URL of the app that OpenRouter credits; "
            f"set it, for example {REFERER}=https://github.com/you/your-app",
            id="no referer",
        ),
        pytest.param(
            {REFERER: "app.test"},
            f"{REFERER} must be a whole URL that starts with https:// or http:// and a valid host; "
            "write https://app.test",
            id="referer without a scheme",
        ),
        pytest.param(
            {REFERER: "ftp://app.test/"},
            f"{REFERER} must be a whole URL that starts with https:// or http:// and a valid host; "
            "for example https://github.com/you/your-app",
            id="referer with another scheme",
        ),
        pytest.param(
            {REFERER: "https://user:hunter2@app.test/"},
            f"{REFERER} holds a user name or password, which would be published: write the URL without them",
            id="referer with a password",
        ),
        pytest.param(
            {REFERER: "https://app.test/#x"},
            f'{REFERER} holds a fragment (from "#" on), which is no part of an app\'s address: '
            "write the URL without it",
            id="referer with a fragment",
        ),
        pytest.param(
            {REFERER: "https://app.test/a b"},
            f"{REFERER} holds U+0020 SPACE at character 19: write the URL without blanks",
            id="referer with a blank",
        ),
        pytest.param(
            {REFERER: "https://app.test/\x1b[2J"},
            f"{REFERER} holds U+001B ESCAPE at character 18: write the URL on one line, without it",
            id="referer with a control character",
        ),
        pytest.param(
            {REFERER: "https://b\u00fccher.example/"},
            f"{REFERER} holds U+00FC LATIN SMALL LETTER U WITH DIAERESIS at character 10: "
            "write https://xn--bcher-kva.example/",
            id="referer with a non-ASCII character",
        ),
        pytest.param(
            {REFERER: "http://127.1:3000/"},
            f"{REFERER} is on this machine: OpenRouter tracks such an app only with a title; "
            f"use a public URL, or set a title with {TITLE}",
            id="loopback referer without a title",
        ),
        pytest.param(
            {**GOOD, TITLE: "My\x07App"},
            f"{TITLE} holds U+0007 a control character at character 3: write the title on one line, without it",
            id="title with a control character",
        ),
        pytest.param(
            {**GOOD, TITLE: "Caf\u00e9"},
            f"{TITLE} holds U+00E9 LATIN SMALL LETTER E WITH ACUTE at character 4: "
            "most HTTP software refuses it in a header; write Cafe",
            id="title with a non-ASCII character",
        ),
        pytest.param(
            {**GOOD, TITLE: "  "}, f"{TITLE} is blank: set the name to be shown, or leave it out", id="blank title"
        ),
        pytest.param(
            {**GOOD, TITLE: " App"},
            f"{TITLE} begins with a blank (U+0020 at character 1), which is lost on the way: remove it",
            id="title with a leading blank",
        ),
        pytest.param(
            {**GOOD, TITLE: "App "},
            f"{TITLE} ends with a blank (U+0020 at character 4), which is lost on the way: remove it",
            id="title with a trailing blank",
        ),
        pytest.param({**GOOD, TITLE: "x" * 201}, f"{TITLE} has 201 characters: shorten it to 200", id="long title"),
        pytest.param(
            {**GOOD, CATEGORIES: "game,legal,roleplay"},
            f'{CATEGORIES} names 3 categories, but OpenRouter takes 2: "roleplay" would be lost; '
            "keep the 2 that fit best",
            id="three categories",
        ),
        pytest.param(
            {**GOOD, CATEGORIES: "Game"},
            f'{CATEGORIES} holds "Game", which would be lost (upper case); did you mean game?',
            id="category in upper case",
        ),
        pytest.param(
            {**GOOD, CATEGORIES: "writing-assistants-for-everybody"},
            f'{CATEGORIES} holds "writing-assistants-for-everybody", which would be lost (longer than 30 characters); '
            "did you mean writing-assistant?",
            id="long category",
        ),
        pytest.param(
            {**GOOD, CATEGORIES: "cli agent"},
            f'{CATEGORIES} holds "cli agent", which would be lost (other characters than a-z, 0-9 and -); '
            "did you mean cli-agent?",
            id="category with a blank",
        ),
        pytest.param(
            {**GOOD, CATEGORIES: "game,game"},
            f'{CATEGORIES} holds "game" 2 times: write it once',
            id="category twice",
        ),
        pytest.param(
            {**GOOD, UPSTREAM: "http://localhost:6767"},
            f"{UPSTREAM} is the proxy's own address (OPENROUTER_LISTEN is localhost:6767), and it would call itself; "
            "leave it unset to reach https://openrouter.ai",
            id="upstream is the proxy",
        ),
        pytest.param(
            {**GOOD, UPSTREAM: "http://openrouter.ai"},
            f"{UPSTREAM} must start with https://: http:// would send keys and prompts unencrypted over the network; "
            "to a loopback address it is allowed, and within a network of yours with "
            "OPENROUTER_ALLOW_PLAINTEXT_UPSTREAM=true",
            id="upstream in clear",
        ),
        pytest.param(
            {**GOOD, UPSTREAM: "https://user:hunter2@openrouter.ai"},
            f"{UPSTREAM} holds a user name or password, which the proxy would not send: write the URL without them",
            id="upstream with a password",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_LISTEN": "6767"},
            'OPENROUTER_LISTEN must be host:port with a port from 0 to 65535, not "6767"; write 127.0.0.1:6767',
            id="listen without a host",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_APP_VISIBILITY": "visible"},
            'OPENROUTER_APP_VISIBILITY must be "hidden" or unset, not "visible"',
            id="visibility",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_ATTRIBUTION_MODE": "overide"},
            'OPENROUTER_ATTRIBUTION_MODE must be override, fill or passthrough, not "overide"; did you mean override?',
            id="mode",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_CONNECT_TIMEOUT": "10s"},
            'OPENROUTER_CONNECT_TIMEOUT must be a number of seconds, 0 or more, not "10s"; for example 10 or 2.5',
            id="timeout",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_WARM_CONNECTIONS": "17"},
            'OPENROUTER_WARM_CONNECTIONS must be auto or a whole number from 0 to 16, not "17"',
            id="warm connections",
        ),
        pytest.param(
            {**GOOD, "OPENROUTER_EXTRA_HEADERS": '{"Authorization": "hunter2"}'},
            "OPENROUTER_EXTRA_HEADERS may not name Authorization: "
            "whose key travels is not for a fixed header to say; leave it to the tool",
            id="extra header",
        ),
    ],
)
def test_a_bad_input_is_refused_with_its_line(environment: dict[str, str], fault: str) -> None:
    """Promise 31: one line for each fault, naming the variable and never its secret value; exit code 2."""
    result = check(environment)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"error: {fault}\n"
    assert "hunter2" not in result.output


def test_a_real_newline_from_an_env_file_is_refused() -> None:
    Path(".env").write_text('OPENROUTER_LISTEN="127.0.0.1:6767\\n"\n')
    result = check(GOOD)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: OPENROUTER_LISTEN (in .env) holds U+000A NEWLINE at character 15: "
        "write the value on one line, without it\n"
    )


def test_every_fault_has_its_own_line_under_the_name_that_was_written() -> None:
    result = check({"OR_SITE_URL": "app.test", TITLE: "App "}, "--listen", "nowhere", "--log-level", "loud")
    assert result.exit_code == 2
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["error:", "OR_SITE_URL"],
        ["error:", TITLE],
        ["error:", "--listen"],
        ["error:", "--log-level"],
    ]


def test_a_misspelt_variable_is_named_beside_the_fault_that_it_causes() -> None:
    result = check({"OPENROUTER_HTTP_REFERRER": "https://app.test/"})
    assert result.exit_code == 2
    fault, warning = result.stderr.splitlines()
    assert fault.startswith(f"error: {REFERER} is not set")
    assert warning == f"warning: OPENROUTER_HTTP_REFERRER is not a setting: did you mean {REFERER}?"


@pytest.mark.parametrize(
    ("environment", "warning"),
    [
        (
            {**GOOD, CATEGORIES: "cli-agnt"},
            (
                f'{CATEGORIES} holds "cli-agnt", unknown when this version was made: '
                "OpenRouter drops unknown ones without an error; did you mean cli-agent?"
            ),
        ),
        (
            {REFERER: "https://www.app.test/"},
            (f"{REFERER} names www.app.test, another app than app.test to OpenRouter; stored as https://www.app.test/"),
        ),
        (
            {REFERER: "https://app.test/docs"},
            (
                f"{REFERER} has a path, so it is another app than https://app.test/ to OpenRouter; "
                "stored as https://app.test/docs"
            ),
        ),
        (
            {REFERER: "http://app.test/"},
            (
                f"{REFERER} starts with http://, another app than with https:// to OpenRouter; "
                "stored as http://app.test/"
            ),
        ),
        (
            {REFERER: "https://app.test"},
            f"{REFERER} is stored by OpenRouter with a slash at its end: write https://app.test/",
        ),
        (
            {REFERER: "https://github.com/you/app/"},
            (
                f'{REFERER} ends with "/", another app than without it to OpenRouter; '
                "stored as https://github.com/you/app/"
            ),
        ),
        (
            {**GOOD, "OPENROUTER_APP_TITEL": "x"},
            f"OPENROUTER_APP_TITEL is not a setting: did you mean {TITLE}?",
        ),
        (
            {**GOOD, TITLE: "'App'"},
            f"{TITLE} is sent with the quotes around it: write App (docker --env-file keeps quotes)",
        ),
        (
            {**GOOD, UPSTREAM: "https://gw.example/api"},
            (
                f"{UPSTREAM} ends with /api, and the tools' own paths begin so too: "
                "requests go to https://gw.example/api/api/v1/..."
            ),
        ),
    ],
)
def test_what_is_doubtful_is_warned_about(environment: dict[str, str], warning: str) -> None:
    result = check(environment)
    assert result.exit_code == 0
    assert result.stdout.split("\nWarnings\n\n")[1] == f"  {warning}\n"


def test_a_good_configuration_shows_the_exact_lines_and_where_each_value_came_from() -> None:
    Path(".env").write_text("OPENROUTER_IDLE_TIMEOUT=0\n")
    environment = {
        "OPENROUTER_APP_CATEGORIES": "cli-agent, game",
        "OPENROUTER_APP_URL": "https://app.test/",
        "OPENROUTER_APP_VISIBILITY": "hidden",
        "OPENROUTER_EXTRA_HEADERS": '{"X-Team": "search", "cf-aig-token": "hunter2", "X-Note": "sk-or-v1-hunter2"}',
    }
    result = check(environment, "--app-title", "My App", "--upstream-url", "https://gw.example:8443/team/")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == REPORT


def test_fill_says_whose_set_counts() -> None:
    result = check(GOOD, "--attribution-mode", "fill")
    assert (
        "  mode      fill: only for tools that send no HTTP-Referer; one that does keeps its own set\n" in result.stdout
    )


def test_passthrough_says_that_nothing_is_sent() -> None:
    result = check({}, "--attribution-mode", "passthrough")
    assert result.exit_code == 0
    assert "  (nothing is added)\n" in result.stdout
    assert "  mode      passthrough: nothing is stamped; what a tool sends is what OpenRouter gets\n" in result.stdout
    assert "HTTP-Referer:" not in result.stdout
    assert "shown at" not in result.stdout
