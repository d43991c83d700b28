"""Looking up the upstream's addresses, in a way that can be abandoned."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from proxy.resource_limits import files_are_left
from proxy.upstream.exceptions import CannotLookUp

# As `socket.getaddrinfo` has them: family, type, protocol, name, address.
Addresses: TypeAlias = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]

_JOINED_FOR = 2.0  # seconds; a lookup that has lasted longer may be lost, and is not joined any more


class Resolver:
    """Looks up one host and port, each time anew, in a thread that nobody has to wait for.

    The loops' own lookups cannot be abandoned: a resolver without an answer waits for up to half a minute, and asyncio
    (for its executor) as well as uvloop (for libuv's threads) would not let the process end before that.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._lookup: asyncio.Future[Addresses] | None = None
        self._joined_until = 0.0

    async def addresses(self) -> Addresses:
        """The addresses now; raises `OSError`, mostly `socket.gaierror`. Those who ask together share one lookup.

        `CannotLookUp` if no thread can be started; nobody waits for what did not begin.
        """
        with suppress(socket.gaierror, UnicodeError):  # not an address but a name
            return socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        loop = asyncio.get_running_loop()
        if self._lookup is None or self._lookup.done() or loop.time() > self._joined_until:
            lookup: asyncio.Future[Addresses] = loop.create_future()
            try:
                threading.Thread(target=self._run, args=(lookup,), name="resolver", daemon=True).start()
            except RuntimeError as error:
                raise CannotLookUp("no thread can be started") from error
            lookup.add_done_callback(asyncio.Future.exception)  # seen, even if all who asked have left
            self._joined_until = loop.time() + _JOINED_FOR
            self._lookup = lookup
        return await asyncio.shield(self._lookup)

    def _run(self, lookup: asyncio.Future[Addresses]) -> None:
        addresses: Addresses = ()
        error: Exception | None = None
        try:
            addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as failure:
            # Without a file to open, the C library knows no names, and says only that there is none.
            error = failure if files_are_left() else OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        except UnicodeError:  # a label that IDNA cannot encode
            error = socket.gaierror(socket.EAI_NONAME, "not a host name")
        with suppress(RuntimeError):  # the loop is closed by now
            lookup.get_loop().call_soon_threadsafe(_settle, lookup, addresses, error)


def _settle(lookup: asyncio.Future[Addresses], addresses: Addresses, error: Exception | None) -> None:
    if error is not None:
        lookup.set_exception(error)
    else:
        lookup.set_result(addresses)
