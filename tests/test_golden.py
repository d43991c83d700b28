"""What a person or a tool reads of the proxy, word for word: the files in tests/golden hold what it printed before.

They witness that a change of the code changes no text. A text that is changed on purpose is renewed with
``scripts/test tests/test_golden.py --update-golden``, and the diff of the file is part of the commit.
"""

import re
import signal
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from click.testing import CliRunner

from proxy import __version__
from proxy.app import create_app
from proxy.cli import cli
from proxy.errors import ProxyError
from proxy.server.server import running
from proxy.settings.model import Settings
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, StartProxy
from tests.support.footprint import Footprint
from tests.support.http1 import Response, message
from tests.support.proxies import IDENTITY, ROOT, spawned
from tests.support.secrets import KEY, TOKEN
from tests.support.upstream import stall

APP = {"OPENROUTER_HTTP_REFERER": "https://github.com/you/your-app", "OPENROUTER_APP_TITLE": "Your App"}


class Golden:
    """One file of tests/golden, and what the product prints now."""

    def __init__(self, path: Path, *, update: bool) -> None:
        self.path = path
        self.update = update
        self.parts: list[str] = []

    def add(self, title: str, text: str) -> None:
        lines = [line.rstrip() for line in text.strip("\n").replace(__version__, "VERSION").splitlines()]
        self.parts.append("\n".join([f"### {title}", "", *lines, ""]))

    def check(self) -> None:
        text = "\n".join(self.parts)
        if self.update:
            self.path.write_text(text, encoding="utf-8")
        assert text == self.path.read_text(encoding="utf-8"), "changed on purpose? --update-golden renews the file"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The file that bears the test's name."""
    name = request.node.originalname.removeprefix("test_")
    return Golden(ROOT / f"tests/golden/{name}.txt", update=request.config.getoption("update_golden"))


def test_help(golden: Golden) -> None:
    """The help pages of the group and of each of its commands."""
    for arguments in [], *([name] for name in sorted(cli.commands)):
        result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="openrouter-proxy", terminal_width=100)
        assert result.exit_code == 0
        assert "\\b" not in result.output  # click's mark for a block that is not to be wrapped
        golden.add(" ".join(["openrouter-proxy", *arguments, "--help"]), result.output)
    golden.check()


CONFIGURATIONS: dict[str, dict[str, str]] = {
    "nothing is set": {},
    "an app": APP,
    "an app with everything": {
        **APP,
        "OPENROUTER_APP_CATEGORIES": "cli-agent,programming-app",
        "OPENROUTER_APP_VISIBILITY": "hidden",
        "OPENROUTER_EXTRA_HEADERS": '{"X-Team": "search"}',
        "OPENROUTER_ATTRIBUTION_MODE": "fill",
        "OPENROUTER_UPSTREAM_URL": "https://gw.example:8443/team",
        "OPENROUTER_OUTBOUND_PROXY": "http://user:CANARY-password@proxy.example:3128",
        "OPENROUTER_IDLE_TIMEOUT": "0",
        "OPENROUTER_LOG_FORMAT": "text",
    },
    "a key for programs on this machine": {**APP, "OPENROUTER_API_KEY": KEY},
    "a key and a token for the network": {
        **APP,
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_ACCESS_TOKEN": TOKEN,
        "OPENROUTER_LISTEN": "0.0.0.0:6767",
        "OPENROUTER_ALLOWED_HOSTS": "llm.example.com",
    },
    "a key that the network may spend": {
        **APP,
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_LISTEN": "0.0.0.0:6767",
        "OPENROUTER_ALLOW_UNAUTHENTICATED": "true",
    },
    "a key for the network without a token": {
        **APP,
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_LISTEN": "0.0.0.0:6767",
    },
    "a token without a key": {**APP, "OPENROUTER_ACCESS_TOKEN": TOKEN},
    "a key of another company, a short token": {
        **APP,
        "OPENROUTER_API_KEY": "sk-ant-CANARY",
        "OPENROUTER_ACCESS_TOKEN": "CANARY",
    },
    "passthrough": {"OPENROUTER_ATTRIBUTION_MODE": "passthrough"},
    "much is wrong": {
        "OPENROUTER_HTTP_REFERER": "app.example",
        "OPENROUTER_APP_TITLE": " App",
        "OPENROUTER_APP_CATEGORIES": "Game,a,b",
        "OPENROUTER_APP_VISIBILITY": "shown",
        "OPENROUTER_ATTRIBUTION_MODE": "overide",
        "OPENROUTER_LISTEN": "6767",
        "OPENROUTER_UPSTREAM_URL": "http://openrouter.ai",
        "OPENROUTER_OUTBOUND_PROXY": "ftp://proxy.example",
        "OPENROUTER_API_KEY": "sk-or-CANARY\nkey",
        "OPENROUTER_ALLOW_UNAUTHENTICATED": "perhaps",
        "OPENROUTER_ALLOWED_HOSTS": "a b",
        "OPENROUTER_ALLOWED_ORIGINS": "chat.example.com",
        "OPENROUTER_ALLOW_MANAGEMENT": "everything",
        "OPENROUTER_EXTRA_HEADERS": "X-Team: search",
        "OPENROUTER_CONNECT_TIMEOUT": "10s",
        "OPENROUTER_RESPONSE_TIMEOUT": "-1",
        "OPENROUTER_IDLE_TIMEOUT": "never",
        "OPENROUTER_SHUTDOWN_GRACE": "nan",
        "OPENROUTER_WARM_CONNECTIONS": "99",
        "OPENROUTER_LOG_LEVEL": "loud",
        "OPENROUTER_LOG_FORMAT": "xml",
        "OPENROUTER_COLOUR": "red",
    },
    "much is doubtful": {
        "OPENROUTER_HTTP_REFERER": "http://www.app.example/docs/",
        "OPENROUTER_APP_TITLE": "'App'",
        "OPENROUTER_APP_CATEGORIES": "cli-agnt",
        "OPENROUTER_UPSTREAM_URL": "https://gw.example/api",
        "OPENROUTER_APP_TITEL": "App",
    },
}


def test_check(golden: Golden) -> None:
    """What `check` says of good, doubtful and bad configurations, and how it ends."""
    for title, environment in CONFIGURATIONS.items():
        result = CliRunner().invoke(cli, ["check"], env=environment)
        lines = result.output.splitlines()
        if title != "an app with everything":  # once is enough for the settings that nobody has set
            lines = [line for line in lines if not line.endswith("  default")]
        golden.add(f"{title}: exit code {result.exit_code}", "\n".join(lines))
    golden.check()


def at_6767(text: str) -> str:
    """``text`` as if every port of this machine in it were the usual one."""
    return re.sub(r"(?<=localhost:|127\.0\.0\.1:)\d+", "6767", text)


@pytest.mark.integration
async def test_banner(golden: Golden, tmp_path: Path) -> None:
    """What a person reads when the proxy has started."""
    for title in ("an app", "an app with everything", "a key for programs on this machine", "passthrough"):
        settings = {
            "app_categories": "",
            **{name.removeprefix("OPENROUTER_").lower(): value for name, value in CONFIGURATIONS[title].items()},
            "log_format": "text",
        }
        if title == "passthrough":
            settings |= {"http_referer": "", "app_title": ""}
        async with spawned("serve", cwd=tmp_path, **settings) as child:
            await child.until(lambda out=child: out.stdout.endswith("\n\n"), "the banner")
            child.signal(signal.SIGTERM)
            assert await child.exit_code() == 0
        assert child.stderr == ""
        golden.add(title, at_6767(child.stdout))
    golden.check()


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.slow
async def test_demo(golden: Golden, tmp_path: Path) -> None:
    """The demo with its proof, and the way on that it shows; numbers, and the blanks before them, differ each time."""
    async with spawned("demo", cwd=tmp_path, log_format="text") as child:
        await child.until(lambda: re.search(r"your-app\.example .+\n", child.stdout), "what to do next")
        child.signal(signal.SIGINT)
        assert await child.exit_code() == 0
    assert child.stderr == ""
    said = child.stdout.replace(str(ROOT), "CHECKOUT")
    said = re.sub(r"gen-\S+", "gen-N", said)
    said = re.sub(r"\S*python\S* -m proxy|\S*openrouter-proxy(?= *$)|\S*scripts/serve", "COMMAND", said)
    golden.add("openrouter-proxy demo", re.sub(r" {2,}", "  ", re.sub(r"\d+(\.\d+)?", "N", said)))
    golden.check()


# --- every answer of the proxy's own ---


def shown(response: Response) -> str:
    """An answer's head and body, without what is never the same."""
    head = re.sub(r"(?im)^date: .*$", "date: (now)", response.head.decode())
    return f"{head.strip()}\n\n{re.sub(r'[0-9a-f]{8,}', '(id)', bytes(response.body).decode())}".replace("\r\n", "\n")


CHAT, MESSAGES = "/api/v1/chat/completions", "/api/v1/messages"
REFUSED: dict[str, bytes] = {
    "no HTTP": message("hello"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no Host": message("GET /api/v1/models HTTP/1.1"),
    "a path with dots": get(target="/api/v1/../keys"),
    "an unknown path": get(target="/nowhere"),
    "a WebSocket": get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "a base URL with /v1 too often": post(target="/v1/v1/chat/completions"),
    "a base URL without /api": post(target="/chat/completions"),
    "TRACE": get(method="TRACE"),
    "CONNECT": message("CONNECT openrouter.ai:443 HTTP/1.1", "Host: openrouter.ai:443"),
    "a long target": get(target="/api/v1/models?" + "x" * 17_000),
    "an unknown expectation": post("Expect: miracles"),
    "a strange Host": message("GET /api/v1/models HTTP/1.1", "Host: evil.example"),
    "a long header": get("X-Long: " + "x" * 70_000),
    "an unknown coding": message(f"POST {CHAT} HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip, chunked"),
    "an unknown method": get(method="get"),
}
REFUSED_WITH_A_KEY: dict[str, bytes] = {
    "a foreign page": post("Origin: https://evil.example"),
    "a foreign page, Anthropic's shape": post("Origin: https://evil.example", target=MESSAGES),
    "a foreign page, at the live page": get("Origin: https://evil.example", target="/"),
    "management": get(target="/api/v1/keys"),
    "a form": post("Content-Type: text/plain"),
}
REFUSED_WITH_A_TOKEN: dict[str, bytes] = {
    "no token": post(),
    "no token, Anthropic's shape": post(target=MESSAGES),
    "no token, at the live page": get(target="/"),
    "a wrong token": post("Authorization: Bearer CANARY-wrong"),
    "a token in the URL": post(f"Authorization: Bearer {TOKEN}", target=f"{CHAT}?key={TOKEN}"),
    "two keys": post("Authorization: Bearer sk-or-v1-CANARY-1", "x-api-key: sk-or-v1-CANARY-2"),
}

NOBODYS = get(target="/nobody/v1/models")
REFUSED_WITH_PROFILES: dict[str, bytes] = {
    "a name that is none": NOBODYS,
    "a name that is none, Anthropic's shape": post(target="/nobody/api/v1/messages"),
    "none, and no default": get(),
}


class Failing(httpx.AsyncBaseTransport):
    """A transport in the place of the network."""

    def __init__(self, error: Exception, cause: Exception | None = None) -> None:
        self.error = error
        self.error.__cause__ = cause

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self.error


FAILED: dict[str, httpx.AsyncBaseTransport] = {
    "refused": Failing(httpx.ConnectError("CANARY")),
    "an unknown name": Failing(httpx.ConnectError("CANARY"), socket.gaierror(-2, "CANARY")),
    "an untrusted certificate": Failing(httpx.ConnectError("CANARY"), ssl.SSLError(1, "CANARY")),
    "slow to connect": Failing(httpx.ConnectTimeout("CANARY")),
    "slow to answer": Failing(httpx.ReadTimeout("CANARY")),
    "slow to read": Failing(httpx.WriteTimeout("CANARY")),
    "gone": Failing(httpx.ReadError("CANARY")),
    "no HTTP": Failing(httpx.RemoteProtocolError("CANARY")),
    "no descriptor": Failing(httpx.ConnectError("CANARY"), OSError(24, "CANARY")),
    "an outbound proxy": Failing(httpx.ProxyError("CANARY")),
    "a bug": Failing(RuntimeError("a bug")),
}


@pytest.mark.timeout(120)
async def test_answers(
    golden: Golden,
    *,
    upstream: OpenUpstream,
    proxy_for: StartProxy,
    proxy_process: StartProcess,
    connect: Connect,
    footprint: Footprint,
) -> None:
    """Each answer that the proxy gives by itself, as bytes, and all of its errors are among them."""
    behind = await upstream(stall)

    async def ask(title: str, proxy: Any, request: bytes) -> None:
        golden.add(title, shown(await (await connect(proxy)).ask(request)))

    plain = await proxy_for(behind)
    for title, request in REFUSED.items():
        await ask(title, plain, request)
    await ask("the root, without a live page", await proxy_for(behind, live_page="off"), get(target="/"))
    for path in ("/healthz", "/readyz"):
        await ask(path, plain, get(target=path))
    keyed = await proxy_for(behind, api_key=KEY)
    for title, request in REFUSED_WITH_A_KEY.items():
        await ask(f"with a key: {title}", keyed, request)
    guarded = await proxy_for(behind, api_key=KEY, access_token=TOKEN)
    for title, request in REFUSED_WITH_A_TOKEN.items():
        await ask(f"with a token: {title}", guarded, request)
    nobody: dict[str, Any] = {"http_referer": None, "app_title": None, "app_categories": ()}
    for_profiles = await proxy_for(behind, profiles={"team-a": {"http_referer": "https://a.test/"}}, **nobody)
    for title, request in REFUSED_WITH_PROFILES.items():
        await ask(f"with profiles: {title}", for_profiles, request)
    by_token = await proxy_for(behind, profiles={"team-a": {"api_key": KEY, "access_token": TOKEN}, "team-b": {}})
    await ask("with profiles and tokens: a name that is none", by_token, NOBODYS)
    await ask(
        "with profiles and tokens: another one's token",
        by_token,
        get(f"x-api-key: {TOKEN}", target="/team-b/v1/models"),
    )
    openrouter = await proxy_for("https://openrouter.ai", Failing(httpx.ConnectError("CANARY")))
    await ask("another company's key", openrouter, post("x-api-key: sk-ant-CANARY"))
    for title, transport in FAILED.items():
        failing = await proxy_for("http://127.0.0.1:9", transport)
        await ask(f"upstream: {title}", failing, post())
        await ask(f"upstream: {title}, Anthropic's shape", failing, post(target=MESSAGES))
    footprint.complaints.clear()  # the bug's

    impatient = await proxy_for(behind, idle_timeout=0.2)
    await ask("half an upload", impatient, post(body=b"whole")[:-1])

    own: dict[str, Any] = {**IDENTITY, "listen": "127.0.0.1:0", "upstream_url": behind.url, "warm_connections": 0}
    settings = Settings(**own)
    app = create_app(settings)
    app.lifecycle.starting = True
    async with running(app, settings) as address:
        await ask("not all workers serve", address, get(target="/readyz"))

    process = await proxy_process(behind, shutdown_grace="0.2")
    waiting = await connect(process)
    seen = len(behind.requests)
    await waiting.send(post())
    await behind.request(seen)
    process.signal(signal.SIGTERM)
    golden.add("stopping", shown(await waiting.answer(b"POST")))
    await process.exit_code()

    golden.check()
    given = set(re.findall(r"(?im)^x-proxy-error: (\S+)$", "\n".join(golden.parts)))
    assert given == slugs(ProxyError)


def slugs(kind: type[ProxyError]) -> set[str]:
    """Those of all errors below ``kind``."""
    below = kind.__subclasses__()
    return {each.slug for each in below}.union(*map(slugs, below))
