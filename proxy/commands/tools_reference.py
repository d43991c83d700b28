"""docs/tools.md, as far as it is made from what is known of the tools.

``python -m proxy.commands.tools_reference PART`` prints a part of it.
"""

import sys
from collections.abc import Callable, Iterable

from proxy.commands.tools import MODEL
from proxy.openrouter.tools import TOOLS, BaseUrls, Kind, filled, variables
from proxy.settings.model import Settings

_ORIGIN = f"http://localhost:{Settings.model_fields['listen'].default.port}"
_VALUES = {**BaseUrls(_ORIGIN).values, "MODEL": MODEL, "KEY": "KEY"}


def tool_table(kind: Kind) -> str:
    """The tools of one kind, a row each."""
    rows = [
        f"| {tool.name} | {tool.reach.value} | {_cell(tool.how)} | {_cell(tool.sends)} | {_cell(str(tool.checked))} |"
        for tool in TOOLS
        if tool.kind is kind
    ]
    head = ["| Tool | Uses a local proxy | How | Sends by itself | Checked |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def variable_table() -> str:
    """What ``run`` does to the environment of every program."""
    groups: Iterable[tuple[str, tuple[variables.Variable, ...]]] = [
        ("set", variables.SET),
        ("emptied", variables.EMPTIED),
        ("removed", variables.REMOVED),
    ]
    rows = [
        f"| `{each.name}` | {done}{f' to `{_short(each.value)}`' if each.value else ''} | {_cell(each.obeyed_by)} |"
        for done, group in groups
        for each in group
    ]
    return "\n".join(["| Variable | `run` | For whom, or why |", "|---|---|---|", *rows, ""])


def own_table() -> str:
    """What ``run`` does for single tools beyond that."""
    rows = []
    for tool in TOOLS:
        done = [*(f"sets `{name}={_short(value)}`" for name, value in tool.extra)]
        done += [f"removes `{name}`" for name in tool.removed]
        done += [f"inserts `{' '.join(_short(word) for word in each.words)}`" for each in tool.arguments]
        done += [f"writes the temporary file `{name}`" for name, _ in tool.files]
        if done:
            rows.append(f"| `{'`, `'.join(tool.programs)}` | {'; '.join(done)} |")
    return "\n".join(["| Program | `run` also |", "|---|---|", *rows, ""])


def trap_list() -> str:
    """What goes wrong, tool by tool."""
    parts = []
    for tool in TOOLS:
        notes = [*tool.traps]
        if tool.key_store:
            notes.append(f"Another key than that of its environment may come from {tool.key_store}.")
        if notes:
            parts += [f"**{tool.name}**", "", *(f"- {_cell(note)}" for note in notes), ""]
    return "\n".join(parts)


def readme_table() -> str:
    """Every tool in four short columns."""
    rows = [
        f"| {tool.name} | {tool.reach.value} | `tools {tool.slug}` | {_cell(str(tool.checked))} |" for tool in TOOLS
    ]
    return "\n".join(["| Tool | Uses a local proxy | The lines to paste | Checked |", "|---|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return filled(text, _VALUES).replace("|", "\\|").replace("<", "&lt;")


def _short(value: str) -> str:
    return filled(
        value, {"OAI": "OAI", "ANT": "ANT", "ORIGIN": "ORIGIN", "KEY": "TOKEN", "FOLDER": "FOLDER", "MODEL": "MODEL"}
    )


PARTS: dict[str, Callable[[], str]] = {
    "agents": lambda: tool_table(Kind.AGENT),
    "libraries": lambda: tool_table(Kind.LIBRARY),
    "applications": lambda: tool_table(Kind.APPLICATION),
    "variables": variable_table,
    "own": own_table,
    "traps": trap_list,
    "readme": readme_table,
}

if __name__ == "__main__":
    sys.stdout.write(PARTS[sys.argv[1]]())
