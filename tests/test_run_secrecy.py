"""The real key is nowhere in what ``run`` starts, and cannot be read from ``run`` (promises 28 and 36)."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.proxies import ROOT
from tests.support.secrets import KEY

pytestmark = pytest.mark.integration

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

WAITS = "import os, sys; print(os.getpid(), os.getppid(), flush=True); sys.stdin.read()"
# What a program of the same user, without privileges, is told when it asks for another's secrets.
ASKS = """
import os, sys
run, other = os.getppid(), int(sys.argv[1])
for pid, name in [(run, "mem"), *((pid, name) for pid in (run, other) for name in ("environ", "maps"))]:
    path = f"/proc/{pid}/{name}"
    try:
        print(bool(open(path, "rb") if name == "mem" else open(path).read()))
    except PermissionError:
        print("refused")
"""


@contextmanager
def running(
    tmp_path: Path, *command: str, before: Sequence[str] = (), **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    given = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENROUTER_HTTP_REFERER": "https://app.example",
        "OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:9",
        "TMPDIR": str(tmp_path),
        **environment,
    }
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "proxy", "run", "--", *command],
        cwd=tmp_path,
        env=given,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.communicate(timeout=20)


def memory_of(pid: int) -> Iterator[bytes]:
    """All that a process can read of its own memory, piece by piece."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found and "[v" not in line:  # vvar, vsyscall: the kernel's
                start, end = int(found[1], 16), int(found[2], 16)
                with suppress(OSError):
                    memory.seek(start)
                    yield memory.read(end - start)


@only_linux
@pytest.mark.parametrize("by_file", [True, False])
def test_the_key_is_in_nothing_of_the_command(tmp_path: Path, *, by_file: bool) -> None:
    """No variable, argument, file or byte of memory."""
    (tmp_path / "key").write_text(KEY)
    given = {"OPENROUTER_API_KEY_FILE": str(tmp_path / "key")} if by_file else {"OPENROUTER_API_KEY": KEY, "COPY": KEY}
    cline = tmp_path / "cline"  # a tool that gets a temporary file
    cline.write_text(f"#!{sys.executable}\n{WAITS}\n")
    cline.chmod(0o755)
    with running(tmp_path, str(cline), **given) as process:
        assert process.stdout
        pid, _ = map(int, process.stdout.readline().split())
        seen = list(memory_of(pid))
        assert len(b"".join(seen)) > 1_000_000
        token = re.search(rb"OPENROUTER_API_KEY=(\S+?)\0", Path(f"/proc/{pid}/environ").read_bytes())
        assert token
        assert any(token[1] in piece for piece in seen)  # this is how the key would be found
        assert not any(KEY.encode() in piece for piece in seen)
        for name in ("environ", "cmdline"):
            assert KEY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
        files = [path for path in tmp_path.rglob("openrouter-proxy-run-*/*") if path.is_file()]
        assert {path.name for path in files} == {".lock", "providers.json"}
        assert not any(KEY in path.read_text() for path in files)


@only_linux
def test_the_command_cannot_read_it_from_run(tmp_path: Path) -> None:
    """Neither its environment nor its memory; of another process of the user it can."""
    unprivileged = []
    if os.geteuid() == 0:  # root may read everything, unless it gives that up
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("needs setpriv (util-linux)")
        unprivileged = [setpriv, "--bounding-set", "-all", "--inh-caps", "-all"]
    with subprocess.Popen([*unprivileged, "/bin/sleep", "60"]) as other:
        command = [sys.executable, "-c", ASKS, str(other.pid)]
        with running(tmp_path, *command, before=unprivileged, OPENROUTER_API_KEY=KEY) as process:
            assert process.stdout
            answers = process.stdout.read().split()
        other.kill()
    assert answers == ["refused"] * 3 + ["True"] * 2


@only_linux
def test_what_run_shows_to_all_has_no_key(tmp_path: Path) -> None:
    with running(tmp_path, sys.executable, "-c", WAITS, OPENROUTER_API_KEY=KEY) as process:
        assert process.stdout
        _, parent = map(int, process.stdout.readline().split())
        assert KEY.encode() not in Path(f"/proc/{parent}/cmdline").read_bytes()
        assert parent == process.pid
