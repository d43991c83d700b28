"""When to try again what has failed."""

import random

_FIRST = 1.0  # seconds after the first failure; doubled by each further one
_LONGEST = 60.0  # seconds


class Backoff:
    """Counts failures in a row; times are those of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self.until = float("-inf")
        self._pause = 0.0

    def failed(self, now: float) -> None:
        self._pause = min(2 * self._pause or _FIRST, _LONGEST)
        # Half of it by chance: all the proxies that lost the same upstream do not come back together.
        self.until = now + self._pause * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def worked(self) -> None:
        self._pause = 0.0
        self.until = float("-inf")
