"""Promise 22: a bug in the proxy is a 500 with an id by which its log line is found, and nothing else gets out."""

import json
import logging
import re
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, StartProxy
from tests.support.footprint import Footprint
from tests.support.http1 import Ending

CANARY = "sk-or-v1-canary"


class Buggy(httpx.AsyncBaseTransport):
    """Fails as no transport should, with a key in the text."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"cannot handle Authorization: Bearer {CANARY}") from ValueError(CANARY)


class BuggyBody(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise RuntimeError(CANARY)


class BuggyLater(httpx.AsyncBaseTransport):
    """Fails when the answer has already begun."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=BuggyBody())


def logged(caplog: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter()
    return "\n".join(formatter.format(record) for record in caplog.records)


@pytest.mark.parametrize("target", ["/api/v1/chat/completions", "/v1/messages"])
async def test_500_with_an_id(
    proxy_for: StartProxy, connect: Connect, caplog: pytest.LogCaptureFixture, footprint: Footprint, target: str
) -> None:
    """Promise 22: the 500 names an id that the log has too; neither holds the text of the exception."""
    proxy = await proxy_for("http://127.0.0.1:9", Buggy())
    client = await connect(proxy)
    response = await client.ask(post(f"Authorization: Bearer {CANARY}", target=target))
    assert (response.status, response.values("x-proxy-error")) == (500, [b"internal-error"])
    text = json.loads(response.body)["error"]["message"]
    [error_id] = re.findall(r"\b[0-9a-f]{8,}\b", text)
    assert [line for line in footprint.complaints if error_id in line]
    assert "RuntimeError" in logged(caplog)  # enough to find the bug by
    assert "handle_async_request" in logged(caplog)
    assert CANARY not in logged(caplog)
    assert CANARY.encode() not in response.head + response.body
    record = await proxy.record()
    assert (record.status, record.error, record.ended_by) == (500, "internal-error", "proxy")
    footprint.complaints.clear()
    assert (await client.ask(get(target="/healthz"))).status == 200


async def test_in_a_body_it_is_a_cut(
    proxy_for: StartProxy, connect: Connect, caplog: pytest.LogCaptureFixture, footprint: Footprint
) -> None:
    """Promise 22: when the answer has begun, a bug cuts it, with no text glued to what was there."""
    proxy = await proxy_for("http://127.0.0.1:9", BuggyLater())
    response = await (await connect(proxy)).ask(post())
    assert (response.status, bytes(response.body), response.ending) == (200, b"data: 1\n\n", Ending.CUT)
    assert "RuntimeError" in logged(caplog)
    assert CANARY not in logged(caplog)
    assert (await proxy.record()).error == "internal-error"
    footprint.complaints.clear()
