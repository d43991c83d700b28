"""Rows of numbers that several processes share: complete or not there at all, whoever is killed, and bounded."""

import struct

import pytest

from proxy.observe.metrics import Metrics
from proxy.observe.rows import COUNTER, GAUGE, SharedRows


def test_each_has_its_own_and_all_are_added_up() -> None:
    """One name is one row in each table, and the sums are over all tables."""
    rows = SharedRows(2, 1000)
    rows.row((COUNTER, "requests", ""), 2)[1] += 5
    rows.become(1)
    rows.row((COUNTER, "requests", ""), 2)[1] += 7
    rows.row((GAUGE, "ü", "longer than eight bytes"), 1)[0] = 3.5
    assert rows.row((COUNTER, "requests", ""), 2)[1] == 7
    assert rows.sums() == {(COUNTER, "requests", ""): [0, 12], (GAUGE, "ü", "longer than eight bytes"): [3.5]}


def test_a_successor_goes_on() -> None:
    """Counters of who has ended stay, gauges go, and the next one adds to what is there."""
    rows = SharedRows(2, 1000)
    rows.become(1)
    rows.row((COUNTER, "a", ""), 1)[0] = 5
    rows.row((GAUGE, "b", ""), 1)[0] = 5
    rows.become(0)
    rows.end(1)
    assert rows.sums() == {(COUNTER, "a", ""): [5], (GAUGE, "b", ""): [0]}
    rows.become(1)
    rows.row((COUNTER, "a", ""), 1)[0] += 1
    assert rows.sums()[COUNTER, "a", ""] == [6]


def test_a_row_that_was_not_finished_is_none() -> None:
    """Who is killed while a row is made leaves bytes behind that nobody reads, and that the next row begins without."""
    rows = SharedRows(1, 1000)
    rows.row((COUNTER, "a", ""), 1)[0] = 1
    before = bytes(rows._own)
    rows.row((COUNTER, "never finished" * 5, ""), 4)[0] = 7
    [used] = struct.unpack_from("=Q", before)
    struct.pack_into("=Q", rows._own, 0, used)
    rows.become(0)
    assert rows.sums() == {(COUNTER, "a", ""): [1]}
    rows.row((COUNTER, "b", ""), 9)
    assert rows.sums() == {(COUNTER, "a", ""): [1], (COUNTER, "b", ""): [0] * 9}


def test_what_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    """Counting goes on where the memory is full, and the log says once that not all is added up."""
    rows = SharedRows(1, 200)
    for n in range(20):
        rows.row((COUNTER, str(n), ""), 1)[0] += n
    assert 1 < len(rows.sums()) < 20
    assert rows.row((COUNTER, "19", ""), 1)[0] == 19
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_there_is_room_for_every_ending(caplog: pytest.LogCaptureFixture) -> None:
    """For each of 50 profiles with the longest name, ways to end that are more than there can be."""
    metrics = Metrics("0", workers=2, profiles=50)
    for profile in range(50):
        name = f"{profile:040}"
        metrics._rows.row(("profile", name), 38)
        for n in range(500):
            metrics._rows.row(("requests", name, "stamped", f"{n:03}", "upstream", "the-longest-of-all-slugs-xxx"), 1)
    assert len(metrics._rows.look()()) == 50 * 501
    assert not caplog.records
