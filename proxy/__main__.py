"""``python -m proxy`` is ``openrouter-proxy``."""

import os
import sys

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - a `pathlib.py` may lie there, too

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != _HOME:
    # `python -m` looks for modules in the working folder first: in a cloned one, `click.py` would be somebody else's.
    del sys.path[0]

import gc  # noqa: E402
import signal  # noqa: E402
from types import FrameType  # noqa: E402

from proxy.process_secrecy import forbid_reading  # noqa: E402


def main() -> None:
    """Run the command line."""
    # Imports make 80,000 objects, of which 700 are garbage: to look for it on the way takes 12 of 150 ms.
    gc.set_threshold(100_000, 10, 10)
    forbid_reading()
    if sys.argv[1:2] == ["health"]:
        from proxy.commands.health import quick  # noqa: PLC0415 - it takes more time than all the rest of it

        if (code := quick(sys.argv[2:])) is not None:
            sys.exit(code)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    from proxy.cli import main as run  # noqa: PLC0415 - a tenth of a second, in which somebody may press Ctrl+C

    try:
        run()
    finally:
        gc.freeze()  # the end of a process frees everything; Python would look for cycles first, for 30 ms


def _end(number: int, frame: FrameType | None) -> None:
    """What a signal does before a command listens for it: end the process, as by default.

    But without a traceback at Ctrl+C, and also as the first process of a container, for which Linux has no defaults.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)


if __name__ == "__main__":
    main()
