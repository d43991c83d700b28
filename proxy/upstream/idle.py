"""What should become of the idle connections: a decision without I/O, for the pool to act on."""

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

C = TypeVar("C", bound=Hashable)


class Decision(NamedTuple, Generic[C]):
    """What to do now, and when to decide again."""

    close: list[C]
    missing: int
    """How many more there should be."""
    again_at: float | None
    """When the next one expires, if there is one that has not."""


def decide(idle: Mapping[C, float], wanted: int, now: float) -> Decision[C]:
    """Decide for ``idle`` connections, each with the time at which it expires, the longest idle first.

    An expired one counts no more among the ``wanted``; but it is closed only when it is not needed, so that there is
    one for a request until its successor has come.
    """
    expired = [connection for connection, expires_at in idle.items() if expires_at <= now]
    fresh = [expires_at for expires_at in idle.values() if expires_at > now]
    return Decision(
        close=expired[: max(len(idle) - wanted, 0)],
        missing=max(wanted - len(fresh), 0),
        again_at=min(fresh, default=None),
    )
