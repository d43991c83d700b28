"""What the proxy keeps for a stream on which nothing moves, of which there may be thousands."""

import asyncio
import gc

import httpx2 as httpx

from tests.support.client import post
from tests.support.fixtures import Through
from tests.support.http1 import chunk, message
from tests.support.upstream import UpstreamConnection

_BODY = b'{"messages": "what was said before, CANARY-of-the-body"}'


async def test_what_was_sent_is_not_kept(through: Through) -> None:
    """Promise 8: while an answer streams, the request's body is not kept; it may be a hundred kilobytes."""
    done = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        assert (await connection.request()).body == _BODY
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunk(b"first"))
        await done.wait()

    client, *_ = await through(script)
    await client.send(post(body=_BODY))
    response = await client.response()
    assert await response.read(until=b"first") == b"first"
    kept = [each for each in gc.get_objects() if isinstance(each, httpx.ByteStream) and _BODY in b"".join(each)]
    done.set()
    assert not kept
