"""Promise 17: an answer that comes before the upload has ended reaches the client."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.support.client import get
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, Through
from tests.support.http1 import chunk, message
from tests.support.upstream import OK, UpstreamConnection, reply

BODY = b'{"error":{"code":401,"message":"No auth credentials found"}}'
PIECE = b"x" * 65536
LARGE = 16 << 20  # more than all buffers between client and upstream hold

LENGTH = message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {LARGE}")
CHUNKED = message("POST /api/v1/files HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")

Afterwards = Callable[[UpstreamConnection, asyncio.Event], Awaitable[None]]


async def closes(connection: UpstreamConnection, over: asyncio.Event) -> None:
    pass


async def stops_reading(connection: UpstreamConnection, over: asyncio.Event) -> None:
    connection.hold()
    await over.wait()
    connection.resume()  # only so that the end of the connection can be seen
    await reads_on(connection, over)


async def reads_on(connection: UpstreamConnection, over: asyncio.Event) -> None:
    while await connection.take():
        pass


@pytest.mark.parametrize("status", [401, 413])
@pytest.mark.parametrize("afterwards", [closes, stops_reading, reads_on])
@pytest.mark.parametrize(("head", "piece"), [(LENGTH, PIECE), (CHUNKED, chunk(PIECE))], ids=["length", "chunks"])
async def test_while_uploading(
    through: Through, connect: Connect, *, status: int, afterwards: Afterwards, head: bytes, piece: bytes
) -> None:
    """Promise 17: the client gets U's early answer, whole, whatever U does with the rest of the upload."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.head()
        await connection.take()
        await connection.send(message(f"HTTP/1.1 {status} No", f"Content-Length: {len(BODY)}", body=BODY))
        await afterwards(connection, over)

    over = asyncio.Event()
    client, upstream, proxy = await through(script, reply(OK))
    await client.send(head)
    uploading = asyncio.get_running_loop().create_task(client.send(*[piece] * (LARGE // len(PIECE))))
    try:
        response = await client.answer(b"POST")
    finally:
        uploading.cancel()
        with suppress(asyncio.CancelledError, GoneError):
            await uploading
    assert (response.status, bytes(response.body), response.ending) == (status, BODY, "complete")
    assert not response.values("x-proxy-error")
    assert (await proxy.record()).status == status
    over.set()
    await upstream.closed(within=1)
    assert (await (await connect(proxy)).ask(get())).status == 200


async def test_a_client_that_reads_only_when_it_has_sent_everything(through: Through) -> None:
    """Promise 17: the answer is not lost to a client that first sends its whole upload, as many do, and reads then."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.head()
        await connection.send(message("HTTP/1.1 413 No", f"Content-Length: {len(BODY)}", body=BODY))

    size = 4 * len(PIECE)
    client, _, proxy = await through(script)
    client.hold()
    await client.send(message("POST /api/v1/files HTTP/1.1", "Host: localhost", f"Content-Length: {size}"))
    await proxy.record()
    await client.send(*[PIECE] * (size // len(PIECE)))
    client.resume()
    response = await client.answer(b"POST")
    assert (response.status, bytes(response.body), response.ending) == (413, BODY, "complete")


async def test_a_stream_that_begins_before_the_upload_has_ended(through: Through) -> None:
    """Promise 17: an early answer does not end the upload: both go on until both have ended."""

    async def script(connection: UpstreamConnection) -> None:
        request = await connection.head()
        await request.read(until=b"one")
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), chunk(b"got one"))
        await request.read()
        await connection.send(chunk(b"got " + request.body) + b"0\r\n\r\n")

    client, *_ = await through(script)
    await client.send(
        message("POST /api/v1/x HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"), chunk(b"one")
    )
    response = await client.response()
    await response.read(until=b"got one")
    await client.send(chunk(b"two") + b"0\r\n\r\n")
    assert await response.read() == b"got onegot onetwo"
