"""Promise 30: a client that does not do what is its turn is closed after a deadline, and costs the others nothing."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.lifecycle import Lifecycle
from proxy.resource_limits import capacity
from proxy.server import states as protocol
from proxy.server.connection import Connection
from proxy.server.connections import Connections
from tests.support.blackhole import black_hole
from tests.support.client import Client, get, post, post_chunked
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, StartProxy, Through
from tests.support.http1 import LAST_CHUNK, Ending, Response, chunk, message
from tests.support.memory import Wire, in_memory
from tests.support.secrets import KEY, TOKEN
from tests.support.upstream import stall

SHORT = 0.5  # seconds: the deadline under test
LONG = 60.0  # seconds: those that must not strike


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the deadlines that are constants; those that are not named are out of the way."""

    def set_deadlines(*, head: float = LONG, request: float = LONG, goodbye: float = LONG) -> None:
        monkeypatch.setattr(protocol, "HEAD_WITHIN", head)
        monkeypatch.setattr(protocol, "REQUEST_WITHIN", request)
        monkeypatch.setattr(protocol, "LINGER", goodbye)

    return set_deadlines


def assert_timed_out(response: Response) -> None:
    assert (response.status, response.values("x-proxy-error")) == (408, [b"request-timeout"])
    assert (response.values("connection"), response.ending) == ([b"close"], Ending.COMPLETE)


async def test_nothing(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: a client that connects and says nothing is closed without a word."""
    deadlines(head=SHORT)
    client, upstream, proxy = await through()
    assert await client.rest() == b""
    assert not upstream.connections
    assert not proxy.records


@pytest.mark.parametrize("half", [b"G", b"GET /api/v1/models HTTP/1.1\r\n", get()[:-2], get()[:-1]])
async def test_half_a_head(through: Through, deadlines: Callable[..., None], half: bytes) -> None:
    """Promise 30: a client that stops within its head gets a 408, and is closed."""
    deadlines(head=SHORT)
    client, upstream, proxy = await through()
    await client.send(half)
    assert_timed_out(await client.answer())
    assert await client.rest() == b""
    assert not upstream.connections
    assert (await proxy.record()).error == "request-timeout"


async def trickle(client: Client, data: bytes) -> None:
    """As slowly as can be, until the client is cut."""
    for byte in data:
        await client.send(bytes([byte]))
        await asyncio.sleep(SHORT / 20)


async def test_a_byte_at_a_time(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: bytes that keep coming put off nothing: it is the whole head that has a deadline."""
    deadlines(head=SHORT)
    client, upstream, _ = await through()
    async with asyncio.TaskGroup() as tasks:
        trickling = tasks.create_task(trickle(client, get("X-Slow: " + "x" * 10_000)))
        assert_timed_out(await client.answer())
        await client.ended()
        trickling.cancel()
    assert not upstream.connections


async def test_half_a_head_behind_an_answer(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: so it is with every later head of a connection."""
    deadlines(head=SHORT)
    client, upstream, _ = await through()
    assert (await client.ask(get())).status == 200
    await client.send(get()[:-2])
    assert_timed_out(await client.answer())
    assert await client.rest() == b""
    assert len(upstream.requests) == 1


async def test_nothing_behind_an_answer(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: a kept connection that nobody uses is closed without a word."""
    deadlines(request=SHORT)
    client, *_ = await through()
    assert (await client.ask(get())).status == 200
    assert await client.rest() == b""


@pytest.mark.parametrize("line_ends", [b"\r\n", b"\r\n\r\n\r", b"\r"])
async def test_line_ends_behind_an_answer(through: Through, deadlines: Callable[..., None], line_ends: bytes) -> None:
    """Promise 30: line ends, whole or in halves, begin no request, and put off nothing."""
    deadlines(request=SHORT, head=SHORT)
    client, *_ = await through()
    assert (await client.ask(get())).status == 200
    async with asyncio.TaskGroup() as tasks:
        trickling = tasks.create_task(trickle(client, line_ends * 5_000))
        await client.ended()
        trickling.cancel()


async def test_line_ends_before_the_first_request(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: so it is at the beginning of a connection."""
    deadlines(head=SHORT)
    client, *_ = await through()
    async with asyncio.TaskGroup() as tasks:
        trickling = tasks.create_task(trickle(client, b"\r\n" * 5_000))
        await client.ended()
        trickling.cancel()


@pytest.mark.parametrize(
    "half",
    [post(body=b"half of it")[:-3], post_chunked(), post_chunked(body=chunk(b"half")), post_chunked(body=b"A\r\nhalf")],
)
async def test_half_a_body(through: Through, deadlines: Callable[..., None], half: bytes) -> None:
    """Promise 30: a client that is silent within its upload gets a 408 after OPENROUTER_IDLE_TIMEOUT; U is closed."""
    deadlines()
    client, upstream, _ = await through(stall, idle_timeout=SHORT)
    await client.send(half)
    request = await upstream.request()
    assert_timed_out(await client.answer(b"POST"))
    assert await client.rest() == b""
    await upstream.closed(within=1)
    await request.read()
    assert request.ending is Ending.CUT


async def test_a_slow_upload_is_none_of_them(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: an upload whose pieces keep coming may take as long as it likes."""
    deadlines(head=SHORT, request=SHORT, goodbye=SHORT)
    client, upstream, _ = await through(idle_timeout=SHORT)
    await client.send(post(body=b"12345678")[:-8])
    for byte in b"12345678":
        await asyncio.sleep(SHORT / 4)  # the passing of time is what is tested
        await client.send(bytes([byte]))
    assert (await client.answer(b"POST")).status == 200
    assert bytes(upstream.requests[0].body) == b"12345678"


async def test_one_who_goes_on_when_it_is_refused(through: Through, deadlines: Callable[..., None]) -> None:
    """Promise 30: who is refused has a while to read that; then it is cut, whatever it still sends."""
    deadlines(goodbye=SHORT)
    client, *_ = await through()
    await client.send(b"no HTTP at all\r\n\r\n")
    assert (await client.answer()).status == 400
    assert await client.rest() == b""  # our half is ended, so that it can read it all
    with pytest.raises(GoneError):
        await trickle(client, b"x" * 10_000)


def test_the_deadlines() -> None:
    """Promise 30: they are long enough for slow lines, and longer than clients keep their idle connections."""
    assert (protocol.HEAD_WITHIN, protocol.REQUEST_WITHIN, protocol.LINGER) == (30, 120, 10)


@pytest.mark.parametrize("half", [b"", b"G", get()[:-2], post(body=b"{}")[:-1]])
async def test_others_are_served_meanwhile(through: Through, connect: Connect, half: bytes) -> None:
    """Promise 30: a client that sends nothing, or half a request, keeps nobody waiting."""
    slow, _, proxy = await through()
    await slow.send(half)
    for _ in range(3):
        assert (await (await connect(proxy)).ask(get())).status == 200


async def test_a_body_that_nobody_wants_is_read_in_turns() -> None:
    """Promise 30: others have their turn between two reads of it, whatever the loop's own reader would do."""
    async with in_memory(api_key=KEY, access_token=TOKEN) as proxy:
        wire = Wire()
        client = Connection(proxy.config, Connections(capacity(None), None, Lifecycle()), {})
        client.connection_made(wire)
        client.data_received(
            message("POST /api/v1/chat/completions HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
        )
        for _ in range(20):
            await asyncio.sleep(0)
        assert b" 401 " in wire.written
        for _ in range(3):
            client.data_received(chunk(b"x") * 1000)
            assert wire.paused
            await asyncio.sleep(0)
            assert not wire.paused
        client.data_received(LAST_CHUNK)
        assert not wire.paused
        client.connection_lost(None)


async def test_an_upload_that_we_do_not_read_is_none_of_them(proxy_for: StartProxy, connect: Connect) -> None:
    """Promise 30: while the proxy connects, and so leaves an upload unread, the client's time does not count."""
    with black_hole() as url:
        client = await connect(await proxy_for(url, connect_timeout=2.0, idle_timeout=0.5))
        sending = asyncio.get_running_loop().create_task(client.send(post(body=b"x" * 8_000_000)))
        answer = await client.answer(b"POST")
        sending.cancel()
    assert (answer.status, answer.values("x-proxy-error")) == (504, [b"connect-timeout"])
