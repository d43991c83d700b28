"""Other programs of the same user, and a folder that somebody else has filled, get nothing out of the process."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures import OpenUpstream, StartProcess
from tests.support.proxies import IDENTITY, ROOT
from tests.support.secrets import KEY

pytestmark = pytest.mark.integration

NOBODY = 65534
# Not root, which may read everything; but able to run this Python, wherever it is installed.
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


@on_linux
async def test_its_environment_and_memory_are_its_own(upstream: OpenUpstream, proxy_process: StartProcess) -> None:
    """Promise 28: what the kernel shows of the process belongs to root, and its own user cannot read it."""
    is_root = os.geteuid() == 0
    proxy = await proxy_process(await upstream(), prefix=AS_NOBODY if is_root else [], api_key=KEY)
    folder = Path(f"/proc/{proxy.process.pid}")
    user = NOBODY if is_root else os.geteuid()
    assert f"Uid:\t{user}\t" in (folder / "status").read_text()
    assert KEY.encode() in (folder / "environ").read_bytes() if is_root else True
    for name in ("environ", "mem", "maps"):
        assert (folder / name).stat().st_uid != user
        reading = ["setpriv", f"--reuid={NOBODY}", "--clear-groups"] if is_root else []
        done = await asyncio.create_subprocess_exec(
            *reading, "cat", str(folder / name), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert ((await done.communicate())[0], done.returncode) == (b"", 1)


@pytest.mark.parametrize("command", [["check"], ["--help"], ["demo", "--once"]])
def test_the_working_folder_is_no_place_for_modules(tmp_path: Path, command: list[str]) -> None:
    """`python -m proxy`, in a folder that holds modules by the names of ours and our libraries', runs none of them."""
    for name in ("click", "httpx2", "uvicorn", "starlette", "uvloop", "signal", "logging", "asyncio", "sitecustom"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('trodden').touch()")
    environment = {f"OPENROUTER_{name.upper()}": value for name, value in IDENTITY.items()}
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )
    assert not (tmp_path / "trodden").exists()
    assert done.returncode == 0, done.stderr
