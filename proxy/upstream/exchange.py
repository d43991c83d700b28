"""One request and its answer on one connection."""

import asyncio
from collections.abc import Awaitable

import httpx2 as httpx

from proxy.headers import Fields, HeaderList, body_framing, serialized
from proxy.upstream.connection import Connection
from proxy.upstream.messages import RawResponse
from proxy.upstream.pool import Pool


def request_head(method: bytes, target: bytes, headers: HeaderList) -> bytes:
    """The head of a request as it goes out; raises `httpx.LocalProtocolError` for a line break inside."""
    try:
        return serialized(b"%b %b HTTP/1.1" % (method, target), headers)
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error


class Exchange(httpx.AsyncByteStream):
    """Sends a request, and is the stream of the answer's body.

    The upload, if there is a body, runs in a task of its own, so that an answer that comes early (401, 413) is heard.
    `aclose` ends everything: it owns that task and gives the connection back.
    """

    def __init__(self, connection: Connection, pool: Pool, request: httpx.Request) -> None:
        self._connection = connection
        self._pool = pool
        self._request = request
        self._upload_task: asyncio.Task[None] | None = None
        self._open = True

    async def answer(self) -> httpx.Response:
        """Send the request, and wait for the answer: its head, or all of it if it comes in one piece."""
        connection = self._connection
        try:
            self._send()
            head = await connection.head()
            body = connection.whole_body()
        except BaseException:
            await self.aclose()
            raise
        if body is None:
            connection.release_buffer()
            return RawResponse(head.status, head.headers, self, {"fields": head.fields})
        await self.aclose()
        return RawResponse(head.status, head.headers, httpx.ByteStream(body), {"fields": head.fields})

    def _send(self) -> None:
        """Send all that is there; if the body is not, its upload goes on in a task."""
        request = self._request
        headers = request.headers.raw
        target = request.extensions.get("target") or request.url.raw_path
        head = request_head(request.method.encode("ascii"), target, headers)
        length, chunked = request.extensions.get("framing") or body_framing(Fields.spelled_anyhow(headers))
        self._connection.start(request.method, request.extensions.get("timeout", {}))
        if isinstance(request.stream, httpx.ByteStream):
            # All of it is here: one write, one TLS record, no task.
            self._connection.write(head + _framed(b"".join(request.stream), length, chunked=chunked))
            self._connection.request_sent = True
            del self._request  # its body would be kept for as long as the answer lasts
            return
        self._connection.write(head)
        if length or chunked:
            self._upload_task = asyncio.create_task(self._upload(length, chunked=chunked))  # noqa: TID251 - owned: see aclose
        else:
            self._connection.request_sent = True

    async def _upload(self, length: int, *, chunked: bool) -> None:
        try:
            await self._send_body(length, chunked=chunked)
        except httpx.WriteError:
            pass  # the upstream closed; what it said before, or its silence, is the answer
        except Exception as error:  # noqa: BLE001 - carried to whoever waits for the answer
            self._connection.fail(error)

    async def _send_body(self, length: int, *, chunked: bool) -> None:
        connection = self._connection
        assert isinstance(self._request.stream, httpx.AsyncByteStream)
        async for data in self._request.stream:
            length -= len(data)
            if not chunked and length < 0:
                raise httpx.LocalProtocolError("more body than Content-Length says")
            connection.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if connection.write_paused:
                await connection.drain()
        if chunked:
            connection.write(b"0\r\n\r\n")
        elif length:
            raise httpx.LocalProtocolError("less body than Content-Length says")
        connection.request_sent = True

    def __aiter__(self) -> "Exchange":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._connection.read()

    async def aclose(self) -> None:
        if not self._open:
            return
        self._open = False
        self._pool.release(self._connection)
        if self._upload_task is not None and not self._upload_task.done():
            self._upload_task.cancel()
            await asyncio.wait([self._upload_task])


def _framed(body: bytes, length: int, *, chunked: bool) -> bytes:
    if chunked:
        return (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)) if body else b"0\r\n\r\n"
    if len(body) != length:
        raise httpx.LocalProtocolError("not as much body as Content-Length says")
    return body
