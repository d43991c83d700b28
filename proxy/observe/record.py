"""One record for each request, filled in by the stations that it passes."""

import time
from dataclasses import dataclass, field
from typing import Literal, cast

from starlette.types import Scope

Outcome = Literal["stamped", "kept", "passed"]
Ender = Literal["upstream", "client", "proxy"]

CLIENT_LEFT = 499  # nginx's code for "client closed request"; never sent, only recorded


@dataclass(slots=True)
class Record:
    """What happened to one request. Holds no header, no body, no query: nothing in it can be secret.

    ``status`` is None until it is known; times are `time.monotonic` seconds.
    """

    method: str
    path: str
    status: int | None = None
    attribution: Outcome | None = None
    generation_id: str | None = None
    error: str | None = None  # the slug of an error that is ours
    ended_by: Ender = "proxy"
    had_last_event: bool = False  # what the client got last was the event that ends a stream
    sent_bytes: int = 0
    started_at: float = field(default_factory=time.monotonic)
    first_byte_at: float | None = None
    ended_at: float | None = None


def record_of(scope: Scope) -> Record:
    """The record of the request that ``scope`` belongs to."""
    return cast(Record, scope["state"]["record"])
