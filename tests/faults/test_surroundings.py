"""The process runs where little is allowed: nothing can be written, and nobody knows its user."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.support.aftermath import Base, sound
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.namespaces import needs_namespaces

pytestmark = pytest.mark.integration

# Coverage would complain that it cannot write down what it has measured.
UNMEASURED = ["env", "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG"]
READ_ONLY = [
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    """
    for place in / /tmp /var/tmp /dev/shm "$HOME"; do
        if mountpoint -q "$place"; then mount -o remount,ro,bind "$place" || exit 98; fi
    done
    if touch here "${TMPDIR:-/tmp}/there" 2>/dev/null; then exit 99; fi
    exec "$@"
    """,
    "sh",
]
"""As `docker run --read-only`: every file system that could be written to is not."""
NOBODY_KNOWN = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
"""As `docker run --user 12345`: there is no such user, so no name and no home."""
NO_HOME = ["env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", "TMPDIR=/nowhere"]

PLACES = {
    "read-only": [*UNMEASURED, *READ_ONLY],
    "an unknown user": NOBODY_KNOWN,
    "no home, no temporary folder": NO_HOME,
    "all of it": [*UNMEASURED, *READ_ONLY, *NOBODY_KNOWN, *NO_HOME],
}


@needs_namespaces
@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("place", PLACES)
async def test_places(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, place: str, log_format: str
) -> None:
    """It starts, serves and stops in order, and has nothing to complain of."""
    proxy = await proxy_process(await upstream(sound), prefix=PLACES[place], log_format=log_format)
    base = Base(proxy)
    client = await connect(proxy)
    for request in (post(), get(), get(target="/nowhere")):
        assert (await client.ask(request)).status == (404 if b"nowhere" in request else 200)
    await client.aclose()
    if log_format == "json":
        await base.check(connect, lines=4)
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_code(within=5) == 0
    assert proxy.stderr == ""


PROBE = """
import getpass, os, pathlib, tempfile
for find in (tempfile.gettempdir, getpass.getuser, pathlib.Path.home, lambda: open("file", "w")):
    try:
        print(find())
    except (OSError, KeyError, RuntimeError):
        print("none")
print(os.getuid())
"""


@needs_namespaces
async def test_the_places_are_what_they_say(tmp_path: Path) -> None:
    """There is nothing that could be written to, and no such user."""
    process = await asyncio.create_subprocess_exec(
        *PLACES["all of it"], sys.executable, "-c", PROBE, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    output, _ = await process.communicate()
    assert output.decode().split() == ["none", "none", "none", "none", "12345"]
