"""Through an outbound proxy: what connects to it becomes a connection to the upstream, with TLS from end to end.

Names are for the proxy to look up, with SOCKS 5 as well (httpx does so; curl only for ``socks5h``): where a proxy is
needed, names of the outside often do not resolve, and a lookup would tell others what the proxy was to hide.
"""

import asyncio
import base64
import socket
from typing import Any

import h11
import httpx2 as httpx
import python_socks
from python_socks.async_.asyncio import Proxy as SocksProxy

from proxy.host_names import in_url
from proxy.settings.outbound_proxy import OutboundProxy
from proxy.upstream.direct import Direct

_MAX_HEAD = 64 * 1024  # bytes of everything that a proxy says before it relays
_NO_LIMIT = 31_536_000.0  # seconds: python-socks takes None for 60; whoever calls keeps the limit
_SOCKS = {
    "socks4": python_socks.ProxyType.SOCKS4,
    "socks4a": python_socks.ProxyType.SOCKS4,
    "socks5": python_socks.ProxyType.SOCKS5,
    "socks5h": python_socks.ProxyType.SOCKS5,
}


class Tunnel:
    """A `Route` to ``host`` and ``port`` through ``proxy``."""

    def __init__(self, proxy: OutboundProxy, host: str, port: int) -> None:
        self.host = host
        self._port = port
        self._proxy = proxy
        self._to_proxy = Direct(proxy.host, proxy.port)

    async def connect(self) -> socket.socket:
        """A socket whose far end is the upstream's; raises `httpx.ProxyError`, or `TimeoutError`."""
        handshake = self._over_socks if self._proxy.is_socks else self._over_http
        try:
            return await handshake()
        except TimeoutError:
            raise
        except (OSError, h11.RemoteProtocolError, python_socks.ProxyError, ValueError) as error:
            # ValueError: python-socks decodes what the proxy says (3.2.1). No text is kept: a proxy may repeat
            # the credentials.
            raise httpx.ProxyError("no way through the outbound proxy") from error

    async def _over_socks(self) -> socket.socket:
        proxy, password = self._proxy, self._proxy.password
        through = SocksProxy(
            _SOCKS[proxy.scheme],
            proxy.host,
            proxy.port,
            proxy.user,
            password.get_secret_value() if password else None,
            rdns=True,
            forward=_Opened(self._to_proxy),  # type: ignore[arg-type]  # of it, only `connect` is called
        )
        return await through.connect(self.host, self._port, timeout=_NO_LIMIT)

    async def _over_http(self) -> socket.socket:
        sock = await self._to_proxy.connect()
        try:
            await self._ask_to_connect(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _ask_to_connect(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        authority = f"{in_url(self.host)}:{self._port}"
        headers = [("Host", authority), *_authorization(self._proxy)]
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        request = http.send(h11.Request(method="CONNECT", target=authority, headers=headers))
        end = http.send(h11.EndOfMessage())
        assert request is not None
        assert end is not None
        await loop.sock_sendall(sock, request + end)
        heard = 0
        while (event := http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                data = await loop.sock_recv(sock, 4096)
                heard += len(data)
                if heard > _MAX_HEAD:  # endless interim answers
                    raise httpx.ProxyError("too many bytes from the outbound proxy")
                http.receive_data(data)
        if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
            raise httpx.ProxyError("the outbound proxy refused")
        # The upstream speaks when it is spoken to, be it TLS or HTTP: what is here before that is nobody's answer.
        if http.trailing_data[0]:
            raise httpx.ProxyError("bytes behind the outbound proxy's answer")


class _Opened:
    """How python-socks gets to the proxy. Its own way tries one address, and its lookup cannot be abandoned (3.2.1)."""

    def __init__(self, route: Direct) -> None:
        self._route = route

    async def connect(self, **_: Any) -> socket.socket:
        return await self._route.connect()


def _authorization(proxy: OutboundProxy) -> list[tuple[str, str]]:
    """Basic authentication (RFC 7617), if the URL has a user; UTF-8, as most proxies expect."""
    if proxy.user is None:
        return []
    password = proxy.password.get_secret_value() if proxy.password else ""
    token = base64.b64encode(f"{proxy.user}:{password}".encode()).decode("ascii")
    return [("Proxy-Authorization", f"Basic {token}")]
