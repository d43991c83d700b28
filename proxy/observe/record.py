"""One record for each request, filled in by what it passes; and who looks at it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from starlette.types import Scope

from proxy.errors import ClientLeft, Ender, Failure

Outcome = Literal["stamped", "kept", "passed"]

CLIENT_LEFT = 499  # nginx's code for "client closed request"; never sent, only recorded


@dataclass(slots=True)
class Record:
    """What happened to one request.

    Holds no body and no query; of the headers, the tool's name, the generation's id, and what the tool ``claimed``.
    That may be anything: whoever shows it must redact it.

    ``path`` is shown as `proxy.middleware.record` makes it; ``tool`` is the first product of the ``User-Agent``.
    ``status`` is None until an answer begins, and ``first_byte_at`` until one does that is no error of ours; times are
    `time.monotonic` seconds.
    """

    method: str
    path: str
    tool: str | None = None
    profile: str | None = None  # None is the default
    status: int | None = None
    attribution: Outcome | None = None
    generation_id: str | None = None
    error: str | None = None  # the slug of an error that is ours
    reason: str | None = None  # what is known beside it: why a certificate is not trusted, say
    ended_by: Ender = "proxy"
    client_left: bool = False  # before the end
    had_last_event: bool = False  # what the client got last was the event that ends a stream
    received_bytes: int = 0
    sent_bytes: int = 0
    claimed: tuple[tuple[bytes, bytes], ...] = ()  # the attribution lines that the client sent, as they came
    number: int = 0  # by which it is known among those under way
    started_at: float = field(default_factory=time.monotonic)
    first_byte_at: float | None = None
    ended_at: float | None = None

    @property
    def is_for_us(self) -> bool:
        """Whether it is for a page of ours: all others are stamped or refused before they first wait."""
        return self.attribution is None and self.error is None

    def begin_answer(self, status: int) -> None:
        """The answer's head is about to go out: the upstream's, or a page's, if no error of ours is noted by then."""
        self.status = status
        if self.error is None:
            self.first_byte_at = time.monotonic()

    def fail(self, failure: Failure) -> None:
        """Something went wrong; with the answer that says so, too, if its client leaves.

        What it says is noted, and not the object: its traceback refers to frames that hold this record, and such a
        cycle waits for the garbage collector (6 MB after some hundred refusals).
        """
        self.ended_by = failure.ended_by
        self.client_left = isinstance(failure, ClientLeft)
        self.error = failure.slug or self.error

    def end(self) -> None:
        """Nothing more will happen to this request."""
        self.ended_at = time.monotonic()
        if self.client_left and not self.had_last_event:
            self.status = CLIENT_LEFT


UnderWay = dict[int, Record]
"""The requests that have come and of whose end nobody has been told yet, by number, the oldest first."""


class Observer(Protocol):
    """Who wants to know of each request. Called by the loop that serves them: it must not take long."""

    def ended(self, records: Sequence[Record]) -> None:
        """Requests that have ended in the same turn of the loop, in that order."""


def record_of(scope: Scope) -> Record:
    """The record of the request that ``scope`` belongs to."""
    record: Record = scope["record"]
    return record
