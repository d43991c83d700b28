"""What the live page shows: the requests under way and the last ones that have ended.

All of it is made of the records that are kept anyway. A request that starts or ends is noted in a dictionary and a
ring; what a stream sends is counted in its record, and nobody is told. Only while somebody looks, that viewer asks,
five times a second (`Viewer.take`), what has changed since. What waits for a viewer is bounded: one that does not ask
in time gets, when it asks again, the present state and the number of changes that it has missed.
"""

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from proxy.observe.record import Record, UnderWay

KEPT = 200  # ended requests, and as many of those under way are shown: the newest
WAITING = 400  # changed requests that wait for a viewer; at 200 a second, two seconds without looking
SLOTS, SLOT = 60, 10  # the picture: so many slots of so many seconds
KINDS = ("stamped", "kept", "passed", "refused", "failed")  # of the picture

_LONGEST_VALUE = 200  # characters of a value that a tool has sent

Redact = Callable[[str], str]


class Feed:
    """An observer of records. ``redact`` takes keys out of texts that are from outside."""

    def __init__(self, under_way: UnderWay, redact: Redact = str) -> None:
        self.redact = redact
        self._under_way = under_way
        self._ended: deque[Record] = deque(maxlen=KEPT)
        self._viewers: set[Viewer] = set()
        self._slots: deque[tuple[int, list[int]]] = deque(maxlen=SLOTS)
        self._slot, self._counts = -1, [0] * len(KINDS)
        # Tools claim the same with each request.
        self.claim = functools.lru_cache(256)(functools.partial(_claim, redact))

    def ended(self, records: Sequence[Record]) -> None:
        for record in records:
            self._end(record)

    def _end(self, record: Record) -> None:
        if record.is_for_us:
            return
        self._ended.append(record)
        slot = int(record.ended_at or 0) // SLOT
        if slot != self._slot:
            self._slot, self._counts = slot, [0] * len(KINDS)
            self._slots.append((slot, self._counts))
        self._counts[_KIND[record.attribution, record.error is None]] += 1
        for viewer in self._viewers:
            viewer.note(record)

    @contextmanager
    def viewer(self) -> Iterator["Viewer"]:
        """Somebody who looks, for as long as the block lasts."""
        viewer = Viewer(self)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def under_way(self) -> list[Record]:
        """Requests under way, the newest first; those for our own pages are none of them."""
        return [each for each in islice(reversed(self._under_way.values()), 2 * KEPT) if not each.is_for_us][:KEPT]

    def ended_requests(self) -> list[Record]:
        """Requests that have ended, the newest first."""
        return list(reversed(self._ended))

    def find(self, generation_id: str) -> Record | None:
        """The shown request that has this generation id."""
        shown = [*self.under_way(), *self._ended]
        return next((record for record in shown if record.generation_id == generation_id), None)

    def in_progress(self) -> int:
        return sum(not record.is_for_us for record in self._under_way.values())

    def picture(self, now: float) -> list[list[int]]:
        """How many requests ended in each slot, the oldest first: a list as long as `KINDS` for each."""
        last = int(now) // SLOT
        counts = dict(self._slots)
        return [counts.get(slot, [0] * len(KINDS)) for slot in range(last - SLOTS + 1, last + 1)]


class Viewer:
    """What one viewer has been shown, and what has happened since."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._changed: dict[int, Record] = {}
        self._lost = 0
        self._told: dict[int, tuple[int | None, int, int]] = {}  # of those under way: status, bytes up and down
        self._told_all = False
        self._picture_at = float("-inf")

    def note(self, record: Record) -> None:
        """Keep ``record``, which has just ended, for the next `take`; or only count it, if too many wait."""
        if len(self._changed) < WAITING:
            self._changed[record.number] = record
        else:
            self._lost += 1

    def take(self) -> dict[str, Any] | None:
        """What has changed since the last call, ready for JSON; None if nothing has. The first call gives all.

        ``requests`` are whole entries, the oldest first; ``progress`` are ``[number, bytes up, bytes down]`` of
        entries that were told before. ``all`` says that nothing that was told before counts.
        """
        now = time.monotonic()
        changes = self._begin_anew() if self._lost or not self._told_all else {}
        entries = [entry(record, self._feed, now) for record in self._changed.values()]
        for number in self._changed:
            self._told.pop(number, None)
        self._changed = {}
        progress = self._progress(entries, now)
        if entries:
            changes["requests"] = entries
        if progress:
            changes["progress"] = progress
        if changes or now - self._picture_at > SLOT:
            changes["under_way"] = self._feed.in_progress()
            if now - self._picture_at > 1:
                self._picture_at = now
                changes["picture"] = self._feed.picture(now)
        return changes or None

    def _begin_anew(self) -> dict[str, Any]:
        """Have all told that is known: at first, and when something was missed."""
        changes = {"all": True, **({"lost": self._lost} if self._lost else {})}
        self._told.clear()
        self._changed = {record.number: record for record in reversed(self._feed.ended_requests())}
        self._lost, self._told_all = 0, True
        return changes

    def _progress(self, entries: list[dict[str, Any]], now: float) -> list[list[int]]:
        """What the requests under way have sent since; those that were not told of, or answer now, join ``entries``."""
        progress = []
        for record in reversed(self._feed.under_way()):
            state = (record.status, record.received_bytes, record.sent_bytes)
            told = self._told.get(record.number)
            if told == state:
                continue
            self._told[record.number] = state
            if told is None or told[0] != record.status:
                entries.append(entry(record, self._feed, now))
            else:
                progress.append([record.number, *state[1:]])
        if len(self._told) > 2 * KEPT:  # under way still, but too many newer ones are
            self._told = dict(islice(self._told.items(), KEPT, None))
        return progress


def entry(record: Record, feed: Feed, now: float) -> dict[str, Any]:
    """One request as it is shown. Times in milliseconds, ``at`` since 1970; what is not known yet is left out."""
    started = record.started_at
    known = {
        "n": record.number,
        "at": round((time.time() - now + started) * 1000),
        "tool": record.tool,
        "method": feed.redact(record.method),
        "path": record.path,
        "profile": record.profile,
        "claimed": feed.claim(record.claimed) if record.claimed else None,
        "outcome": record.attribution or "refused",
        "status": record.status,
        "first_byte": None if record.first_byte_at is None else round((record.first_byte_at - started) * 1000, 1),
        "took": None if record.ended_at is None else round((record.ended_at - started) * 1000, 1),
        "age": None if record.ended_at is not None else round((now - started) * 1000),
        "up": record.received_bytes,
        "down": record.sent_bytes,
        "generation": None if record.generation_id is None else feed.redact(record.generation_id),
        "ended_by": None if record.ended_at is None else record.ended_by,
        "error": record.error,
    }
    return {name: value for name, value in known.items() if value is not None}


def _claim(redact: Redact, lines: Sequence[tuple[bytes, bytes]]) -> list[list[str]]:
    """The attribution that a tool has sent, as names and values that are safe to show."""
    texts = [(name, value.decode("utf-8", "backslashreplace")) for name, value in lines]
    # First the keys, then the cut: half of one would not be recognised.
    return [[_plain(name.decode("latin-1"), 60), _plain(redact(value), _LONGEST_VALUE)] for name, value in texts]


def _plain(text: str, longest: int) -> str:
    """``text`` in one line, of characters that stay in their place: no control, no change of direction."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut if cut.isprintable() else "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in cut)


_KIND: Mapping[tuple[str | None, bool], int] = {
    ("stamped", True): 0,
    ("kept", True): 1,
    ("passed", True): 2,
    (None, False): 3,
    ("stamped", False): 4,
    ("kept", False): 4,
    ("passed", False): 4,
}
