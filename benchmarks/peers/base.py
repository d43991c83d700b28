"""What a proxy to compare with is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Command


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
    """A proxy, how it is got, and how it is told to stamp as ours does, with one worker and no access log."""

    name: str
    path = "/api/v1/chat/completions"  # at which a chat request is sent to it
    health = "/healthz"  # where it says that it is up, in its own words or the stub's
    measured_by: frozenset[str] | None = None  # the names of the measures that it takes part in; all of them by default

    @abstractmethod
    def fetch(self) -> str:
        """Make it ready to be started; its version. Raises `benchmarks.fetch.Missing`."""

    @abstractmethod
    def command(self, place: Place) -> Command:
        """What starts it there, after `fetch`."""
