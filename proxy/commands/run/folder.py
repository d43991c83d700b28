"""The temporary folder of one ``run``: private, and gone with it, also after a SIGKILL."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing tells there whether a folder's owner still lives
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_PREFIX = "openrouter-proxy-run-"
_LOCK = ".lock"
_NEWBORN = 60.0  # seconds within which a folder without a lock is somebody's who is just making it


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that only this user can enter; removed when the block ends, with all that is in it then.

    A process that is killed cannot remove its own: so each one also removes those whose owner is gone.
    """
    base = Path(tempfile.gettempdir())
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    lock = None
    try:
        if _HAS_LOCKS:
            # Locked before it has its name: whoever sees it sees it held. Not inherited: a daemon does not keep it.
            lock = os.open(folder / f"{_LOCK}.new", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Each into ``folder``, for this user alone."""
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)


def _sweep(base: Path) -> None:
    """Remove the folders of this user whose ``run`` was killed."""
    if not _HAS_LOCKS:
        return
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or being removed just now
            if not folder.is_symlink() and folder.stat().st_uid == os.getuid() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _NEWBORN
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
