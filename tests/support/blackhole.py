"""An address where connecting neither succeeds nor fails."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def black_hole(port: int = 0) -> Iterator[str]:
    """The URL of a socket whose queue of connections is full: the kernel drops every further SYN (Linux)."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())
