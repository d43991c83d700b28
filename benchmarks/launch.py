"""What ``run`` adds before its command starts, measured beside the same command started by ``sh -c``.

``python -m benchmarks.launch`` prints both and the difference; the exit code is 1 if that is over the bar.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

BAR = 0.35  # seconds

_TICKS = os.sysconf("SC_CLK_TCK")  # in a second
_COMMAND = ("sh", "-c", "date +%s%N; cat /proc/$PPID/stat")
_RUN = (sys.executable, "-m", "proxy", "run", "--")
_SETTINGS = {
    "OPENROUTER_HTTP_REFERER": "https://app.example",
    "OPENROUTER_API_KEY": "sk-or-v1-of-nobody",
    "OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:9",
}


def until_start(*before: str) -> tuple[float, float]:
    """From the start of the process to the first thing that the command does: seconds, and those of them on a CPU."""
    environment = {**os.environ, **_SETTINGS}
    began = time.time_ns()
    done = subprocess.run([*before, *_COMMAND], env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    told, parent = done.stdout.splitlines()[:2]
    user, system = map(int, parent.rpartition(")")[2].split()[11:13])  # proc_pid_stat(5)
    return (int(told) - began) / 1e9, (user + system) / _TICKS


def measured(shots: int) -> tuple[float, float, float]:
    """The medians without and with ``run``, and with it on a CPU; in turns, after one of each that counts for nothing.

    On a machine that does other things as well, the last one tells what the others cannot.
    """
    pairs = [(until_start(), until_start(*_RUN)) for _ in range(shots + 1)][1:]
    return (
        statistics.median(plain for (plain, _), _ in pairs),
        statistics.median(launched for _, (launched, _) in pairs),
        statistics.median(cpu for _, (_, cpu) in pairs),
    )


def main() -> int:
    """Print the comparison; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shots", type=int, default=15, metavar="NUMBER")
    plain, launched, cpu = measured(parser.parse_args().shots)
    added = launched - plain
    sys.stdout.write(
        f"sh -c       {plain:.3f} s until the command starts\n"
        f"run -- sh   {launched:.3f} s, {cpu:.2f} s of it on a CPU\n"
        f"added       {added:.3f} s (at most {BAR} s)\n"
    )
    return 0 if added <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
