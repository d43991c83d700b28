"""Where the proxy listens: its sockets, and how they are named."""

import errno
import socket
from dataclasses import dataclass

from proxy.host_names import in_url, is_localhost
from proxy.settings.addresses import Listen

_BACKLOG = 2048
_FIRST_PASSED = 3  # SD_LISTEN_FDS_START
_TRIES = 20  # for one port that is free in both families, where any will do

_LOOPBACK = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
# An address of a name that no network interface here has, or of a family that the system does not know.
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

# Accepted sockets inherit them (Linux, BSD, macOS). asyncio's own loop sets TCP_NODELAY only where the protocol number
# is given, as `create_server` does not; and then each event waits for the client to acknowledge the one before.
# Keep-alive is for an answer that takes minutes to begin: a NAT, or a VPN, forgets a connection on which nothing moves.
_OPTIONS = [
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),  # seconds of silence before the first probe
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),  # seconds between two
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),  # that are not answered: then the client is gone
]


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
    """Listening sockets, one for each address of ``listen.host`` that this machine has; raises `CannotListen`.

    ``localhost`` has both loopback addresses, whatever the hosts file says: some tools try only one of them, and who
    listens on the other one is given their keys. Where another program does, the proxy does not start.
    """
    addresses = _addresses(listen)
    tries = _TRIES if listen.port == 0 and len(addresses) > 1 else 1
    while True:
        tries -= 1
        try:
            return _open_all(listen, addresses)
        except CannotListen as error:
            if not tries or not _is_taken(error.__cause__):
                raise


def inherited_sockets(count: int, listen: Listen) -> list[socket.socket]:
    """The ``count`` listening sockets that a service manager has passed, from descriptor 3 on; raises `CannotListen`.

    They say where the proxy listens; ``listen`` is what its guards were chosen for, so it must not promise less.
    """
    sockets = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + count):
        try:
            opened = socket.socket(fileno=descriptor)
            listening = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise CannotListen(f"LISTEN_FDS passes {descriptor} as a socket, and it is none") from error
        if not listening or opened.family not in (socket.AF_INET, socket.AF_INET6):
            raise CannotListen(
                f"LISTEN_FDS passes {descriptor}, which is no TCP socket that listens: see ListenStream="
            )
        host, port = opened.getsockname()[:2]
        if listen.is_loopback and not Listen(host, port).is_loopback:
            raise CannotListen(
                f"LISTEN_FDS passes a socket that listens on {Listen(host, port)}, beyond this machine, and "
                f"OPENROUTER_LISTEN is {listen}: set it to the same, so that the proxy knows who can call"
            )
        opened.set_inheritable(False)
        _set_options(opened)
        sockets.append(opened)
    return sockets


def _addresses(listen: Listen) -> list[tuple[socket.AddressFamily, str]]:
    if is_localhost(listen.host.lower().removesuffix(".")):  # not to be looked up
        return _LOOPBACK
    try:
        # "::" is every address. A kernel that was started with ipv6.disable=1, as many servers' are, has those of IPv4.
        host = "0.0.0.0" if listen.host == "::" and not _speaks_ipv6() else listen.host  # noqa: S104 - it is asked for
        found = socket.getaddrinfo(host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotListen(_cannot_listen(listen, listen.host, error)) from error
    return list(dict.fromkeys((family, str(address[0])) for family, *_, address in found))


def _speaks_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _open_all(listen: Listen, addresses: list[tuple[socket.AddressFamily, str]]) -> list[socket.socket]:
    opened: list[socket.socket] = []
    not_here: CannotListen | None = None
    port = listen.port
    for family, address in addresses:
        try:
            opened.append(_open(family, address, port, both=family == socket.AF_INET6 and listen.host == "::"))
            port = opened[0].getsockname()[1]
        except OSError as error:
            refused = CannotListen(_cannot_listen(listen, address, error))
            if error.errno in _NOT_HERE:
                not_here = refused
                continue
            for each in opened:
                each.close()
            raise refused from error
    if not_here is not None and not opened:
        raise not_here
    return opened


def _open(family: socket.AddressFamily, address: str, port: int, *, both: bool) -> socket.socket:
    opened = socket.create_server((address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    _set_options(opened)
    return opened


def _set_options(opened: socket.socket) -> None:
    for level, name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            opened.setsockopt(level, option, value)


def _is_taken(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def _cannot_listen(listen: Listen, address: str, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "the port is taken: stop the program that listens there",
        errno.EACCES: "ports below 1024 need a privilege: take a higher one",
        errno.EADDRNOTAVAIL: "no network interface here has this address: take 127.0.0.1 or 0.0.0.0",
    }
    if isinstance(error, socket.gaierror):
        reason = "the name does not resolve: take an address, such as 127.0.0.1"
    else:
        reason = reasons.get(error.errno or 0, error.strerror or "the system refuses")
    place = str(listen) if address == listen.host else f"{in_url(address)}:{listen.port} (for {listen})"
    return f"Cannot listen on {place}: {reason}, or set OPENROUTER_LISTEN to another host:port"


def address_of(listen: Listen, sockets: list[socket.socket]) -> Address:
    """Where a tool on this machine reaches what listens on ``sockets``."""
    return Address(listen.reached_at, sockets[0].getsockname()[1])
