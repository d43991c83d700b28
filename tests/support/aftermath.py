"""What must hold once a fault is over: it has cost one exchange and nothing else."""

import asyncio
from collections.abc import Iterable

from tests.conftest import Connect, Way
from tests.support.client import get
from tests.support.connection import GoneError
from tests.support.http1 import Ending, Response, message
from tests.support.upstream import Script, reply

OWN = message("HTTP/1.1 200 OK", "X-Own: 1", "Content-Length: 3", body=b"own")
"""The answer to the request after the fault."""

sound: Script = reply(OWN)


def is_visible_failure(response: Response) -> bool:
    """Whether the client can tell that it did not get the upstream's whole answer."""
    if response.status in (502, 504) and response.values("x-proxy-error"):
        return response.ending is Ending.COMPLETE
    return response.ending is Ending.CUT


async def check_served(way: Way, connect: Connect) -> None:
    """The same client, if its connection has stayed open, and another one each get the answer to their own request."""
    before = len(way.proxy.records)
    callers = [await connect(way.proxy)]
    # The end of the old connection may still be on its way: whatever is served before it counts.
    if way.client.end is None and not way.client.transport.is_closing():
        callers.insert(0, way.client)
    served = 0
    for caller in callers:
        try:
            response = await caller.ask(get())
        except GoneError:
            assert caller is way.client
            continue
        assert (response.status, bytes(response.body), response.values("x-own")) == (200, b"own", [b"1"])
        assert response.ending is Ending.COMPLETE
        served += 1
    assert served
    await way.proxy.record(before + served - 1)


async def check_aftermath(way: Way, connect: Connect, *, faulty: Iterable[int] = (0,)) -> None:
    """The upstream connections of the fault are closed, the next requests are served, and each request has one line.

    The way's scripts must end with `sound`.
    """
    for n in faulty:
        await way.upstream.closed(n, within=1)
    await check_served(way, connect)
    await asyncio.sleep(0)  # a second line for the same request would be written by now
    requests = len(way.upstream.requests)
    assert len(way.proxy.records) == requests, way.proxy.records
