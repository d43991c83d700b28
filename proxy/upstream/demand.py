"""How many connections were in use at once lately: so many may be wanted again."""

_SLOT = 60.0  # seconds
_SLOTS = 4  # so the last three minutes count in any case, and nothing after four


class Demand:
    """The most that were in use at once, by the minute; times are those of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self._peaks: dict[int, int] = {}

    def note(self, in_use: int, now: float) -> None:
        """So many are in use now."""
        slot = int(now // _SLOT)
        if in_use > self._peaks.get(slot, 0):
            self._peaks[slot] = in_use

    def recent(self, now: float) -> int:
        """The most of the last minutes; older ones are forgotten."""
        oldest = int(now // _SLOT) - _SLOTS + 1
        self._peaks = {slot: peak for slot, peak in self._peaks.items() if slot >= oldest}
        return max(self._peaks.values(), default=0)
