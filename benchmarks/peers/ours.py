"""This proxy, from this checkout."""

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.base import TWO_WORKERS, USUAL, WITH_LOG, Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP
from proxy import __version__

_ROOT = Path(__file__).parents[2]


class Ours(Peer):
    """With its access log off, as all others have it."""

    name = "openrouter-proxy"
    measured_by = USUAL | {"burst", "workers"}

    def fetch(self) -> str:
        try:
            commit = subprocess.run(
                ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
                cwd=_ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            return __version__
        return f"{__version__} {commit.stdout.strip()}".strip()

    def command(self, place: Place) -> Command:
        stamp = dict(STAMP)
        return Command(
            [sys.executable, "-m", "proxy", "serve"],
            {
                "PYTHONPATH": str(_ROOT),
                **place.trust,
                "OPENROUTER_UPSTREAM_URL": place.upstream_url,
                "OPENROUTER_LISTEN": f"127.0.0.1:{place.port}",
                "OPENROUTER_HTTP_REFERER": stamp["HTTP-Referer"],
                "OPENROUTER_APP_TITLE": stamp["X-Title"],
                "OPENROUTER_APP_CATEGORIES": stamp["X-OpenRouter-Categories"],
                "OPENROUTER_LOG_LEVEL": "info" if self.logs else "warning",
                "OPENROUTER_LOG_FORMAT": "json",
                "OPENROUTER_WORKERS": str(self.workers),
            },
        )


class OursWithLog(Ours):
    """As it comes: with an access line, as JSON, for each request."""

    name = Ours.name + WITH_LOG
    measured_by = frozenset({"cpu"})
    logs = True


class OursTwice(Ours):
    """With two worker processes under a supervisor."""

    name = Ours.name + TWO_WORKERS
    measured_by = frozenset({"workers"})
    workers = 2
