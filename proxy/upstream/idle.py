"""What should become of the idle connections: a decision without I/O, for the pool to act on."""

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

C = TypeVar("C", bound=Hashable)


class Times(NamedTuple):
    """Of an idle connection, by one clock."""

    expires_at: float
    """From then on, another one is better."""
    ends_at: float
    """From then on, it must not be used: the upstream closes it, or it has been open for too long."""


class Decision(NamedTuple, Generic[C]):
    """What to do now, and when to decide again."""

    close: list[C]
    missing: int
    """How many more there should be."""
    again_at: float | None
    """When there may be something else to do; None for never."""


def decide(idle: Mapping[C, Times], wanted: int, now: float) -> Decision[C]:
    """Decide for ``idle`` connections, the longest idle first.

    An expired one counts no more among the ``wanted``; but it is closed only when it is not needed, so that there is
    one for a request until its successor has come.
    """
    ended = [connection for connection, times in idle.items() if times.ends_at <= now]
    usable = {connection: times for connection, times in idle.items() if times.ends_at > now}
    expired = [connection for connection, times in usable.items() if times.expires_at <= now]
    return Decision(
        close=ended + expired[: max(len(usable) - wanted, 0)],
        missing=max(wanted - (len(usable) - len(expired)), 0),
        again_at=min((at for times in usable.values() for at in times if at > now), default=None),
    )
