"""The wire test kit, tested against itself: a client straight to a scripted upstream."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable

import pytest
import trustme

from tests.support.client import Client
from tests.support.connection import Connection, End, GoneError
from tests.support.fixtures import OpenUpstream
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, FramingError, chunk, chunked, message
from tests.support.tls import server_context
from tests.support.upstream import OK, Upstream, UpstreamConnection, reply, stall
from tests.support.waiting import News, eventually

GET = message("GET /a%2Fb?c HTTP/1.1", "Host: u", "X-A: 1", "x-a: ", "X-B: \xe9")


async def test_bytes_cross_both_ways(upstream: OpenUpstream) -> None:
    up = await upstream()
    client = await Client.open(up)
    response = await client.ask(GET)
    assert (response.status, response.reason, bytes(response.body), response.ending) == (200, b"OK", b"ok", "complete")
    [request] = up.requests
    assert (request.head, request.target) == (GET, b"/a%2Fb?c")
    assert request.headers == [(b"Host", b"u"), (b"X-A", b"1"), (b"x-a", b""), (b"X-B", b"\xe9")]
    client.close()
    assert await up.closed() is End.FIN


@pytest.mark.parametrize(
    ("leave", "end"), [(Client.close, End.FIN), (Client.half_close, End.FIN), (Client.reset, End.RESET)]
)
async def test_each_end_of_a_client_is_told_apart(
    upstream: OpenUpstream, leave: Callable[[Client], None], end: End
) -> None:
    up = await upstream(stall)
    client = await Client.open(up)
    await client.send(GET)
    await up.request()
    leave(client)
    assert await up.closed(within=1) is end
    await client.aclose()


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("answer", "leave", "body", "ending"),
    [
        (message("HTTP/1.1 200 OK", "Content-Length: 3", body=b"abc"), Connection.close, b"abc", Ending.COMPLETE),
        (message("HTTP/1.1 200 OK", "Content-Length: 4", body=b"abc"), Connection.close, b"abc", Ending.CUT),
        (message("HTTP/1.1 200 OK", "Content-Length: 4", body=b"abc"), Connection.reset, b"abc", Ending.CUT),
        (message("HTTP/1.1 200 OK", CHUNKED, body=chunked(b"a", b"bc")), Connection.close, b"abc", Ending.COMPLETE),
        (message("HTTP/1.1 200 OK", CHUNKED, body=chunk(b"abc")), Connection.close, b"abc", Ending.CUT),
        (message("HTTP/1.1 200 OK", CHUNKED, body=b"5\r\nabc"), Connection.close, b"abc", Ending.CUT),
        (message("HTTP/1.1 200 OK", CHUNKED, body=chunk(b"abc") + b"0\r\n"), Connection.close, b"abc", Ending.CUT),
        (message("HTTP/1.1 200 OK", body=b"abc"), Connection.close, b"abc", Ending.COMPLETE),
        (message("HTTP/1.1 200 OK", body=b"abc"), Connection.reset, b"abc", Ending.CUT),
        (message("HTTP/1.1 304 Not Modified", "Content-Length: 3"), Connection.close, b"", Ending.COMPLETE),
    ],
)
async def test_a_cut_body_is_told_from_a_whole_one(
    upstream: OpenUpstream, answer: bytes, leave: Callable[[Connection], None], body: bytes, ending: Ending
) -> None:
    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(answer)
        leave(connection)

    client = await Client.open(await upstream(script))
    response = await client.ask(GET)
    assert (bytes(response.body), response.ending) == (body, ending)
    await client.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\nY: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ],
)
async def test_a_malformed_response_is_refused(upstream: OpenUpstream, answer: bytes) -> None:
    client = await Client.open(await upstream(reply(answer)))
    with pytest.raises(FramingError):
        await client.ask(GET)
    await client.aclose()


async def test_interim_responses_trailers_and_what_follows_are_kept_apart(upstream: OpenUpstream) -> None:
    early = message("HTTP/1.1 103 Early Hints", "Link: </a>")
    answer = message("HTTP/1.1 200 OK", CHUNKED, body=chunk(b"abc") + b"0\r\nX-T: 1\r\n\r\n")
    client = await Client.open(await upstream(reply(early, answer, OK, close=True)))
    response = await client.ask(GET)
    assert [interim.status for interim in response.interim] == [103]
    assert (bytes(response.body), response.trailers) == (b"abc", [(b"X-T", b"1")])
    assert await client.rest() == OK
    client.close()


async def test_single_bytes_and_gates(upstream: OpenUpstream) -> None:
    gate = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.trickle(message("HTTP/1.1 200 OK", CHUNKED))
        await connection.send(chunk(b"first"))
        await gate.wait()
        await connection.send(chunk(b"second") + LAST_CHUNK)

    client = await Client.open(await upstream(script))
    await client.trickle(GET)
    response = await client.response()
    assert await response.read(until=b"first") == b"first"
    gate.set()
    assert await response.read() == b"firstsecond"
    client.close()


async def test_a_cut_upload_is_noticed(upstream: OpenUpstream) -> None:
    up = await upstream(stall)
    client = await Client.open(up)
    await client.send(message("POST / HTTP/1.1", "Content-Length: 9", body=b"half"))
    client.close()
    await up.closed()
    request = await up.request()
    assert await request.read() == b"half"
    assert request.ending is Ending.CUT


async def test_a_peer_that_does_not_read_holds_the_sender_back(upstream: OpenUpstream) -> None:
    async def script(connection: UpstreamConnection) -> None:
        connection.hold()
        await released.wait()
        connection.resume()
        await connection.request()
        await connection.send(OK)

    released = asyncio.Event()
    size = 32 << 20
    client = await Client.open(await upstream(script))
    sending = asyncio.get_running_loop().create_task(
        client.send(message("POST / HTTP/1.1", f"Content-Length: {size}"), *[b"x" * 65536] * (size // 65536))
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(sending), 0.3)
    released.set()
    await sending
    assert (await client.answer(b"POST")).status == 200
    client.close()


async def test_tls_with_a_name(upstream: OpenUpstream, authority: trustme.CA) -> None:
    up = await upstream(tls=server_context(authority))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    _, client = await asyncio.get_running_loop().create_connection(
        Client, up.host, up.port, ssl=context, server_hostname="localhost"
    )
    assert (await client.ask(GET)).status == 200
    assert up.server_names == ["localhost"]
    client.close()
    await up.closed()


async def test_an_upstream_that_stops_and_starts_again(upstream: OpenUpstream) -> None:
    up = await upstream()
    await up.stop()
    with pytest.raises(ConnectionRefusedError):
        await Client.open(up)
    await up.start()
    client = await Client.open(up)
    assert (await client.ask(GET)).status == 200
    client.close()


@pytest.mark.integration
async def test_a_script_that_fails_fails_the_test() -> None:
    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        raise ValueError("in the script")

    up = Upstream(script)
    await up.start()
    client = await Client.open(up)
    await client.send(GET)
    await client.ended()
    client.close()
    with pytest.raises(ValueError, match="in the script"):
        await up.stop()


async def test_a_socket_or_a_task_left_behind_is_found() -> None:
    footprint = Footprint()
    with socket.socket(), pytest.raises(AssertionError, match="sockets"):
        await footprint.check(within=0.05)
    await footprint.check()

    footprint = Footprint()
    task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    with pytest.raises(AssertionError, match="tasks"):
        await footprint.check(within=0.05)
    task.cancel()
    await footprint.check()


async def test_waiting_for_what_does_not_come_says_what_there_is(upstream: OpenUpstream) -> None:
    client = await Client.open(await upstream(reply(OK, close=True)))
    await client.send(GET)
    with pytest.raises(GoneError, match="200 OK"):
        await client.take_until(b"never")
    client.close()


async def test_a_wait_does_not_count_the_time_in_which_nothing_could_run() -> None:
    """The machine pauses the process for longer than the wait: what happens right after that is not late."""
    loop = asyncio.get_running_loop()
    news = News()
    happened: list[str] = []

    def happen(turns: int) -> None:
        if turns:
            loop.call_soon(happen, turns - 1)
        else:
            happened.append("it")
            news.tell()

    for wait in (
        news.until(lambda: happened, "it", within=0.5),
        eventually(lambda: bool(happened), lambda: "it", within=0.5),
    ):
        happened.clear()
        loop.call_soon(time.sleep, 0.7)
        loop.call_later(0.1, happen, 5)
        await wait
