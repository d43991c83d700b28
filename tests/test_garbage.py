"""What a request leaves behind: nothing that only the cyclic garbage collector could free."""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.client import get, post
from tests.support.fixtures import Connect, Through
from tests.support.http1 import message
from tests.support.upstream import OK, reply, stall

CLOSES = message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 2", body=b"ok")


@contextmanager
def cycles() -> Iterator[list[str]]:
    """The types of our objects that the block leaves in cycles."""
    found: list[str] = []
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # what earlier tests have left: the socket of one that failed is no fault of this one
    enabled = gc.isenabled()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += [type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("proxy")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if enabled:
            gc.enable()


@pytest.mark.slow
async def test_no_cycles(through: Through) -> None:
    """Requests leave no cycle of objects of ours: collecting them cost 14 % of the proxy's CPU, in pauses."""
    client, *_ = await through(reply(OK))
    for request in (post(), get()):  # the first ones leave what is made once
        assert (await client.ask(request)).status == 200
    with cycles() as found:
        for _ in range(3):
            for request in (post(), get()):
                assert (await client.ask(request)).status == 200
    assert not found


@pytest.mark.slow
async def test_no_cycles_of_those_who_leave(through: Through, connect: Connect) -> None:
    """Nor do clients that leave: with what was cancelled, 15,000 TLS handshakes came to hold 280 MB for a while."""
    _, upstream, proxy = await through(stall)
    with cycles() as found:
        for n in range(3):
            client = await connect(proxy)
            await client.send(post())
            await upstream.request(n)
            client.close()
            await upstream.closed(n)
            await proxy.record(n)
    assert not found


@pytest.mark.slow
async def test_no_cycles_of_connections(through: Through) -> None:
    """Connections to the upstream leave no cycle either."""
    client, upstream, _ = await through(reply(CLOSES))
    for request in (post(), get()):
        assert (await client.ask(request)).status == 200
    with cycles() as found:
        for _ in range(3):
            assert (await client.ask(post())).status == 200
        for n in range(5):
            await upstream.closed(n)
    assert not found


@pytest.mark.slow
async def test_no_cycles_of_failures(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do requests that fail, here or at the upstream: an error's traceback holds all that it came through."""
    monkeypatch.setattr(logging.getLogger("proxy.access"), "propagate", False)  # pytest keeps what a line is made of
    client, _, proxy = await through(reply(b"nonsense"))
    with cycles() as found:
        for _ in range(3):
            assert (await client.ask(get(target="/nowhere"))).status == 404
            assert (await client.ask(post())).status == 502
        proxy.records.clear()  # and so does the kit
    assert not found
