"""Promise 28: the key and the token are shown nowhere, at any log level, whatever goes wrong."""

import asyncio
import gc
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest
import trustme

from proxy.observe.redaction import HIDDEN
from proxy.settings.model import Settings
from proxy.settings.sources import SettingsError, load_settings
from proxy.upstream.trust import tls_context
from tests.support.canaries import assert_none, leaks
from tests.support.client import Address, get, post
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, StartProxy
from tests.support.footprint import Footprint
from tests.support.http1 import message
from tests.support.ports import once_nobody_listens
from tests.support.proxies import ProxyProcess, spawned
from tests.support.secrets import KEY, OWN_KEY, PLACEHOLDER, TOKEN
from tests.support.tls import bundle, server_context
from tests.support.upstream import Script, UpstreamConnection, reply, stall

GARBAGE = reply(b"this is not HTTP\r\n\r\n", close=True)
ECHO = reply(
    message("HTTP/1.1 200 OK", f"X-Generation-Id: {KEY}", f"X-Proxy-Error: {KEY}", "Content-Length: 2", body=b"ok")
)


async def cut(connection: UpstreamConnection) -> None:
    """Answers half, and resets."""
    await connection.request()
    await connection.send(message("HTTP/1.1 200 OK", "Content-Length: 9", body=KEY[:4].encode()))
    connection.reset()


def everywhere(credential: str, in_path: str) -> list[bytes]:
    """Requests with secrets in every place that there is, good ones and bad ones.

    A path is shown, so what stands in it must be known for a secret: by its form, or because it is a configured one.
    """
    secrets = [f"Authorization: Bearer {credential}", f"Cookie: k={KEY}; t={TOKEN}", f"X-Other: {KEY}"]
    body = f'{{"key":"{KEY}","token":"{TOKEN}"}}'.encode()
    query = f"?key={KEY}&token={TOKEN}"
    return [
        get(*secrets),
        get(*secrets, f"X-More: {KEY}{TOKEN}"),
        get(*secrets, target=f"/api/v1/models{query}"),
        post(*secrets, "Content-Type: application/json", body=body),
        post(*secrets, "Content-Type: text/plain", body=body),
        post(*secrets, "Transfer-Encoding: gzip", body=body),
        get(*secrets, target=f"/api/v1/{KEY}/{in_path}"),
        get(*secrets, target="/api/v1/" + "".join(f"%{byte:02x}" for byte in KEY.encode())),
        get(*secrets, target=f"/{KEY}"),
        get(*secrets, target=f"/api/v1/../{in_path}"),
        get(*secrets, target=f"http://{KEY}:{TOKEN}@localhost/api/v1/models{query}"),
        get(*secrets, target=f"/api/v1/keys/{KEY}"),
        get(*secrets, f"Origin: https://{TOKEN.lower()}.example"),
        get(*secrets, "x-api-key: sk-or-v1-canary-another"),
        get(*secrets, f"x-api-key: {KEY}, {KEY}"),
        get(*secrets, f"HTTP-Referer: https://{KEY}.example", f"X-Title: {TOKEN}"),
        message(f"GET /api/v1/models{query} HTTP/1.1", f"Host: {TOKEN}.example", *secrets),
        message(f"{in_path} / HTTP/1.1", "Host: localhost"),
        message(f"GET /{KEY} HTTP/9.{TOKEN}", *secrets),
        message("GET /api/v1/models HTTP/1.1", "Host: localhost", f"Bad Header: {KEY}", f"{KEY}"),
    ]


async def ask_all(connect: Connect, proxy: Address, credential: str, in_path: str = KEY) -> None:
    for request in everywhere(credential, in_path):
        client = await connect(proxy)
        await client.send(request)
        with suppress(GoneError):
            response = await client.response()
            await response.read()
            # What U says may hold anything; what we say ourselves may not.
            if response.values("x-proxy-error"):
                assert_none((response.head + response.body).decode("latin-1"), "an answer of ours")
        client.close()


def command_lines() -> str:
    """Of every process that was started from here (Linux): other tests, beside these, write keys into theirs."""
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
        except OSError:
            continue  # it has ended

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return "\n".join(line for pid, line in lines.items() if is_ours(pid))


async def settled(proxy: ProxyProcess) -> None:
    """Ends the process, so that all it had to say is said."""
    proxy.signal(signal.SIGTERM)
    await proxy.exit_code()
    assert_none(proxy.stdout + proxy.stderr, "the output of the process")


@pytest.mark.parametrize(
    ("credential", "script", "log_format"),
    [
        pytest.param(TOKEN, ECHO, "json", id="echo, json"),
        pytest.param(TOKEN, ECHO, "text", id="echo, text"),
        pytest.param(TOKEN, GARBAGE, "json", id="garbage"),
        pytest.param(TOKEN, cut, "json", id="cut"),
        pytest.param(PLACEHOLDER, ECHO, "json", id="without the token"),
        pytest.param(OWN_KEY, ECHO, "text", id="with another key"),
    ],
)
async def test_a_process(
    upstream: OpenUpstream,
    proxy_process: StartProcess,
    connect: Connect,
    tmp_path: Path,
    script: Script,
    credential: str,
    log_format: str,
) -> None:
    """Promise 28: with the key in a file and the token in the environment, nothing shows them, at debug level."""
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    behind = await upstream(script)
    settings = {"api_key_file": str(file), "access_token": TOKEN, "log_format": log_format}
    proxy = await proxy_process(behind, **settings)
    await ask_all(connect, proxy, credential, in_path=TOKEN)
    assert not leaks(command_lines())
    await settled(proxy)
    assert bool(behind.requests) == (credential == TOKEN)
    assert all(TOKEN.encode() not in b"".join(request.values("authorization")) for request in behind.requests)


@pytest.mark.parametrize("credential", [PLACEHOLDER, OWN_KEY])
async def test_clients_keys(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, credential: str
) -> None:
    """Promise 28: where the proxy has no key, those of its clients are as secret."""
    proxy = await proxy_process(await upstream(ECHO))
    await ask_all(connect, proxy, credential)
    await settled(proxy)


async def test_an_upstream_that_is_not_there(
    proxy_process: StartProcess, upstream: OpenUpstream, connect: Connect
) -> None:
    """Promise 28: nor when U refuses."""
    behind = await upstream()
    proxy = await proxy_process(behind, api_key=KEY)
    await behind.stop()
    await ask_all(connect, proxy, PLACEHOLDER)
    await settled(proxy)


async def test_tls_that_fails(
    proxy_process: StartProcess, upstream: OpenUpstream, connect: Connect, authority: trustme.CA
) -> None:
    """Promise 28: nor when U's certificate is not trusted."""
    proxy = await proxy_process(await upstream(tls=server_context(authority)), api_key=KEY)
    await ask_all(connect, proxy, PLACEHOLDER)
    await settled(proxy)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_cut_streams(
    proxy_process: StartProcess, upstream: OpenUpstream, connect: Connect, number: signal.Signals
) -> None:
    """Promise 28: nor when requests under way are cut by two signals."""
    behind = await upstream(stall)
    proxy = await proxy_process(behind, api_key=KEY, shutdown_grace="30")
    client = await connect(proxy)
    await client.send(post(f"x-api-key: {PLACEHOLDER}", target=f"/api/v1/responses?{KEY}"))
    await behind.request()
    proxy.signal(number)
    await once_nobody_listens(proxy)
    await asyncio.sleep(0.6)  # a second signal within half a second would be the same wish
    proxy.signal(number)
    await proxy.exit_code()
    assert_none(proxy.stdout + proxy.stderr, "the output of the process")


class BugError(Exception):
    """Quotes a secret, as a careless library would."""


class Bug(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers.raw)
        raise BugError(f"{headers} {request.extensions}")


async def test_bugs(proxy_for: StartProxy, connect: Connect, footprint: Footprint) -> None:
    """Promise 28: a bug whose exception quotes the headers is logged by its place alone, and answered with an id."""
    proxy = await proxy_for("http://127.0.0.1:9", Bug(), api_key=KEY)
    response = await (await connect(proxy)).ask(get(target=f"/api/v1/models?{KEY}"))
    assert response.status == 500
    assert_none("".join(footprint.complaints), "the log")
    footprint.complaints.clear()
    assert_none((response.head + response.body).decode(), "the answer")


BAD_SECRETS = [
    f"{KEY}\n{KEY}",
    f"{KEY}\n\n",
    f" {KEY}",
    f"{KEY} ",
    f"{KEY}\t",
    f"{KEY}\0",
    f"\x1b[31m{KEY}",
    f"{KEY}\u2028",
    f"{KEY}\xe9",
    f'"{KEY}"',
    f"'{KEY}'",
    f"Bearer {KEY}",
    f"{KEY}\r{TOKEN}",
]


@pytest.mark.parametrize("field", ["api_key", "access_token"])
@pytest.mark.parametrize("text", BAD_SECRETS, ids=range(len(BAD_SECRETS)))
def test_a_bad_secret_is_refused_unseen(text: str, field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise 28: blanks, control and non-ASCII characters stop the start; not one character of the value is shown."""
    name = f"OPENROUTER_{field.upper()}"
    places = [{f"{name}_FILE": str(tmp_path / "secret")}]
    (tmp_path / "secret").write_text(text, encoding="utf-8", newline="")
    if "\0" not in text:
        places.append({name: text})
    for environment in places:
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            with pytest.raises(SettingsError) as error:
                load_settings({"http_referer": "https://app.example", "api_key": None})
        [fault] = [fault for fault in error.value.faults if fault.startswith(name)]
        assert fault.isprintable()
        assert_none(f"{error.value!r} {error.value}", "the fault")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_one_newline_at_the_end_is_forgiven(end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise 28: most ways to make a secret leave a newline, which is not part of it."""
    (tmp_path / "secret").write_text(KEY + end, newline="")
    for name, value in (("OPENROUTER_API_KEY", KEY + end), ("OPENROUTER_API_KEY_FILE", str(tmp_path / "secret"))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            key = load_settings({"http_referer": "https://app.example"}).settings.api_key
            assert key is not None
            assert key.get_secret_value() == KEY


FLAG = "sk-or-v1-on-the-command-line"


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [("--api-key", FLAG), (f"--api-key={FLAG}",), (f"--access-token={FLAG}",)])
@pytest.mark.parametrize("command", ["serve", "check"])
async def test_there_is_no_flag_for_a_secret(tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    """Promise 28: process lists are public, so a secret on the command line is refused, and not repeated."""
    async with spawned(command, *arguments, cwd=tmp_path) as child:
        assert await child.exit_code() == 2
    assert "A secret has no flag" in child.stderr
    assert FLAG not in child.stderr + child.stdout


@pytest.mark.integration
async def test_check_shows_that_there_are_secrets_and_not_which(tmp_path: Path) -> None:
    """Promise 28: `check` says where the secrets come from."""
    async with spawned("check", cwd=tmp_path, api_key=KEY, access_token=TOKEN) as child:
        assert await child.exit_code() == 0
    assert "  Authorization: Bearer (hidden)\n" in child.stdout
    told = "used for callers without one of their own; from the environment (env -u OPENROUTER_API_KEY starts without)"
    assert f"  key       {told}\n" in child.stdout
    assert "  callers   whoever presents the access token in place of an API key\n" in child.stdout
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_ACCESS_TOKEN"):
        [line] = [line.split() for line in child.stdout.splitlines() if line.split()[:1] == [name]]
        assert line == [name, "(set)", "environment", name]


async def test_no_object_shows_a_secret(upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 28: while a request with secrets is under way, no object of ours shows one in its `repr`."""
    behind = await upstream(stall)
    proxy = await proxy_for(behind, api_key=KEY, access_token=TOKEN, extra_headers='{"X-Gateway": "CANARY-gateway"}')
    client = await connect(proxy)
    await client.send(post(f"x-api-key: {TOKEN}", "Content-Type: application/json", body=KEY.encode()))
    await behind.request()
    seen = list(ours())
    assert len(seen) > 10
    for shown in seen:
        assert_none(shown, "a repr")


def ours() -> Iterator[str]:
    """What the objects of our modules show of themselves; also requests and tasks, which hold some of them."""
    gc.collect()  # what other tests in this process have left is much, and not looked for
    holders = (httpx.Request, asyncio.Task)
    for each in gc.get_objects():
        if str(type(each).__module__).startswith("proxy.") or isinstance(each, holders):
            yield repr(each)
    for made in (
        Settings(http_referer="https://app.example", api_key=KEY, access_token=TOKEN),
        load_settings({"http_referer": "https://app.example", "api_key": KEY, "access_token": TOKEN}),
    ):
        yield f"{made!r} {made}"


def test_a_key_log_of_tls_has_no_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise 28: SSLKEYLOGFILE, by which anybody who records the traffic could read it, is not obeyed."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl.create_default_context().keylog_filename  # it would be, in Python's own contexts
    assert tls_context().keylog_filename is None


async def test_no_key_log_is_written(
    upstream: OpenUpstream,
    proxy_process: StartProcess,
    connect: Connect,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Promise 28: after a real TLS exchange there is nothing in SSLKEYLOGFILE."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    proxy = await proxy_process(await upstream(tls=server_context(authority)), api_key=KEY)
    assert (await (await connect(proxy)).ask(get())).status == 200
    written = (tmp_path / "keys").read_text().splitlines() if (tmp_path / "keys").exists() else []
    assert all(line.startswith("#") for line in written)  # Python opens it with a comment


async def test_no_core_is_dumped(upstream: OpenUpstream, proxy_process: StartProcess) -> None:
    """Promise 28: a crash leaves no memory behind on disk."""
    proxy = await proxy_process(await upstream(), api_key=KEY)
    limits = Path(f"/proc/{proxy.process.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"


async def test_a_secret_that_the_longest_path_cuts(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect
) -> None:
    """Promise 28: a path is searched before it is shortened, also that of a request that is malformed."""
    proxy = await proxy_for(await upstream(), api_key=KEY, access_token=TOKEN)
    for shown in range(1, len(TOKEN) + 1):
        target = "/api/v1/".ljust(256 - shown, "a") + TOKEN
        await (await connect(proxy)).ask(message(f"GET {target} HTTP/1.1", "Host: localhost", "Bad : x"))
        record = await proxy.record(shown - 1)
        assert (record.error, record.path) == ("malformed-request", HIDDEN)
