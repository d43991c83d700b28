"""The file by which a running proxy tells ``health`` where it listens.

``health`` knows the environment of a container, and not the flags or files of the process beside it. So ``serve``
leaves a line with its address in a folder of its user in memory, and holds a lock on it: the lock ends with the
process, however that ends, so that a file without one is a leftover. Where no such folder can be had, nothing is told.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    _CAN_LOCK = False
else:
    _CAN_LOCK = True

_LARGEST = 1024  # bytes of a file that is read
# A container with a read-only root has nothing but /dev/shm to write to (Docker, Podman and Kubernetes alike).
_LASTING = ("/dev/shm", "/tmp")  # noqa: S108 - the folder made in there is checked to be this user's own


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that runs: where it listens, the ``OPENROUTER_LISTEN`` of its environment, and its working directory."""

    host: str
    port: int
    asked: str
    folder: str


Tell = Callable[[str, int], None]


def folders(runtime_directory: str | None) -> list[Path]:
    """Where such files may be, the likeliest first; ``runtime_directory`` is ``XDG_RUNTIME_DIR``."""
    if not _CAN_LOCK:
        return []
    places = [runtime_directory] if runtime_directory and Path(runtime_directory).is_absolute() else []
    return [Path(place, f"openrouter-proxy-{os.geteuid()}") for place in (*places, *_LASTING)]


@contextmanager
def telling(asked: str | None, folders: Sequence[Path]) -> Iterator[Tell]:
    """Give a function that writes down where this process listens; the file goes with the block, or the process."""
    with ExitStack() as stack:

        def tell(host: str, port: int) -> None:
            line = "\t".join((host, str(port), asked or "", _here()))
            for folder in folders:
                with suppress(OSError):
                    stack.enter_context(_locked(folder, line.encode(errors="surrogateescape")))
                    return

        yield tell


def running(asked: str | None, folders: Iterable[Path]) -> Running | None:
    """The proxy that an environment with this ``OPENROUTER_LISTEN`` has started, if one runs.

    Of several, the one that was started in this folder, then the one that listens where it was asked to, by the
    environment, then the youngest.
    """
    found: list[tuple[bool, bool, float, Running]] = []
    for folder in folders:
        with suppress(OSError), _opened(folder) as directory:
            for name in os.listdir(directory):  # noqa: PTH208 - pathlib knows no open directory
                if name.startswith(f"{_namespace()}-") and (read := _read(name, directory)):
                    told, age = read
                    if told.asked == (asked or ""):
                        found.append((told.folder == _here(), asked == f"{told.host}:{told.port}", age, told))
    return max(found, key=lambda each: each[:3])[3] if found else None


@contextmanager
def _locked(folder: Path, content: bytes) -> Iterator[None]:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    name = f"{_namespace()}-{os.getpid()}"
    unready = f".{name}"  # until it is locked, it looks like a leftover
    with _opened(folder) as directory:
        file = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, content)
            os.rename(unready, name, src_dir_fd=directory, dst_dir_fd=directory)
            yield
        finally:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            os.close(file)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The folder, opened; raises `OSError` unless it is this user's alone: others may write where it stands."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(directory)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError(f"{folder} is not this user's alone")
        yield directory
    finally:
        os.close(directory)


def _read(name: str, directory: int) -> tuple[Running, float] | None:
    """What one file tells, and when it was written; nothing, if its process has ended: then the file goes."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            host, port, asked, folder = os.read(file, _LARGEST).decode(errors="surrogateescape").split("\t")
            return Running(host, int(port), asked, folder), os.fstat(file).st_mtime
        os.unlink(name, dir_fd=directory)
    except (OSError, ValueError):  # it ends or begins at this moment
        pass
    finally:
        os.close(file)
    return None


def _namespace() -> str:
    """Which numbering of processes this one lives in: the containers of a pod may share a /dev/shm."""
    try:
        return os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]")  # noqa: PTH115 - a link to no path
    except OSError:
        return "0"


def _here() -> str:
    """The working directory, or nothing if it is gone; without what would break the line."""
    try:
        return os.getcwd().replace("\t", " ")  # noqa: PTH109 - pathlib costs `health` time
    except OSError:
        return ""
