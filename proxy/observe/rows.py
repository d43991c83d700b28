"""Rows of numbers, each with a name: in this process, or shared by several so that each can tell what all have counted.

prometheus-client has a mode for several processes, with a mapped file for each. It was not taken: the steps that a
request then costs took 6 to 9 µs where these take 0.7 (`python -m benchmarks.observers`; the bar is 3), and it needs a
folder that can be written, which stays behind when the process that would remove it is killed. Memory that is shared
without a file has none of that: see docs/decisions/6-shared-counts.md.
"""

import logging
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

log = logging.getLogger("proxy")

Key = tuple[str, ...]
"""Words without a tab, the first of which is the kind: what a `GAUGE` says ends with its process."""

GAUGE, COUNTER = "gauge", "counter"

_USED = struct.Struct("=Q")  # bytes of a table that hold rows, behind these
_HEAD = struct.Struct("=II")  # of a row: the length of its key in bytes, and how many numbers follow
_NUMBER = 8  # bytes


class Row(Protocol):
    """Numbers that can be changed in place: a list, or a view of memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> float: ...

    def __setitem__(self, at: int, number: float, /) -> None: ...


class Rows(Protocol):
    """Where numbers are kept."""

    def row(self, key: Key, length: int) -> Row:
        """The row of that name, which begins with as many zeros; the same one each time."""

    def look(self) -> Callable[[], Mapping[Key, Sequence[float]]]:
        """Something to call, in any thread: it gives all rows, each added up over the processes that count."""


class OwnRows:
    """The rows of a process that is alone."""

    def __init__(self) -> None:
        self._rows: dict[Key, list[float]] = {}

    def row(self, key: Key, length: int) -> Row:
        return self._rows.setdefault(key, [0] * length)

    def look(self) -> Callable[[], Mapping[Key, Sequence[float]]]:
        rows: Mapping[Key, Sequence[float]] = {key: row.copy() for key, row in self._rows.items()}
        return lambda: rows


class SharedRows:
    """The rows of several processes, made before they are forked; a table for each, which it alone writes to.

    Each number is whole at any moment (eight aligned bytes), and a row is seen once it is complete: nobody locks, and
    whoever is killed leaves a table that can be read. Its successor goes on with it, so that no count goes backwards.

    The memory is mapped without a file. The system gives only what is written to; it goes with the last process.
    """

    def __init__(self, processes: int, size: int) -> None:
        """Make room for so many ``processes``, of ``size`` bytes each."""
        self._size = size + -size % _NUMBER
        self._memory = memoryview(mmap.mmap(-1, processes * self._size))
        self._tables = [self._memory[at : at + self._size] for at in range(0, len(self._memory), self._size)]
        self._is_full = False
        self.become(0)

    def become(self, number: int) -> None:
        """Write to the table with that number from now on."""
        self._own = self._tables[number]
        self._rows: dict[Key, Row] = dict(_rows_of(self._own))

    def end(self, number: int) -> None:
        """Forget the gauges of a process that has ended."""
        for key, row in _rows_of(self._tables[number]):
            if key[0] == GAUGE:
                for at in range(len(row)):
                    row[at] = 0

    def row(self, key: Key, length: int) -> Row:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._append("\t".join(key).encode(), length)
        return row

    def _append(self, name: bytes, length: int) -> Row:
        [used] = _USED.unpack_from(self._own)
        head = _USED.size + used
        start = head + _HEAD.size + len(name) + -len(name) % _NUMBER
        end = start + length * _NUMBER
        if end > self._size:
            if not self._is_full:
                self._is_full = True
                log.error("metrics: the memory that workers share is full; what is new is not added up")
            return [0] * length
        _HEAD.pack_into(self._own, head, len(name), length)
        self._own[head + _HEAD.size : head + _HEAD.size + len(name)] = name
        self._own[start:end] = bytes(end - start)  # where whoever was killed may have begun another row
        _USED.pack_into(self._own, 0, end - _USED.size)  # last: now others see it
        return self._own[start:end].cast("d")

    def look(self) -> Callable[[], Mapping[Key, Sequence[float]]]:
        return self.sums  # which takes 14 ms for four workers with 200 profiles each

    def sums(self) -> Mapping[Key, Sequence[float]]:
        """All rows, each added up over the tables."""
        found: dict[Key, list[float]] = {}
        for table in self._tables:
            for key, row in _rows_of(table):
                so_far = found.get(key)
                found[key] = list(row) if so_far is None else [a + b for a, b in zip(so_far, row, strict=True)]
        return found


def _rows_of(table: memoryview) -> Iterator[tuple[Key, "memoryview[float]"]]:
    [used] = _USED.unpack_from(table)
    at = _USED.size
    while at < _USED.size + used:
        length, count = _HEAD.unpack_from(table, at)
        at += _HEAD.size
        key = tuple(bytes(table[at : at + length]).decode().split("\t"))
        at += length + -length % _NUMBER
        yield key, table[at : at + count * _NUMBER].cast("d")
        at += count * _NUMBER
