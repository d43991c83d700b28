"""The client's end: exact bytes out, a strictly read response back."""

import asyncio
from typing import Protocol, Self

from tests.support.canaries import assert_none
from tests.support.connection import Connection
from tests.support.http1 import CARRIER, Response, message, read_response
from tests.support.profiles import Shape, unshaped
from tests.support.secrets import OWN_KEY, TOKEN

CARRIED = (f"{CARRIER}: {OWN_KEY}", f"Cookie: session={TOKEN}")
"""Secrets that every request carries, beside those that a test is about: they must turn up in no output."""


class Address(Protocol):
    """Where something listens."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


def get(*headers: str | bytes, target: str = "/api/v1/models", method: str = "GET") -> bytes:
    """A request without a body."""
    return message(f"{method} {target} HTTP/1.1", "Host: localhost", *CARRIED, *headers)


def post(*headers: str | bytes, body: bytes = b"{}", target: str = "/api/v1/chat/completions") -> bytes:
    """A request with a body of known length."""
    return message(
        f"POST {target} HTTP/1.1", "Host: localhost", *CARRIED, *headers, f"Content-Length: {len(body)}", body=body
    )


def post_chunked(*headers: str | bytes, body: bytes = b"", target: str = "/api/v1/chat/completions") -> bytes:
    """A request with a chunked body, of which `body` are the raw bytes to send now: chunks, or a part of them."""
    return message(
        f"POST {target} HTTP/1.1", "Host: localhost", *CARRIED, *headers, "Transfer-Encoding: chunked", body=body
    )


class Client(Connection):
    """A raw connection to the proxy, or directly to an upstream.

    >>> client = await Client.open(proxy.address)
    >>> response = await client.ask(message("GET /healthz HTTP/1.1", "Host: localhost"))
    >>> response.status, bytes(response.body)
    (200, b'ok\\n')
    """

    shape: Shape = staticmethod(unshaped)

    @classmethod
    async def open(cls, address: Address) -> Self:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, address.host, address.port)
        client.shape = getattr(address, "shape", unshaped)
        return client

    async def send(self, *pieces: bytes) -> None:
        """Sends each piece as soon as the one before is in the kernel, shaped for the profile that it is for."""
        await super().send(*map(self.shape, pieces))

    async def ask(self, request: bytes) -> Response:
        """Sends a whole request and reads the whole response."""
        await self.send(request)
        return await self.answer(request.split(b" ", 1)[0])

    async def answer(self, method: bytes = b"GET") -> Response:
        """Reads the whole response to a request of that method."""
        response = await self.response(method)
        await response.read()
        if response.values("x-proxy-error"):
            assert_none((response.head + response.body).decode("latin-1"), "an answer of ours")
        return response

    async def response(self, method: bytes = b"GET") -> Response:
        """The head of the response; read its body with `Response.read`."""
        return await read_response(self, method)
