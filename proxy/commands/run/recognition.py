"""Which tool a command line starts, and behind which word its own arguments begin. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from proxy.openrouter.tools import Tool, named_by_package, started_by

# Programs that start another one by its package's name. A word that is no flag, and not the value of one of these
# flags, is that name. Sources: their help pages of November 2026 (npm 11, pnpm 10, bun 1.3, uv 0.9, pipx 1.8).
_NPM = {"-p", "--package", "-w", "--workspace"}
_UV = {"--from", "--with", "--with-requirements", "-p", "--python", "--index", "--default-index", "-c", "--constraints"}
_RUNNERS: tuple[tuple[tuple[str, ...], set[str]], ...] = (
    (("npx",), _NPM),
    (("bunx",), _NPM),
    (("pnpx",), _NPM),
    (("npm", "exec"), _NPM),
    (("npm", "x"), _NPM),
    (("pnpm", "dlx"), {"--package"}),
    (("pnpm", "exec"), set()),
    (("yarn", "dlx"), {"-p", "--package"}),
    (("bun", "x"), {"-p", "--package"}),
    (("uvx",), _UV),
    (("uv", "tool", "run"), _UV),
    (("uv", "run"), {*_UV, "--project", "--directory", "--group", "--extra", "--env-file"}),
    (("pipx", "run"), {"--spec", "--python", "--pip-args", "--index-url"}),
)
_ENDINGS = re.compile(r"\.(?:cmd|exe|bat|ps1)\Z", re.IGNORECASE)
_PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
_VERSION = re.compile(r"(?<=.)(?:@[^/]*|\[.*|[=~<>!].*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Recognised:
    """``arguments_at`` is the place in the command line of the tool's first own argument."""

    tool: Tool
    arguments_at: int


def program_name(word: str) -> str:
    """The name of a program without its folder, and without the ending that Windows gives it."""
    plain = PureWindowsPath(word).name if "\\" in word else PurePosixPath(word).name
    return _ENDINGS.sub("", plain)


def recognised(command: Sequence[str]) -> Recognised | None:
    """The tool that ``command`` starts, by itself or through npx, uvx, ``python -m`` and the like."""
    first = program_name(command[0])
    if (tool := started_by(first)) is not None:
        return Recognised(tool, 1)
    if _PYTHON.fullmatch(first) and len(command) > 2 and command[1] == "-m":
        tool = started_by(command[2])
        return Recognised(tool, 3) if tool else None
    for words, with_value in _RUNNERS:
        if (first, *command[1 : len(words)]) == words:
            at = _first_argument(command, len(words), with_value)
            if at is None:
                return None
            name = _VERSION.sub("", command[at])
            tool = started_by(program_name(name)) if "/" not in name else None
            tool = tool or named_by_package(name)
            return Recognised(tool, at + 1) if tool else None
    return None


def _first_argument(command: Sequence[str], start: int, with_value: set[str]) -> int | None:
    """The place of the first word that is neither a flag nor the value of one."""
    at = start
    while at < len(command):
        word = command[at]
        if not word.startswith("-"):
            return at
        at += 2 if word in with_value else 1
    return None
