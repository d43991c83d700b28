"""What a run was made on and with. Names no host, no user, no path."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

Facts = dict[str, str]


def facts() -> Facts:
    """The machine, as far as speed depends on it, and how busy it was with other things."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "CPU": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 1e6:.0f} GB" if memory else "?",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f}",  # 0 means that the machine had nothing else to do
        **{package: version(package) for package in ("uvicorn", "uvloop", "httptools", "httpx2", "starlette")},
    }
