"""This program's name, and the command that starts it in the shell of whoever reads its output."""

import shlex
import shutil
import sys
from pathlib import Path

NAME = "openrouter-proxy"


def start_command() -> str:
    """The name, if the shell finds it; else the checkout's own script; else the module, by the Python that runs it."""
    if shutil.which(NAME):
        return NAME
    here = Path("scripts/serve")
    script = Path(__file__).parents[2] / here
    if not script.is_file():  # installed, but not where the shell looks
        return f"{shlex.quote(sys.executable)} -P -m proxy"  # -P: no module of the working directory is imported
    return str(here) if here.is_file() and here.samefile(script) else shlex.quote(str(script))
