"""Where the proxy listens: its sockets, and how they are named."""

import errno
import socket
from dataclasses import dataclass

from proxy.host_names import in_url
from proxy.settings.addresses import Listen

_BACKLOG = 2048


class CannotListen(Exception):
    """The address cannot be listened on; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the proxy can be reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{in_url(self.host)}:{self.port}"


def open_sockets(listen: Listen) -> list[socket.socket]:
    """Listening sockets, one for each address of ``listen.host``; raises `CannotListen`."""
    sockets: list[socket.socket] = []
    port = listen.port
    try:
        # "::" is every address. A kernel that was started with ipv6.disable=1, as many servers' are, has those of IPv4.
        host = "0.0.0.0" if listen.host == "::" and not _speaks_ipv6() else listen.host  # noqa: S104 - it is asked for
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, address in dict.fromkeys(found):
            both = family == socket.AF_INET6 and listen.host == "::"
            opened = socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
            # Accepted sockets inherit it. asyncio's own loop sets it only where the protocol number is given, as
            # `create_server` does not; and then each event waits for the client to acknowledge the one before.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(opened)
            port = opened.getsockname()[1]
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise CannotListen(_cannot_listen(listen, error)) from error
    return sockets


def _speaks_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _cannot_listen(listen: Listen, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "the port is taken: stop the program that listens there",
        errno.EACCES: "ports below 1024 need a privilege: take a higher one",
        errno.EADDRNOTAVAIL: "no network interface here has this address: take 127.0.0.1 or 0.0.0.0",
    }
    if isinstance(error, socket.gaierror):
        reason = "the name does not resolve: take an address, such as 127.0.0.1"
    else:
        reason = reasons.get(error.errno or 0, error.strerror or "the system refuses")
    return f"Cannot listen on {listen}: {reason}, or set OPENROUTER_LISTEN to another host:port"


def address_of(listen: Listen, sockets: list[socket.socket]) -> Address:
    """Where a tool on this machine reaches what listens on ``sockets``."""
    host = "localhost" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104 - recognised here, not bound to
    return Address(host, sockets[0].getsockname()[1])
