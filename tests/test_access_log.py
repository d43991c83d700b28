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


async def test_a_wild_generation_id(through: Through) -> None:
    """What U sends as a generation id cannot forge a line either."""
    answer = message(b"HTTP/1.1 200 OK", b"X-Generation-Id: gen\xe9\x80", b"Content-Length: 0")
    client, _, proxy = await through(reply(answer))
    await client.ask(get())
    generation = (await proxy.record()).generation_id
    assert generation is not None
    assert generation.isascii()
    assert generation.isprintable()
