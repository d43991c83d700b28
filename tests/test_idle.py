"""What becomes of idle connections is decided by a function without I/O."""

import pytest

from proxy.upstream.idle import Times, decide

NOW = 100.0
LATER = 3600.0


@pytest.mark.parametrize(
    ("idle", "wanted", "close", "missing"),
    [
        ({}, 0, [], 0),
        ({}, 2, [], 2),
        ({"a": 160.0}, 0, [], 0),
        ({"a": 160.0}, 1, [], 0),
        ({"a": 160.0}, 2, [], 1),
        ({"a": 100.0}, 0, ["a"], 0),
        ({"a": 100.0}, 1, [], 1),
        ({"a": 99.0, "b": 160.0}, 1, ["a"], 0),
        ({"a": 99.0, "b": 160.0}, 2, [], 1),
        ({"a": 98.0, "b": 99.0, "c": 160.0}, 2, ["a"], 1),
        ({"a": 98.0, "b": 99.0, "c": 100.0}, 0, ["a", "b", "c"], 0),
        ({"a": 98.0, "b": 99.0, "c": 100.0}, 1, ["a", "b"], 1),
    ],
)
def test_what_is_closed_and_what_is_missing(
    idle: dict[str, float], wanted: int, close: list[str], missing: int
) -> None:
    """An expired one is no longer counted on, and goes as soon as it is not needed: the longest idle first."""
    decision = decide({name: Times(at, LATER) for name, at in idle.items()}, wanted, NOW)
    assert (decision.close, decision.missing) == (close, missing)


def test_when_to_decide_again() -> None:
    """When the next one expires, whichever that is; never, if none will."""
    idle = {"a": Times(50.0, LATER), "b": Times(130.0, LATER), "c": Times(120.0, LATER)}
    assert decide(idle, 1, NOW).again_at == 120.0
    assert decide({**idle, "d": Times(150.0, 110.0)}, 1, NOW).again_at == 110.0
    assert decide({"a": Times(50.0, LATER)}, 1, NOW).again_at == LATER
    assert decide({}, 1, NOW).again_at is None


def test_what_must_not_be_used_is_closed_whoever_wants_it() -> None:
    """One that the upstream is about to close, or that is too old, goes at once, and is missed."""
    decision = decide({"a": Times(160.0, 100.0), "b": Times(90.0, 99.0), "c": Times(160.0, 101.0)}, 2, NOW)
    assert decision == (["a", "b"], 1, 101.0)
