"""How many connections are wanted again follows from how many were in use at once during the last minutes."""

from proxy.upstream.demand import Demand


def test_the_most_of_the_last_minutes() -> None:
    """The peak counts for three minutes at least, and for four at most."""
    demand = Demand()
    assert demand.recent(0.0) == 0
    demand.note(16, 59.0)
    demand.note(3, 59.5)
    demand.note(2, 130.0)
    assert demand.recent(130.0) == 16
    assert demand.recent(59.0 + 180) == 16
    assert demand.recent(60.0 + 180) == 2
    assert demand.recent(1000.0) == 0


def test_it_does_not_grow() -> None:
    """However long it goes on, only the last minutes are kept."""
    demand = Demand()
    for minute in range(1000):
        demand.note(1, 60.0 * minute)
        demand.recent(60.0 * minute)
    assert len(demand._peaks) <= 4
