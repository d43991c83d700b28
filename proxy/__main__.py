"""``python -m proxy`` is ``openrouter-proxy``."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["health"]:
        from proxy.commands.health import quick  # noqa: PLC0415 - it takes more time than all the rest of it

        if (code := quick(sys.argv[2:])) is not None:
            sys.exit(code)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    from proxy.cli import main as run  # noqa: PLC0415 - a tenth of a second, in which somebody may press Ctrl+C

    run()


def _end(number: int, frame: FrameType | None) -> None:
    """What a signal does before a command listens for it: end the process, as by default.

    But without a traceback at Ctrl+C, and also as the first process of a container, for which Linux has no defaults.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)


if __name__ == "__main__":
    main()
