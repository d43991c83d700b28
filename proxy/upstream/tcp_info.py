"""What the kernel knows of a TCP connection and tells nobody who does not ask: Linux's TCP_INFO (tcp(7))."""

import socket
import struct
import sys
from typing import NamedTuple

# tcpi_state, tcpi_retransmits, tcpi_unacked, tcpi_bytes_acked (since Linux 4.1) of struct tcp_info (linux/tcp.h)
_LAYOUT = struct.Struct("=BxB21xI92xQ")
_CLOSED = 7  # TCP_CLOSE: reset by the other side, or given up

IS_THERE = sys.platform == "linux"
"""Whether this system tells: macOS and Windows do not, and FreeBSD means something else by it."""


class TcpInfo(NamedTuple):
    """The state of one connection."""

    closed: bool
    unacknowledged: int
    """Segments that were sent, and not acknowledged. What waits for a receiver that has no room was not sent."""
    repeated: int
    """How often the first of them was repeated in vain; 0 again with the next acknowledgement."""
    taken: int
    """Bytes that the other side has acknowledged since the connection was opened."""


def tcp_info(sock: socket.socket) -> TcpInfo:
    """The state of ``sock`` now. Raises `OSError`, as for a socket that is closed."""
    found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAYOUT.size)
    # An older kernel tells less, and something that only plays Linux may.
    state, repeated, unacknowledged, taken = _LAYOUT.unpack(found.ljust(_LAYOUT.size, b"\0"))
    return TcpInfo(state == _CLOSED, unacknowledged, repeated, taken)
