"""What must hold once a fault is over: it has cost one exchange and nothing else."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext, suppress

from tests.support.client import get
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, Setup
from tests.support.http1 import Ending, Response, message
from tests.support.proxies import ProxyProcess
from tests.support.upstream import Script, reply
from tests.support.waiting import eventually

OWN = message("HTTP/1.1 200 OK", "X-Own: 1", "Content-Length: 3", body=b"own")
"""The answer to the request after the fault."""

sound: Script = reply(OWN)


def is_visible_failure(response: Response) -> bool:
    """Whether the client can tell that it did not get the upstream's whole answer."""
    if response.status in (502, 504) and response.values("x-proxy-error"):
        return response.ending is Ending.COMPLETE
    return response.ending is Ending.CUT


async def check_served(setup: Setup, connect: Connect) -> None:
    """Another client, and the same one if its connection has stayed open, get the answers to their own requests."""
    callers = [await connect(setup.proxy)]
    # The end of the old connection may still be on its way: what is served before it counts.
    if setup.client.end is None and not setup.client.transport.is_closing():
        callers.append(setup.client)
    for caller in callers:
        with suppress(GoneError) if caller is setup.client else nullcontext():
            response = await caller.ask(get())
            assert (response.status, bytes(response.body), response.values("x-own")) == (200, b"own", [b"1"])
            assert response.ending is Ending.COMPLETE


async def check_aftermath(setup: Setup, connect: Connect, *, faulty: Iterable[int] = (0,)) -> None:
    """The upstream connections of the fault are closed, the next requests are served, and each request has one line.

    The upstream's scripts must end with `sound`.
    """
    for n in faulty:
        await setup.upstream.closed(n, within=1)
    await check_served(setup, connect)
    requests = len(setup.upstream.requests)
    await setup.proxy.record(requests - 1)
    await asyncio.sleep(0)  # a second line for the same request would be there by now
    lines = [(record.method, record.status, record.error) for record in setup.proxy.records]
    assert len(lines) == requests, lines[-5:]


class Base:
    """What a proxy process holds when nothing is under way, to compare with when a fault is over."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self.proxy = proxy
        self.descriptors = proxy.descriptors()

    async def check(self, connect: Connect, *, lines: int, kept: int = 1) -> None:
        """The next request is served; then its log has ``lines`` access lines and no traceback, and nothing is left.

        But for the connections to the upstream that may be ``kept`` for the next callers.
        """
        client = await connect(self.proxy)
        response = await client.ask(get())
        assert (response.status, bytes(response.body)) == (200, b"own")
        await client.aclose()
        await self.proxy.access_line(lines - 1)
        await eventually(
            lambda: self.proxy.descriptors() <= self.descriptors + kept,
            lambda: f"{self.proxy.descriptors()} descriptors to become {self.descriptors} and {kept}",
        )
        assert len(self.proxy.access_log) == lines, self.proxy.access_log[-5:]
        assert "Traceback" not in self.proxy.stdout + self.proxy.stderr
