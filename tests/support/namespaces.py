"""Other surroundings for one process, as a container has them (Linux, util-linux)."""

import subprocess
from functools import cache

import pytest


@cache
def _allowed() -> bool:
    attempt = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"]
    try:
        return subprocess.run(attempt, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_namespaces = pytest.mark.skipif(not _allowed(), reason="this machine allows no user namespaces (unshare --user)")
