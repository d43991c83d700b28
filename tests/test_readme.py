"""The README and docs/, executed: commands run, snippets reach the proxy, tables are those of the code.

``python -m tests.test_readme`` renews the parts that are made from the code.
"""

import asyncio
import html
import io
import json
import os
import re
import shlex
import signal
import string
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anthropic
import httpx2 as httpx
import openai
import pytest

from proxy import cli
from proxy.commands import demo, program
from proxy.commands.reference import markdown_table
from proxy.errors import ProxyError
from proxy.headers import ANSWERED_HERE, HOP_BY_HOP, MOVES_THE_REQUEST, OBEYED, PRIVATE, UPSTREAM_ONLY, Fields, folded
from proxy.imitation import Exchange, Imitation, create_imitation, serving
from proxy.middleware.guard import refuse_unknown_paths
from proxy.middleware.trusted_hosts import refuse_untrusted_hosts
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS
from proxy.settings.names import find
from tests.support.proxies import ROOT, STAMP, Proxy, ProxyProcess, in_process

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [
    README,
    *(DOCS / f"{name}.md" for name in ("connect", "settings", "headers", "troubleshooting", "alternatives")),
]
"""Those whose commands and snippets are executed here."""
ALL_PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md")})
DOCUMENTS = [*ALL_PAGES, *sorted((ROOT / "deploy").glob("*.yaml"))]
HERE = "http://localhost:6767"  # where the proxy listens that they speak of
KEY = "sk-or-v1-canary"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# --- the parts that are made from the code ---


def demo_transcript() -> str:
    """What ``demo --once`` prints in a checkout, where the command is not installed."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as newcomer, redirect_stdout(out):
        newcomer.setenv("PATH", "")
        newcomer.chdir(ROOT)
        code = demo.run_demo(once=True)
    assert code == 0, out.getvalue()
    return f"```text\n{out.getvalue()}```\n"


def error_table() -> str:
    """Every answer of the proxy's own."""
    rows = [
        f"| `{each.slug}` | {each.status} | {html.escape(each.message, quote=False)} |"
        for each in all_errors(ProxyError)
    ]
    return "\n".join(["| `X-Proxy-Error` | Status | Meaning, and what to do |", "|---|---|---|", *rows, ""])


def all_errors(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
    for error in kind.__subclasses__():
        yield error
        yield from all_errors(error)


MADE: dict[str, tuple[Path, Callable[[], str]]] = {
    "demo": (README, demo_transcript),
    "settings": (DOCS / "settings.md", markdown_table),
    "errors": (DOCS / "troubleshooting.md", error_table),
}


def made_part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->\n)", re.DOTALL)


def renew() -> None:
    """Make every such part anew."""
    for name, (page, make) in MADE.items():
        text = text_of(page)
        old = made_part(name).search(text)
        assert old is not None, name
        page.write_text(text[: old.start()] + make() + text[old.end() :], encoding="utf-8")


def comparable(transcript: str) -> str:
    """``transcript`` less what differs from run to run: times, ports, ids, and the blanks that align them."""
    return re.sub(r"gen-\S+| +|[\d.]+", lambda found: " " if found[0].isspace() else "0", transcript)


class TestMadeParts:
    @pytest.mark.parametrize("name", ["settings", "errors"])
    def test_tables(self, name: str) -> None:
        """The settings and the errors are those of the code."""
        page, make = MADE[name]
        assert made_part(name).findall(text_of(page)) == [make()], "renew it: python -m tests.test_readme"

    @pytest.mark.integration
    def test_transcript(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The demo prints what the README shows, but for the numbers."""
        monkeypatch.setattr(demo, "_PACE", 0)  # nobody watches

        shown = [comparable(found) for found in made_part("demo").findall(text_of(README))]

        assert shown == [comparable(demo_transcript())], "renew it: python -m tests.test_readme"


# --- what stands in the document ---


class Block(NamedTuple):
    """A fenced code block, and the heading that it stands under."""

    section: str
    language: str
    text: str


def parsed(page: Path) -> tuple[list[str], list[Block]]:
    """The headings and code blocks of a page, in order."""
    headings: list[str] = []
    found: list[Block] = []
    fence: list[str] | None = None
    for line in text_of(page).splitlines(keepends=True):
        if fence is None and line.startswith("#"):
            headings.append(line.strip("# \n"))
        elif not line.startswith("```"):
            if fence is not None:
                fence.append(line)
        elif fence is None:
            fence = [line]
        else:
            found.append(Block(headings[-1], fence[0].strip("`\n"), "".join(fence[1:])))
            fence = None
    return headings, found


def blocks(language: str, section: str = "") -> list[Block]:
    """The blocks in that language, all or those below one heading."""
    every = [block for page in PAGES for block in parsed(page)[1]]
    found = [block for block in every if block.language == language and section in ("", block.section)]
    assert found, f"no {language} below {section!r}"
    return found


def commands() -> list[list[str]]:
    """Every command of the shell blocks, split into words, without comments."""
    lines = (line for block in blocks("sh") for line in block.text.replace("\\\n", " ").splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def called(program: str) -> list[list[str]]:
    """The arguments of each call of ``program``."""
    return [words[1:] for words in commands() if words[0] == program]


def anchor(heading: str) -> str:
    """GitHub's name for a heading."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class TestDocument:
    @pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_links(self, page: Path) -> None:
        """Every link within the project leads somewhere, to the heading as well."""
        for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            if link.startswith("https://"):
                continue
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not heading or f"#{heading}" in map(anchor, parsed(target)[0]), link

    def test_the_index_leads_to_every_page(self) -> None:
        """docs/README.md has a link to every page of docs/, and the README one to docs/README.md."""
        linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#]+)", text_of(DOCS / "README.md"))}
        assert {page.resolve() for page in DOCS.glob("*.md")} - linked == {(DOCS / "README.md").resolve()}
        assert "](docs/README.md)" in text_of(README)

    def test_the_readme_is_short(self) -> None:
        """At most 200 lines: what is longer has a page of its own."""
        assert len(text_of(README).splitlines()) <= 200

    def test_variables(self) -> None:
        """Every variable is one of ours, or one of a tool that is named so."""
        others = {"OPENROUTER_ENV_FILE", "OPENROUTER_PROFILES"}  # ours, and no settings
        others |= {"OPENROUTER_API_BASE", "OPENROUTER_BASE_URL", "OPENROUTER_HOST", "OPENROUTER_KEY"}  # tools' own
        others |= {"OPENROUTER_X_OPEN_ROUTER_TITLE"}
        named = {
            name
            for document in DOCUMENTS
            for name in re.findall(r"\b(?:OPENROUTER|OR)_[A-Z_]*[A-Z]", text_of(document))
        }
        assert {name for name in named if find(name) is None} - others == set()

    def test_addresses(self) -> None:
        """Every address of the proxy is a base URL, one of its pages, or a path that is forwarded."""
        rules = [refuse_untrusted_hosts([], beyond_loopback=True), refuse_unknown_paths]
        for document in DOCUMENTS:
            for url in re.findall(r"http://[a-z.-]+:6767[^\s\"'`,;)]*", text_of(document)):
                host, path = urlsplit(url).netloc, re.sub(r"^/(?:team-a|planner|reviewer)(?=/)", "", urlsplit(url).path)
                if path in {"", "/…", "/api/v1", "/api", "/v1", "/metrics"}:
                    path = "/api/v1/models"
                for rule in rules:
                    fields = Fields([(b"host", host.encode())])
                    rule({"method": "GET", "raw_path": path.encode(), "fields": fields})

    def test_headers(self) -> None:
        """The table of what is kept and dropped names every header that is stamped or dropped."""
        section = text_of(DOCS / "headers.md").partition("\n## ")[0]
        named = {name.lower().encode() for name in re.findall(r"`([A-Za-z0-9-]+)`", section)}
        handled = (
            ATTRIBUTION_HEADERS | HOP_BY_HOP | PRIVATE | ANSWERED_HERE | MOVES_THE_REQUEST | UPSTREAM_ONLY | OBEYED
        )
        assert handled - named == set()

    def test_other_proxies(self) -> None:
        """The snippets for Caddy and nginx set or remove every header of the attribution."""
        for block in (*blocks("caddyfile"), *blocks("nginx")):
            named = re.findall(r"(?:header_up|proxy_set_header) -?([\w-]+)", block.text)
            assert ATTRIBUTION_HEADERS - {folded(name.encode()) for name in named} == set()

    def test_files(self) -> None:
        """The snippets for configuration files can be parsed, and name the base URL."""
        (codex,) = (tomllib.loads(block.text) for block in blocks("toml"))
        assert codex["model_providers"][codex["model_provider"]]["base_url"] == f"{HERE}/api/v1"
        (zed,) = (json.loads(block.text) for block in blocks("json"))
        assert zed["language_models"]["open_router"]["api_url"] == f"{HERE}/api/v1"
        for block in blocks("yaml"):
            (url,) = re.findall(r"^ *(?:api_base|apiBase|baseURL): \"?(.*?)\"?$", block.text, re.MULTILINE)
            assert urlsplit(url).path == "/api/v1"
        for block in blocks("python"):
            compile(block.text, block.section, "exec")

    def test_commands(self) -> None:
        """No command has a flag, a file or an image that does not exist; none is unknown to this test."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        images = [arguments[2] for arguments in called("docker") if arguments[0] == "build"]
        assert images == [project["name"]]
        for words in commands():
            match words:
                case ["scripts/serve" | "openrouter-proxy", *arguments]:
                    understand(arguments)
                case ["uvx", "--from", ".", program, *arguments]:
                    assert program in project["scripts"]
                    understand(arguments)
                case ["docker", "run", *options]:
                    assert options[options.index("--publish") + 1].startswith("127.0.0.1:")
                    assert options[-1] in [*images, "ghcr.io/open-webui/open-webui:main"]
                case ["docker", "build", "--tag", _, "."] | ["pip" | "pipx", "install", "."] | ["scripts/test"]:
                    pass
                case ["git", "clone", "REPOSITORY", folder]:
                    assert ["cd", folder] in commands()
                case ["cd", folder]:
                    assert folder == project["name"]
                case ["curl" | "export" | "aider", *_]:
                    pass  # the tests below run the first two
                case _:
                    pytest.fail(f"what is {shlex.join(words)}?")
            if words[0].startswith("scripts/"):
                assert os.access(ROOT / words[0], os.X_OK)


def understand(arguments: list[str]) -> None:
    """Parse arguments of our command; raises `click.UsageError`."""
    with cli.cli.make_context(program.NAME, list(arguments)) as context:
        name, command, rest = cli.cli.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, rest, parent=context)


# --- what it says is done ---


class Way(NamedTuple):
    """A proxy with the test kit's identity, and the imitation of OpenRouter that it forwards to."""

    proxy: Proxy
    imitation: Imitation

    def here(self, text: str) -> str:
        """``text`` with this proxy's address."""
        assert HERE in text
        return text.replace(HERE, f"http://{self.proxy.host}:{self.proxy.port}")

    @property
    def stamps(self) -> list[list[tuple[bytes, bytes]]]:
        """The attribution of each request that has arrived."""
        return [attribution(exchange) for exchange in self.imitation.exchanges]


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    imitation = create_imitation(record_delay=0)
    async with serving(imitation) as origin, in_process(origin) as proxy:
        yield Way(proxy, imitation)


def attribution(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [line for line in exchange.head.headers if folded(line[0]) in ATTRIBUTION_HEADERS]


async def curl(arguments: list[str], at: Callable[[str], str], **variables: str) -> httpx.Response:
    """What curl does with these arguments, at another address; the variables are the shell's."""
    url, body = "", None
    headers: list[tuple[str, str]] = []
    words = iter(string.Template(word).substitute(variables) for word in arguments)
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers.append((name, value))
        elif word == "-d":
            body = next(words)
        else:
            url = at(word)
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request("GET" if body is None else "POST", url, headers=headers, content=body)


@pytest.mark.integration
class TestQuickStart:
    async def test_works_as_written(self, tmp_path: Path) -> None:
        """The three commands start a proxy; the request below them is answered, and credited as they say."""
        three, _ = blocks("sh", "Quick start")
        assert len(three.text.splitlines()) == 3
        imitation = create_imitation()
        async with serving(imitation) as origin, shell(three.text, tmp_path, upstream=origin) as child:
            found = await child.until(lambda: re.search(r"http://127\.0\.0\.1:\d+", child.stdout), "its address")
            answer = await curl(called("curl")[0], lambda url: url.replace(HERE, found[0]), OPENROUTER_API_KEY=KEY)
            line = await child.access_line()

        assert answer.json()["choices"][0]["message"]["content"].startswith("Hello")
        assert (line["attribution"], line["generation_id"]) == ("stamped", answer.headers["x-generation-id"])
        assert attribution(imitation.exchanges[0]) == [
            (b"HTTP-Referer", b"https://github.com/you/your-app"),
            (b"X-OpenRouter-Title", b"Your App"),
            (b"X-Title", b"Your App"),
        ]

    async def test_was_it_credited(self, way: Way) -> None:
        """The record that the troubleshooting section asks for says what it says there."""
        chat, generation = called("curl")

        answer = await curl(chat, way.here, OPENROUTER_API_KEY=KEY)
        generation_id = answer.headers["x-generation-id"]
        record = await curl(generation, way.here, OPENROUTER_API_KEY=KEY, GENERATION_ID=generation_id)
        unknown = await curl(generation, way.here, OPENROUTER_API_KEY=KEY, GENERATION_ID="gen-0")

        assert isinstance(record.json()["data"]["app_id"], int)
        assert record.json()["data"]["origin"] == "https://app.example/"
        assert unknown.status_code == 404
        assert "x-proxy-error" not in unknown.headers


@asynccontextmanager
async def shell(script: str, tmp_path: Path, *, upstream: str) -> AsyncIterator[ProxyProcess]:
    """Runs a shell block, with the checkout's command in the place of an installed one, and no installation."""
    stand_ins = {"pipx": "exit 0", "openrouter-proxy": f'exec {shlex.quote(sys.executable)} -m proxy "$@"'}
    for name, line in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-eu", "-c", script),
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OPENROUTER_LISTEN": "127.0.0.1:0",
            "OPENROUTER_UPSTREAM_URL": upstream,
            "OPENROUTER_LOG_FORMAT": "json",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    child = ProxyProcess(process)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await child.exit_code()


@pytest.mark.integration
class TestSnippets:
    @pytest.mark.parametrize("package", ["openai", "anthropic"])
    async def test_python(self, way: Way, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The snippet runs as written, prints the answer, and its request is stamped."""
        (block,) = [block for block in blocks("python") if f"from {package} import" in block.text]
        monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
        out = io.StringIO()
        names: dict[str, Any] = {}
        with redirect_stdout(out):
            await asyncio.to_thread(exec, way.here(block.text), names)
        # A script leaves that to its end; here, the garbage collector would complain of it, in any test.
        names["client"].close()

        assert out.getvalue().startswith("Hello")
        assert way.stamps == [STAMP]

    async def test_environment(self, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
        """The exported variables are all that the SDKs need, and the key is the one that they send."""
        for words in called("export"):
            for word in words:
                name, _, value = word.partition("=")
                value = string.Template(value).substitute(OPENROUTER_API_KEY=KEY)
                monkeypatch.setenv(name, way.here(value) if HERE in value else value)
        question: Any = [{"role": "user", "content": "Hello"}]

        async with openai.AsyncOpenAI() as client:
            await client.chat.completions.create(model="openrouter/auto", messages=question)
        async with anthropic.AsyncAnthropic() as other:
            await other.messages.create(model="anthropic/claude-sonnet-4.5", max_tokens=9, messages=question)

        assert way.stamps == [STAMP, STAMP]
        heads = [exchange.head for exchange in way.imitation.exchanges]
        assert [head.values(b"authorization") for head in heads] == [[f"Bearer {KEY}".encode()]] * 2
        assert not any(any(head.values(b"x-api-key")) for head in heads)

    async def test_base_urls(self, way: Way) -> None:
        """Each base URL of the table reaches the API, with what its tools put behind it."""
        found = re.findall(r"^\| (.+?) \| `(http.+?)` \|$", text_of(README), re.MULTILINE)
        assert len(found) == 3
        body = {"model": "openrouter/auto", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as client:
            for speaks, base in found:
                path = "/v1/messages" if "Anthropic" in speaks else "/chat/completions"
                answer = await client.post(way.here(base) + path, json=body)
                assert answer.status_code == 200
        assert way.stamps == [STAMP] * 3


if __name__ == "__main__":
    renew()
