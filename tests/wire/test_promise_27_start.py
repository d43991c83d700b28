"""Promise 27: a key that others on the network could spend does not start, unless somebody stands guard."""

import itertools
from pathlib import Path

import pytest

from proxy.commands.banner import banner, facts
from proxy.settings.model import Settings
from proxy.settings.sources import SettingsError, load_settings
from tests.support.client import get
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.proxies import spawned
from tests.support.secrets import BEARER_KEY, KEY, TOKEN

HERE = ["127.0.0.1:6767", "127.0.0.2:6767", "[::1]:6767", "localhost:6767", "app.localhost:6767", "127.1:6767"]
EVERYWHERE = ["0.0.0.0:6767", "[::]:6767", "192.168.1.20:6767", "proxy.example:6767", "[::ffff:0.0.0.0]:6767", "0:6767"]


def starts(listen: str, *, key: bool, token: bool, declared: bool) -> tuple[bool, str]:
    flags = {
        "http_referer": "https://app.example",
        "listen": listen,
        "api_key": KEY if key else None,
        "access_token": TOKEN if token else None,
        "allow_unauthenticated": "true" if declared else None,
    }
    try:
        load_settings(flags)
    except SettingsError as error:
        return False, "\n".join(error.faults)
    return True, ""


MATRIX = list(itertools.product([*HERE, *EVERYWHERE], [False, True], [False, True], [False, True]))


@pytest.mark.parametrize(("listen", "key", "token", "declared"), MATRIX)
def test_the_matrix(listen: str, *, key: bool, token: bool, declared: bool) -> None:
    """Promise 27: listen address x key x token x declared network."""
    started, fault = starts(listen, key=key, token=token, declared=declared)
    if token and not key:
        assert not started
        assert "OPENROUTER_API_KEY" in fault
    elif key and not token and not declared and listen in EVERYWHERE:
        assert not started
        [line] = fault.splitlines()
        # The three ways out, each with its exact variable.
        for way in (
            "OPENROUTER_LISTEN=127.0.0.1:6767",
            "OPENROUTER_ACCESS_TOKEN",
            "OPENROUTER_ALLOW_UNAUTHENTICATED=true",
        ):
            assert way in line
    else:
        assert started, fault
    assert "CANARY" not in fault


@pytest.mark.integration
async def test_refused(tmp_path: Path) -> None:
    """Promise 27: the process says so in one line, opens no port, and ends with 2."""
    async with spawned("serve", cwd=tmp_path, api_key=KEY, listen="0.0.0.0:0") as child:
        assert await child.exit_code() == 2
    [line] = child.stderr.splitlines()
    assert "OPENROUTER_API_KEY would be spent by everyone who can reach 0.0.0.0:0" in line
    assert child.stdout == ""


async def test_a_sidecar_needs_one_line_more(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect
) -> None:
    """Promise 27: in the image, which listens everywhere, the declaration is all that a laptop does not need."""
    behind = await upstream()
    proxy = await proxy_process(behind, api_key=KEY, listen="0.0.0.0:0", allow_unauthenticated="true")
    client = await connect(proxy)
    assert (await client.ask(get())).status == 200
    assert behind.requests[0].values("authorization") == BEARER_KEY


@pytest.mark.parametrize("text", ["maybe", "2", "tru"])
def test_the_declaration_is_true_or_false(text: str) -> None:
    """Promise 27: a misspelt declaration declares nothing."""
    with pytest.raises(SettingsError, match="true or false"):
        load_settings({"http_referer": "https://app.example", "allow_unauthenticated": text})


def test_settings_made_by_code_follow_the_same_rules() -> None:
    """Promise 27: nobody gets around it by building the settings."""
    with pytest.raises(ValueError, match="would be spent"):
        Settings(http_referer="https://app.example", api_key=KEY, listen="0.0.0.0:6767")


@pytest.mark.parametrize(
    ("more", "callers"),
    [
        ({}, "programs on this machine, of its other users too (OPENROUTER_ACCESS_TOKEN keeps those out)"),
        ({"listen": "0.0.0.0:0", "access_token": TOKEN}, "whoever presents the access token in place of an API key"),
        (
            {"listen": "0.0.0.0:0", "allow_unauthenticated": "true"},
            "whoever the network lets in (OPENROUTER_ALLOW_UNAUTHENTICATED)",
        ),
    ],
)
def test_the_banner_says_who_may_call(more: dict[str, str], callers: str) -> None:
    """Promise 27: whoever starts it reads who may spend the key."""
    made = load_settings({"http_referer": "https://app.example", "api_key": KEY, **more})
    page = banner(made, 6767)
    assert f"  callers                {callers}\n" in page
    assert "  key                    used for callers without one of their own; from flag --api-key\n" in page
    assert facts(made, 6767)["callers"] == callers
    assert "CANARY" not in page
