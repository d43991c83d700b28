"""Every path and method of OpenRouter's API with a configured key, as the table in docs/configured-key.md says."""

import re
from pathlib import Path

import pytest

from tests.support.fixtures import Connect, OpenUpstream, StartProxy
from tests.support.http1 import message
from tests.support.secrets import BEARER_KEY, KEY

ROOT = Path(__file__).parents[2]
API = ROOT / "proxy/openrouter/endpoints.tsv"
TABLE = ROOT / "docs/configured-key.md"

FORWARDED, CLOSED = "forwarded", "403"


def api() -> list[tuple[str, str, str]]:
    """Method, path below /api/v1, type of the request's body."""
    rows = [line.split("\t") for line in API.read_text().splitlines() if not line.startswith("#")]
    return [(row[0], row[1], row[2]) for row in rows]


def table() -> dict[tuple[str, str], str]:
    """What the document says of each method and path."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| ([a-z0-9]+) \|", TABLE.read_text(), re.MULTILINE)
    return {(method, path): outcome for method, path, outcome in rows}


def test_the_table_is_of_the_whole_api() -> None:
    assert list(table()) == [(method, path) for method, path, _ in api()]
    assert set(table().values()) == {FORWARDED, CLOSED}


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
async def test_every_path_and_method(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect, prefix: str
) -> None:
    """Promise 25: each is forwarded with the key, or refused, as the table says; also OPTIONS and HEAD on its path."""
    behind = await upstream()
    client = await connect(await proxy_for(behind, api_key=KEY))
    for method, path, body in api():
        expected = table()[method, path]
        target = prefix + re.sub(r"\{\w+\}", "some~slug%2Fx:free", path)
        kind = body.split(",")[-1] or "application/json"
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", "Content-Length: 2"]
        for each in (method, "OPTIONS", "HEAD"):
            behind.requests.clear()
            await client.send(message(*[lines[0].replace(method, each, 1), *lines[1:]], body=b"{}"))
            response = await client.answer(each.encode())
            if expected == CLOSED:
                assert (response.status, response.values("x-proxy-error")) == (403, [b"management-closed"]), lines
                assert not behind.requests, lines
            else:
                assert response.status == 200, lines
                [request] = behind.requests
                assert request.target == ("/api" + target.removeprefix("/api")).encode()
                assert request.values("authorization") == BEARER_KEY
