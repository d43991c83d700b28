"""Whatever a client sends, the only host contacted is the configured upstream, and the key goes nowhere else."""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.connection import Connection
from tests.support.outbound import Asked, connect_proxy
from tests.support.proxies import in_process
from tests.support.secrets import BEARER_KEY, KEY, OWN_KEY, PLACEHOLDER
from tests.support.upstream import Upstream, UpstreamConnection, reply

pytestmark = pytest.mark.integration

_watched: list[tuple[str, Any]] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Sees every name that this process looks up, and every address that it connects to (PEP 578)."""
    if _watched is not None and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        _watched.append((event, arguments[1] if event == "socket.connect" else arguments[:2]))


sys.addaudithook(_watch)

# The decoy's address, as @@, in all the places where a proxy might look for where to go.
TARGETS = [
    b"/api/v1/models",
    b"/v1/chat/completions",
    b"http://@@/api/v1/models",
    b"https://@@/api/v1/models",
    b"//@@/api/v1/models",
    b"/api/v1//@@/x",
    b"/api/v1/@@",
    b"@@",
    b"/api/v1/x?url=http://@@/",
    b"/api/v1/x#@@",
    b"/api/v1/..%2f..%2f@@",
    b"/api/v1/@@%00",
    b"/api/v1\\@@/x",
    b"http://localhost@@@/api/v1/x",
    b"http://@@\\@localhost/api/v1/x",
    b"*",
]
NAMES = [b"Host", b"X-Forwarded-Host", b"Forwarded", b"Location", b"X-Original-URL", b"Authorization", b"x-api-key"]
NAMES += [b"Connection", b"Upgrade", b"Expect", b"Proxy-Connection", b"Referer", b"Origin", b"X-HTTP-Method-Override"]
NAMES += [b"Transfer-Encoding", b"Content-Length", b"Content-Type", b"HTTP-Referer", b"Authorization\t", b"X_Api_Key"]
VALUES = [
    b"@@",
    b"http://@@/",
    b"host=@@",
    b"localhost",
    b"openrouter.ai",
    b"authorization",
    b"close",
    b"chunked",
    b"0",
]
VALUES += [
    b"5",
    b"Bearer " + OWN_KEY.encode(),
    PLACEHOLDER.encode(),
    b"websocket",
    b"localhost\r\nHost: @@",
    b"100-continue",
]

blob = st.binary(max_size=40)
text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map(str.encode)


def mostly(sound: st.SearchStrategy[Any], weird: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Sound in seven of eight parts, so that many requests as a whole are good enough to be forwarded."""
    return st.integers(0, 7).flatmap(lambda n: weird if n == 7 else sound)


paths = st.builds(lambda path, tail: b"/api/v1/" + path + b"?" + tail, text, text)
headers = st.tuples(st.sampled_from(NAMES), mostly(st.sampled_from(VALUES), blob))
requests = st.fixed_dictionaries(
    {
        "method": mostly(
            st.sampled_from([b"GET", b"POST", b"DELETE"]), st.sampled_from([b"CONNECT", b"TRACE", b"G\r\nX"])
        ),
        "target": mostly(st.one_of(st.sampled_from(TARGETS), paths), blob),
        "version": mostly(st.just(b"HTTP/1.1"), st.sampled_from([b"HTTP/1.0", b"HTTP/2.0", b""])),
        "headers": st.lists(mostly(headers, st.tuples(blob, blob)), max_size=3),
        "body": st.one_of(blob, st.just(b"GET http://@@/api/v1/models HTTP/1.1\r\nHost: @@\r\n\r\n")),
        "host": mostly(st.just(value=True), st.just(value=False)),
        "framed": mostly(st.just(value=True), st.just(value=False)),
    }
)


def raw(parts: dict[str, Any], decoy: bytes) -> bytes:
    lines = [b"%b %b %b" % (parts["method"], parts["target"], parts["version"])]
    lines += [b"Host: localhost"] if parts["host"] else []
    lines += [b"%b: %b" % pair for pair in parts["headers"]]
    lines += [b"Content-Length: %d" % len(parts["body"])] if parts["framed"] else []
    # Behind it, a request that ends the connection, so that there is an end to wait for.
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return (b"\r\n".join([*lines, b"", parts["body"]]) + last).replace(b"@@", decoy)


class World:
    """A proxy with a key, its upstream, perhaps an outbound proxy before it, and a decoy that nobody may ever call."""

    def __init__(self, *, through_a_proxy: bool) -> None:
        self.stack = AsyncExitStack()
        self.upstream = Upstream(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
        self.decoy = Upstream(self._called)
        self.asked = Asked()
        self.outbound = Upstream(connect_proxy(self.asked)) if through_a_proxy else None
        self.forwarded = 0

    async def _called(self, connection: UpstreamConnection) -> None:
        raise AssertionError("the decoy was called")

    async def start(self) -> None:
        await self.stack.enter_async_context(self.upstream)
        await self.stack.enter_async_context(self.decoy)
        more: dict[str, Any] = {}
        if self.outbound is not None:
            await self.stack.enter_async_context(self.outbound)
            more["outbound_proxy"] = self.outbound.url
        self.proxy = await self.stack.enter_async_context(in_process(self.upstream.url, api_key=KEY, **more))

    async def check(self, parts: dict[str, Any]) -> None:
        global _watched  # noqa: PLW0603 - an audit hook cannot be taken off
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(Connection, self.proxy.host, self.proxy.port)
        _watched = []
        self.upstream.requests.clear()
        try:
            client.write(raw(parts, self.decoy.authority))
            with suppress(AssertionError):  # it may wait for more, which is its right
                await client.ended(within=0.15)
        finally:
            contacted, _watched = _watched, None
            client.close()
        assert KEY.encode() not in client.buffer
        upstream = (self.upstream.host, self.upstream.port)
        # The outbound proxy is a part of this process: what it connects to is seen, too.
        allowed = {upstream} if self.outbound is None else {upstream, (self.outbound.host, self.outbound.port)}
        for event, place in contacted:
            assert tuple(place) in allowed, event
        assert set(self.asked.targets) <= {(self.upstream.host.encode(), self.upstream.port)}
        assert not any(KEY.encode() in head for head in self.asked.heads)
        assert not self.decoy.connections
        self.forwarded += len(self.upstream.requests)
        for request in self.upstream.requests:
            assert request.values("host") == [self.upstream.authority]
            shown = request.head.count(KEY.encode())
            assert shown == (request.values("authorization") == BEARER_KEY)


@pytest.mark.parametrize("through_a_proxy", [False, True], ids=["direct", "through an outbound proxy"])
def test_any_request(*, through_a_proxy: bool) -> None:
    """Promise 25: for any target, headers and body, only the upstream is contacted, and only it gets the key.

    Behind an outbound proxy, that is the one that is contacted, and all that it is asked for is the upstream.
    """
    with asyncio.Runner() as runner:
        world = World(through_a_proxy=through_a_proxy)
        runner.run(world.start())
        try:

            @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
            @given(requests)
            def check(parts: dict[str, Any]) -> None:
                runner.run(world.check(parts))

            check()
        finally:
            runner.run(world.stack.aclose())
    assert world.forwarded >= 20, "enough of them were good requests"
