"""How some sixty tools are pointed at a proxy, as data: ``tools``, ``run`` and docs/tools.md are made from it.

`model` has the types, `variables` what every program gets, the other modules an entry for each tool.
"""

import re
from collections.abc import Iterator

from proxy.openrouter.tools import agents_by_files as by_files
from proxy.openrouter.tools import agents_by_variables as by_variables
from proxy.openrouter.tools import agents_elsewhere as elsewhere
from proxy.openrouter.tools.model import Arguments, BaseUrls, Checked, Kind, Reach, Tool, filled
from proxy.openrouter.tools.others import APPLICATIONS, LIBRARIES

AGENTS = (
    by_variables.CLAUDE_CODE,
    by_files.CODEX,
    by_variables.AIDER,
    by_variables.OPENCODE,
    by_files.COPILOT,
    by_files.CLINE,
    by_files.CONTINUE,
    by_files.PI,
    by_files.DROID,
    by_files.QWEN_CODE,
    by_files.LLM,
    by_variables.GPTME,
    by_variables.HERMES,
    by_variables.MINI_SWE_AGENT,
    by_variables.SHELL_GPT,
    by_variables.GOOSE,
    by_variables.KILO,
    by_variables.CRUSH,
    by_variables.AICHAT,
    by_variables.TGPT,
    by_files.KIMI,
    by_variables.SWE_AGENT,
    by_variables.OPEN_INTERPRETER,
    by_variables.OPENHANDS,
    by_variables.ORI,
    elsewhere.MODS,
    elsewhere.OPENCLAW,
    elsewhere.ROO_CODE,
    elsewhere.PLANDEX,
    elsewhere.GEMINI,
    elsewhere.AMP,
    elsewhere.CURSOR,
    elsewhere.WARP,
)
TOOLS = (*AGENTS, *LIBRARIES, *APPLICATIONS)

__all__ = [
    "TOOLS",
    "Arguments",
    "BaseUrls",
    "Checked",
    "Kind",
    "Reach",
    "Tool",
    "filled",
    "named",
    "named_by_package",
    "names",
    "started_by",
]


def names(tool: Tool) -> Iterator[str]:
    """Every name by which a person may ask for ``tool``, in the form of `_folded`."""
    yield from {_folded(name) for name in (tool.slug, tool.name, *tool.programs, *tool.packages)}


def named(text: str) -> Tool | None:
    """The tool that a person means by ``text``, however it is written: "Claude Code", claude-code, CLAUDE."""
    wanted = _folded(text)
    return next((tool for tool in TOOLS if wanted in names(tool)), None)


def started_by(program: str) -> Tool | None:
    """The tool that a shell starts by this name (without folder and ending)."""
    return next((tool for tool in TOOLS if program in tool.programs), None)


def named_by_package(package: str) -> Tool | None:
    """The tool that npx, uvx and the like start by this name of a package (without version)."""
    return next((tool for tool in TOOLS if package in tool.packages), None)


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9@/]+", "", name.lower())
