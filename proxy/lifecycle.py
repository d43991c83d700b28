"""What the server tells the application, beside the requests themselves."""

from starlette.types import Scope

from proxy.errors import ClientLeft, ProxyError

CANCELLATION = "openrouter_proxy.cancellation"
"""The ASGI extension by which a server says that it cancels a request's task when nothing is to become of it."""


class Lifecycle:
    """Whether the process takes new work: ``stopping`` goes from false to true once, at the first signal.

    ``starting`` is true in one of several processes while not all of them serve.
    ``turned_away`` is the number of connections so far for which there was no room.
    """

    def __init__(self) -> None:
        self.starting = False
        self.stopping = False
        self.turned_away = 0


class Cancellation:
    """Why the server ends a request: written before it cancels the request's task, or before it starts it.

    None where the process stops. It travels here and not in `asyncio.CancelledError`, whose message does not survive
    each way out of a nested `asyncio.timeout` (CPython 3.11.2).
    """

    __slots__ = ("reason",)

    def __init__(self, reason: ClientLeft | ProxyError | None = None) -> None:
        self.reason = reason


def cancellation_of(scope: Scope) -> Cancellation | None:
    """The request's, if its server cancels; else the application must listen for ``http.disconnect``."""
    cancellation: Cancellation | None = (scope.get("extensions") or {}).get(CANCELLATION)
    return cancellation
