"""A TCP connection to a host and port, over whichever of its addresses answers."""

import socket

from aiohappyeyeballs import start_connection

from proxy.upstream.resolve import Resolver

_NEXT_ADDRESS_AFTER = 0.25  # seconds, RFC 8305, section 5: a dead IPv6 path must not cost the connect timeout
_OPTIONS = [
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    # A model may think for minutes; NAT tables forget silent connections sooner.
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
]


class Direct:
    """A `Route` to ``host`` and ``port`` without anything between."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self._resolver = Resolver(host, port)

    async def connect(self) -> socket.socket:
        """A connected socket that does not block; raises `OSError`."""
        sock = await start_connection(await self._resolver.addresses(), happy_eyeballs_delay=_NEXT_ADDRESS_AFTER)
        try:
            for level, name, value in _OPTIONS:
                if hasattr(socket, name):
                    sock.setsockopt(level, getattr(socket, name), value)
        except BaseException:
            sock.close()
            raise
        return sock
