"""Whether the process takes new work: written by the server, read by the guard and ``/readyz``."""


class Lifecycle:
    """``stopping`` goes from false to true once, at the first signal."""

    def __init__(self) -> None:
        self.stopping = False
