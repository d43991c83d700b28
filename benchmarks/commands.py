"""How long a command takes until it answers, and a start until it serves.

``python -m benchmarks.commands`` prints each with its bar; the exit code is 1 if one is over it. Of several shots the
least counts: on a machine that does other things as well, the others tell of those.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

_POLL = 0.002  # seconds
_PATIENCE = 30.0  # seconds
_SETTINGS = {"OPENROUTER_HTTP_REFERER": "https://app.example", "OPENROUTER_UPSTREAM_URL": "https://127.0.0.1:9"}


def command(*arguments: str) -> Callable[[], float]:
    """Make a shot: seconds that the command takes to its end."""

    def shot() -> float:
        began = time.perf_counter()
        subprocess.run(_line(*arguments), env=_environment(), stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own
        return time.perf_counter() - began

    return shot


def serve() -> float:
    """Seconds from the start of the process to the first 200 at /healthz."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    began = time.perf_counter()
    line = _line("serve", "--listen", f"127.0.0.1:{port}")
    with subprocess.Popen(line, env=_environment(), stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            while not _is_healthy(port):
                if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                    raise RuntimeError("the proxy has not started")
                time.sleep(_POLL)
            return time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)


SHOTS: dict[str, tuple[Callable[[], float], float]] = {
    "--help": (command("--help"), 0.1),
    "check": (command("check"), 0.15),
    "serve, to /healthz": (serve, 0.15),
}
"""What is measured, and its bar in seconds."""


def _line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "proxy", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, **_SETTINGS}


def _is_healthy(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(1024).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def main() -> int:
    """Print the figures; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shots", type=int, default=15, metavar="NUMBER")
    shots = parser.parse_args().shots
    missed = False
    for name, (shot, bar) in SHOTS.items():
        least = min(shot() for _ in range(shots))
        missed = missed or least > bar
        sys.stdout.write(f"{name:<20} {least:.3f} s (at most {bar} s)\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
