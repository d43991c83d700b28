"""The access log: one line for each request when it has ended, which says how it went and nothing that is secret."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess, Through
from tests.support.http1 import LAST_CHUNK, chunk, message
from tests.support.upstream import UpstreamConnection, reply

CANARY = "sk-or-v1-canary"
SECRETS = [f"Authorization: Bearer {CANARY}", f"x-api-key: {CANARY}", f"X-Title: {CANARY}", f"Cookie: {CANARY}"]
BODY = b'{"user":"' + CANARY.encode() + b'"}'
ANSWER = message("HTTP/1.1 200 OK", "X-Generation-Id: gen-1", f"X-Canary: {CANARY}", "Content-Length: 26", body=BODY)


@pytest.mark.parametrize("log_level", ["info", "debug"])
async def test_json(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, log_level: str) -> None:
    """A line says method, path, status, times, bytes, generation, attribution and who ended it; no query, no secret."""
    proxy = await proxy_process(await upstream(reply(ANSWER)), log_level=log_level)
    client = await connect(proxy)
    response = await client.ask(post(*SECRETS, body=BODY, target=f"/api/v1/chat%2Fcompletions?key={CANARY}"))
    assert response.status == 200
    await client.ask(get(*SECRETS, target=f"/nowhere?key={CANARY}"))
    await client.ask(get(*SECRETS, target=f"http://localhost/api/v1/models?{CANARY}"))
    await proxy.access_line(2)
    lines = {line["path"]: line for line in proxy.access_log}
    first = lines.pop("/api/v1/chat%2Fcompletions")
    assert timeless(first) == {
        "level": "info",
        "method": "POST",
        "path": "/api/v1/chat%2Fcompletions",
        "tool": None,
        "profile": None,
        "status": 200,
        "bytes": len(BODY),
        "generation_id": "gen-1",
        "attribution": "stamped",
        "ended_by": "upstream",
        "error": None,
    }
    assert 0 <= first["first_byte_ms"] <= first["total_ms"] < 5000
    refused = lines.pop("/nowhere")
    assert (refused["status"], refused["error"]) == (404, "unknown-path")
    assert (refused["ended_by"], refused["attribution"]) == ("proxy", None)
    assert lines.pop("/api/v1/models")["status"] == 200
    assert not lines
    assert CANARY not in proxy.stdout + proxy.stderr


def timeless(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in ("time", "message", "first_byte_ms", "total_ms")}


async def test_text(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """As text it is one line too, without query and secrets."""
    proxy = await proxy_process(await upstream(reply(ANSWER)), log_format="text")
    client = await connect(proxy)
    await client.ask(post(*SECRETS, body=BODY, target=f"/api/v1/chat/completions?key={CANARY}"))
    await proxy.until(lambda: "gen-1" in proxy.stdout, "the line")
    [line] = [line for line in proxy.stdout.splitlines() if "gen-1" in line]
    assert "200 POST /api/v1/chat/completions" in line
    assert "stamped" in line
    assert CANARY not in proxy.stdout + proxy.stderr


@pytest.mark.parametrize("target", ["/api/v1/\\x1b[31mred", "/api/v1/%1b[31m%0a%0d", "/nowhere/%0aforged"])
async def test_a_path_cannot_forge_lines(through: Through, target: str) -> None:
    """A path is logged as it came, percent-encoded: it starts no line and colours no terminal."""
    client, _, proxy = await through()
    await client.ask(get(target=target))
    path = (await proxy.record()).path
    assert path.isprintable()
    assert path == target


async def test_the_time_to_the_first_byte_is_not_the_total(through: Through) -> None:
    """The first byte is timed when the head goes out, the total when the answer has ended; bytes are the body's."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
        await end.wait()
        await connection.send(chunk(b"12345") + chunk(b"678") + LAST_CHUNK)

    end = asyncio.Event()
    client, _, proxy = await through(script)
    await client.send(get())
    response = await client.response()
    seen = time.monotonic()
    end.set()
    await response.read()
    record = await proxy.record()
    assert record.first_byte_at is not None
    assert record.ended_at is not None
    assert record.started_at <= record.first_byte_at <= seen <= record.ended_at
    assert record.sent_bytes == 8


@pytest.mark.parametrize(
    ("pieces", "status", "ended_by", "error"),
    [
        ([message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")], 200, "upstream", None),
        ([message("HTTP/1.1 500 No", "Content-Length: 0")], 500, "upstream", None),
        ([message("HTTP/1.1 200 OK", "Content-Length: 9", body=b"half")], 200, "upstream", "response-cut"),
        ([b"garbage\r\n\r\n"], 502, "proxy", "upstream-broken"),
    ],
)
async def test_who_ended_it(
    through: Through, pieces: list[bytes], status: int, ended_by: str, error: str | None
) -> None:
    """The line says who ended a request first, and what was wrong."""
    client, _, proxy = await through(reply(*pieces, close=True))
    await client.ask(post())
    record = await proxy.record()
    assert (record.status, record.ended_by, record.error) == (status, ended_by, error)
    assert len(proxy.records) == 1


@pytest.mark.parametrize("target", ['/x/"' + '"' * 16_000, "/x/" + "%22" * 5000, "/x/" + "a" * 300, "/" + '"' * 100])
async def test_a_long_path_is_cut(through: Through, target: str) -> None:
    """A line's path has at most 256 bytes, however long what came was, and then says so."""
    client, *_, proxy = await through()
    await client.ask(get(target=target))
    path = (await proxy.record()).path
    assert len(path) == 256
    assert path.endswith("...")
    assert path.startswith(("/x/%22%22", "/x/aaa", "/%22%22"))


async def test_a_wild_generation_id(through: Through) -> None:
    """What U sends as a generation id cannot forge a line either."""
    answer = message(b"HTTP/1.1 200 OK", b"X-Generation-Id: gen\xe9\x80", b"Content-Length: 0")
    client, _, proxy = await through(reply(answer))
    await client.ask(get())
    assert (await proxy.record()).generation_id is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("gen-1784_a.b", "gen-1784_a.b"),
        ("gen-1784:online", "gen-1784:online"),
        ("g" * 80, "g" * 80),
        ("g" * 81, None),  # a part of an id is none
        ('gen-1"},{"level":"error"', None),
        ("(none)", None),
        ("", None),
    ],
)
async def test_a_generation_id_has_its_letters_and_its_length(through: Through, value: str, shown: str | None) -> None:
    """Promise 28: of what U calls a generation id, a line has at most 80 letters, digits, points, lines and hyphens."""
    answer = message("HTTP/1.1 200 OK", f"X-Generation-Id: {value}", "Content-Length: 0")
    client, _, proxy = await through(reply(answer))
    await client.ask(get())
    assert (await proxy.record()).generation_id == shown


@pytest.mark.parametrize(
    ("agent", "tool"),
    [
        ("opencode/1.18 ai-sdk/provider-utils/3.0 runtime/bun/1.3", "opencode/1.18"),
        ("claude-cli/2.1.330 (external, cli)", "claude-cli/2.1.330"),
        ("OpenAI/Python 3.54.0", "OpenAI/Python"),
        ("curl/8.5", "curl/8.5"),
        ("a" * 300, "a" * 64),
        ("tool<script>/1", "tool"),
        ("\x1b[31mred", None),
        ("(nobody)", None),
        ("sk-or-v1-0123456789abcdef/1", "(hidden)"),
    ],
)
async def test_which_tool_it_was(through: Through, agent: str, tool: str | None) -> None:
    """A line names the tool, by the first product of its User-Agent: letters, digits and ._-/, at most 64 of them."""
    client, *_, proxy = await through()
    await client.ask(get(f"User-Agent: {agent}"))
    assert (await proxy.record()).tool == tool


@pytest.mark.parametrize(
    ("method", "target", "is_line"),
    [("HEAD", "/api/api/hello", False), ("HEAD", "/api/hello", False), ("GET", "/api/hello", True)],
)
async def test_claude_codes_greeting(
    proxy_process: StartProcess, upstream: OpenUpstream, connect: Connect, method: str, target: str, *, is_line: bool
) -> None:
    """Claude Code asks for /api/hello at each start: that looks like a wrong base URL, and is a line at debug only."""
    proxy = await proxy_process(await upstream(), log_level="info")
    client = await connect(proxy)
    await client.send(get(target=target, method=method))
    assert (await client.answer(method.encode())).status == 404
    await client.ask(get(target="/nowhere"))
    await proxy.until(lambda: "/nowhere" in proxy.stdout, "the next line")
    assert (target in proxy.stdout) == is_line


@pytest.mark.parametrize(
    "target",
    [
        f"/api/v1/key{CANARY}000",
        f"/api/v1/{CANARY}000".replace("-", "%2D"),
        f"/api/v1/{CANARY}000".replace("-", "%252D"),
        f"/api/v1/{CANARY}000".replace("s", "%2525252573", 1),
        "/api/v1/" + "a" * 250 + f"/{CANARY}000",
        "/api/v1/%" + "25" * 40 + "41",
    ],
)
async def test_a_key_in_a_path_is_hidden(through: Through, target: str) -> None:
    """Promise 28: a key that was pasted into a path is hidden: behind other letters, encoded, and encoded again."""
    client, *_, proxy = await through()
    await client.ask(get(target=target))
    assert (await proxy.record()).path == "(hidden)"
