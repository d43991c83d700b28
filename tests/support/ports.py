"""A port that is known before anybody listens on it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.client import Address, Client
from tests.support.waiting import PATIENCE


class Reserved(NamedTuple):
    """An address of this machine, for one process of the test."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@contextmanager
def reserved() -> Iterator[Reserved]:
    """Nobody else gets the port, while a server that sets SO_REUSEADDR, as all do, can listen on it (Linux)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield Reserved(*holder.getsockname())


async def once_it_listens(address: Reserved) -> Client:
    """A client, as soon as somebody listens there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await Client.open(address)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def once_nobody_listens(address: Address) -> None:
    """Returns when a proxy that is told to stop has heard it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                client = await Client.open(address)
            except ConnectionError:  # refused, or reset while it waited to be accepted
                return
            await client.aclose()
