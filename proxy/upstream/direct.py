"""A TCP connection to a host and port, over whichever of its addresses answers."""

import socket

from aiohappyeyeballs import start_connection

from proxy.host_names import is_loopback
from proxy.upstream.exceptions import NotThisMachine
from proxy.upstream.resolve import Addresses, Resolver

_NEXT_ADDRESS_AFTER = 0.25  # seconds, RFC 8305, section 5: a dead IPv6 path must not cost the connect timeout
_OPTIONS = [
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    # A model may think for minutes; NAT tables forget silent connections sooner.
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
]


class Direct:
    """A `Route` to ``host`` and ``port`` without anything between; with ``here_only``, to this machine and no other."""

    def __init__(self, host: str, port: int, *, here_only: bool = False) -> None:
        self.host = host
        self._here_only = here_only
        self._resolver = Resolver(host, port)

    async def addresses(self) -> Addresses:
        """Those that may be connected to; raises `OSError`."""
        addresses = await self._resolver.addresses()
        return _of_this_machine(addresses, self.host) if self._here_only else addresses

    async def connect(self) -> socket.socket:
        """A connected socket that does not block; raises `OSError`."""
        sock = await start_connection(await self.addresses(), happy_eyeballs_delay=_NEXT_ADDRESS_AFTER)
        try:
            for level, name, value in _OPTIONS:
                if hasattr(socket, name):
                    sock.setsockopt(level, getattr(socket, name), value)
        except BaseException:
            sock.close()
            raise
        return sock


def _of_this_machine(addresses: Addresses, host: str) -> Addresses:
    """Those that are loopback. Names below ``localhost`` should be (RFC 6761, 6.3), but resolvers differ."""
    here = [each for each in addresses if is_loopback(str(each[4][0]))]
    if not here:
        raise NotThisMachine(f"{host} is the name of another machine here")
    return here
