"""The types of the fixtures in tests/conftest.py, for the annotations of the tests that use them."""

import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import httpx2 as httpx

from tests.support.client import Address, Client
from tests.support.proxies import Proxy, ProxyProcess
from tests.support.upstream import Script, Upstream


class OpenUpstream(Protocol):
    async def __call__(self, *scripts: Script, tls: ssl.SSLContext | None = None, raw: bool = False) -> Upstream: ...


class StartProxy(Protocol):
    async def __call__(
        self, upstream: Upstream | str, transport: httpx.AsyncBaseTransport | None = None, **settings: Any
    ) -> Proxy: ...


class StartProcess(Protocol):
    async def __call__(
        self, upstream: Upstream, *arguments: str, prefix: Sequence[str] = (), **settings: str
    ) -> ProxyProcess: ...


class Connect(Protocol):
    async def __call__(self, address: Address) -> Client: ...


class Setup(NamedTuple):
    """A client, the proxy that it is connected to, and the upstream behind that."""

    client: Client
    upstream: Upstream
    proxy: Proxy


class Through(Protocol):
    async def __call__(self, *scripts: Script, **settings: Any) -> Setup: ...
