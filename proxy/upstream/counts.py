"""What the connections to the upstream have gone through so far, for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Each only ever grows."""

    handshakes: int = 0  # connections that were made
    failed_handshakes: int = 0  # and that could not be
    reuses: int = 0  # requests on a connection that was there
    retries: int = 0  # requests sent once more, as their connection was closed just when it was used
    dead_paths: int = 0  # requests given up because the network path was gone
