"""What a process costs: what prometheus-client's `ProcessCollector` tells of one, for the sums over several.

That collector lists every open file, which takes 30 ms for 2,000 of them: too long for a process that serves, and that
tells it once a second.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from proxy.observe.rows import COUNTER, GAUGE
from proxy.resource_limits import open_file_limit

HELP = {
    "process_cpu_seconds": "Total user and system CPU time spent in seconds, by all workers.",
    "process_virtual_memory_bytes": "Virtual memory size in bytes, of all workers.",
    "process_resident_memory_bytes": "Resident memory size in bytes, of all workers; what they share counts for each.",
    "process_open_fds": "Number of open file descriptors, of all workers.",
    "process_max_fds": "Maximum number of open file descriptors, of all workers.",
}


def process_figures() -> Iterator[tuple[str, str, float]]:
    """Kind, name and value of each figure of this process that the system tells."""
    yield COUNTER, "process_cpu_seconds", time.process_time()
    with suppress(OSError):
        virtual, resident = Path("/proc/self/statm").read_text().split()[:2]
        page = os.sysconf("SC_PAGE_SIZE")
        yield GAUGE, "process_virtual_memory_bytes", int(virtual) * page
        yield GAUGE, "process_resident_memory_bytes", int(resident) * page
    with suppress(OSError):
        if count := Path("/proc/self/fd").stat().st_size:  # the number of them, since Linux 6.2
            yield GAUGE, "process_open_fds", count
    if (limit := open_file_limit()) is not None:
        yield GAUGE, "process_max_fds", limit
