"""What a proxy to compare with is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Command

WITH_LOG = ", access log on"
"""What the name of a proxy with its access log ends in."""

TWO_WORKERS = ", 2 workers"

USUAL = frozenset({"cpu", "latency", "events", "cold", "streams", "bulk", "start"})
"""The measures that every proxy takes part in; the others are for those that name them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is to run."""

    folder: Path  # its own
    port: int  # of 127.0.0.1, to listen on
    upstream_port: int  # of localhost
    authority: Path | None  # PEM; whose certificates the upstream has, or none: then it speaks plain HTTP

    @property
    def upstream_url(self) -> str:
        return f"{'https' if self.authority else 'http'}://localhost:{self.upstream_port}"

    @property
    def trust(self) -> dict[str, str]:
        """The environment variable that most programs obey."""
        return {"SSL_CERT_FILE": str(self.authority)} if self.authority else {}


class Peer(ABC):
    """A proxy, how it is got, and how it is told to stamp as ours does.

    With one worker and no access log, unless ``workers`` and ``logs`` say otherwise. A log goes to standard output, in
    the format that the proxy's users would get.
    """

    name: str
    path = "/api/v1/chat/completions"  # at which a chat request is sent to it
    health = "/healthz"  # where it says that it is up, in its own words or the stub's
    measured_by = USUAL  # the names of the measures that it takes part in
    logs = False
    workers = 1
    in_every = 1  # round; those that are far from the others, whatever the noise, need fewer slices

    @classmethod
    def family(cls) -> str:
        """The name without what is special about this one."""
        return cls.name.removesuffix(WITH_LOG).removesuffix(TWO_WORKERS)

    @abstractmethod
    def fetch(self) -> str:
        """Make it ready to be started; its version. Raises `benchmarks.fetch.Missing`."""

    @abstractmethod
    def command(self, place: Place) -> Command:
        """What starts it there, after `fetch`."""
