"""Files of settings: how far each is trusted, how it is opened, and which variables stand in it.

Three are read: the one that the user names, the user's own below ``$XDG_CONFIG_HOME``, and the ``.env`` of the working
directory. The last came with the folder, perhaps from a stranger: it is opened without waiting and without following
a link, and only if nobody but its owner can have written it (compare git's ``safe.directory``, CVE-2022-24765).
"""

import errno
import io
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from proxy.faults import Faulty, escaped

LARGEST = 64 * 1024  # bytes
_IS_UNIX = hasattr(os, "geteuid")  # on Windows, owner and mode of a file say nothing of who may write it
_OPEN = "can be written by other users of this machine"
# Behind a bare value, something that begins as a comment does; with a blank behind #, it surely is one.
_COMMENT = re.compile(r"=[^\S\n]*[^\s'\"#][^\n]*\s#\S")


class Trust(Enum):
    """By whose word a file is read."""

    NAMED = "named"  # the user has named it: it may be anything that ends, such as a pipe
    USERS = "user's"  # it stands where the user keeps settings: perhaps as a link, but nobody else may write it
    FOLDERS = "folder's"  # it was found


@dataclass(frozen=True)
class EnvFile:
    """The variables of a file; ``faults`` and ``warnings`` are whole lines. Empty if there is no such file."""

    label: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    trust: Trust = Trust.FOLDERS  # the least


def read_env_file(path: Path, trust: Trust, label: str) -> EnvFile:
    """Read a file of ``NAME=value`` lines, which messages call ``label``.

    References to other variables (``${NAME}``) stay as they are; an empty value is none.
    """
    if trust is Trust.FOLDERS and path.is_dir() and not path.is_symlink():
        # Docker makes a folder where a file to be mounted is missing. Some keep a virtual environment there.
        said = f"{label} is a folder, so no setting is read from it: a missing file to be mounted becomes one"
        return EnvFile(label, warnings=() if (path / "pyvenv.cfg").exists() else (said,))
    try:
        content, is_open = _content(path, trust)
        text = _decoded(content)
    except Faulty as error:
        return EnvFile(label, faults=tuple(f"{label} {fault}" for fault in error.faults))
    except OSError as error:
        if trust is not Trust.NAMED and isinstance(error, FileNotFoundError | NotADirectoryError):
            return EnvFile(label)
        way_out = "name one that can be read" if trust is Trust.NAMED else "make it readable, or move it away"
        return EnvFile(label, faults=(f"{label} cannot be read ({error.strerror}): {way_out}",))
    return _parsed(text, label, trust, is_open=is_open)


def _content(path: Path, trust: Trust) -> tuple[bytes, bool]:
    """What stands in the file, and whether it is one that the user has named and others can write.

    Raises `Faulty` if that is not to be believed, and `OSError` if it cannot be read.
    """
    how = os.O_RDONLY | _flags("O_CLOEXEC")
    if trust is not Trust.NAMED:
        how |= _flags("O_NONBLOCK", "O_NOCTTY")
    if trust is Trust.FOLDERS:
        how |= _flags("O_NOFOLLOW")
    try:
        descriptor = os.open(path, how)
    except ValueError:  # a NUL
        raise Faulty("cannot be the name of a file") from None
    except OSError as error:
        if error.errno == errno.ELOOP and trust is Trust.FOLDERS:
            raise Faulty("is a link, and may lead anywhere: name the file itself with --env-file") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        found, is_open = os.fstat(descriptor), False
        if trust is Trust.NAMED:
            is_open = stat.S_ISREG(found.st_mode) and _can_be_written_by_others(found)
        else:
            _refuse_what_others_wrote(found)
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Faulty(f"is larger than {LARGEST // 1024} KiB: keep settings there, and nothing else")
    return content, is_open


def _flags(*names: str) -> int:
    """Those of `os.open` with these names, as far as this system has them: Windows has none of them."""
    return sum(getattr(os, name, 0) for name in names)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Faulty(f"is not UTF-8 text (at byte {error.start + 1}): save it as UTF-8") from None


def _refuse_what_others_wrote(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Faulty("is not a regular file: write one, or move it away")
    if not _IS_UNIX:
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise Faulty(
            "belongs to another user of this machine, who could say where your requests go: "
            "make it yours, or name it with --env-file"
        )
    if _can_be_written_by_others(found):
        raise Faulty(f"{_OPEN}: chmod go-w it, or name it with --env-file")


def _can_be_written_by_others(found: os.stat_result) -> bool:
    if not _IS_UNIX:
        return False
    by_group = bool(found.st_mode & stat.S_IWGRP) and not _is_private_group(found)
    return bool(found.st_mode & stat.S_IWOTH) or by_group


def _is_private_group(found: os.stat_result) -> bool:
    """Whether the file's group is that of its owner alone.

    Debian, Fedora and others give each user such a group, and let it write by default (umask 002).
    """
    import grp  # noqa: PLC0415 - rarely needed
    import pwd  # noqa: PLC0415

    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == found.st_gid and set(group.gr_mem) <= {owner.pw_name} and group.gr_name == owner.pw_name


def _parsed(text: str, label: str, trust: Trust, *, is_open: bool) -> EnvFile:
    variables: dict[str, str] = {}
    lines: dict[str, int] = {}
    faults = []
    warnings = [f"{label} {_OPEN}, who could say where your requests go: chmod go-w it"] if is_open else []
    for binding in parse_stream(io.StringIO(text)):
        line = _line(binding)
        if binding.key is not None and binding.value:
            if binding.key in lines and _is_ours(binding.key):
                twice = f"stands twice in {label} (lines {lines[binding.key]} and {line})"
                warnings.append(f"{escaped(binding.key)} {twice}: the last one counts")
            lines[binding.key] = line
            if _is_ours(binding.key) and _COMMENT.search(binding.original.string):
                kept = "what stands behind a blank and # is not read: put the value into quotes if it is a part of it"
                warnings.append(f"{escaped(binding.key)} (in {label}, line {line}): {kept}")
            variables[binding.key] = binding.value
        elif binding.key is not None:
            variables.pop(binding.key, None)
        elif binding.error and _is_ours(binding.original.string):
            how = "write NAME=value on one line, and quotes around all of the value or none"
            faults.append(f"{label} cannot be understood at line {line}: {how}")
    return EnvFile(label, variables, tuple(faults), tuple(warnings), trust)


def _is_ours(text: str) -> bool:
    return "OPENROUTER_" in text or text.startswith("OR_")


def _line(binding: Binding) -> int:
    """The line on which a binding begins; python-dotenv (1.2) counts the blank lines before it as its own."""
    original = binding.original.string
    blank = original[: len(original) - len(original.lstrip())]
    return binding.original.line + blank.count("\n")
