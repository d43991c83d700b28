"""What becomes of the environment that ``run`` passes on: set, emptied, removed. Pure."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.openrouter.tools import Tool, filled, variables

_OWN_SECRETS = re.compile(variables.OWN_SECRETS)
_JSON = frozenset({"OPENCODE_CONFIG_CONTENT", "KILO_CONFIG_CONTENT"})
_PROXY_EXCEPTIONS = frozenset({"NO_PROXY", "no_proxy"})
_AIDER = "AIDER_SET_ENV"


@dataclass(frozen=True)
class Environment:
    """The whole environment of the command, and what about it is not as it was, in the order in which it is told."""

    values: dict[str, str] = field(repr=False)
    set: tuple[str, ...]
    emptied: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]


def environment_for(
    inherited: Mapping[str, str],
    tool: Tool | None,
    meant: Mapping[str, str],
    *,
    key_variable: str | None = None,
    secrets: Collection[str] = (),
) -> Environment:
    """The environment of a command that ``tool`` is, if it is a known one.

    Args:
        inherited: this process's environment.
        tool: what is known of the command.
        meant: what the placeholders of the texts stand for; ``KEY`` is the token.
        key_variable: one more variable that holds the token.
        secrets: what must stand in no variable. One that holds such a text gets the token in its place.
    """
    values = dict(inherited)
    notes: list[str] = []
    templates = {each.name: each.value for each in variables.SET} | dict(tool.extra if tool else ())
    if key_variable:
        templates[key_variable] = "$KEY"
    for name, template in templates.items():
        values[name] = _joined(name, inherited.get(name, ""), filled(template, meant), notes)
    emptied = [each.name for each in variables.EMPTIED if each.name not in templates]
    for name in emptied:
        values[name] = ""
    unwanted = {each.name for each in variables.REMOVED} | set(tool.removed if tool else ())
    removed = sorted(name for name in values if name in unwanted or _OWN_SECRETS.fullmatch(name))
    for name in removed:
        del values[name]
    replaced = []
    for name, value in values.items():
        clean = value
        for secret in secrets:
            clean = clean.replace(secret, meant["KEY"])
        if clean != value:
            values[name] = clean
            replaced.append(name)
    told = [*templates, *(name for name in sorted(replaced) if name not in templates)]
    return Environment(values, tuple(told), tuple(emptied), tuple(removed), tuple(notes))


def _joined(name: str, old: str, new: str, notes: list[str]) -> str:
    """``new`` beside what the user has set already, for the variables that hold several things."""
    if not old:
        return new
    if name in _PROXY_EXCEPTIONS:
        have = [entry.strip() for entry in old.split(",")]
        return ",".join([old, *(entry for entry in new.split(",") if entry not in have)]) if "*" not in have else old
    if name == _AIDER:
        theirs = old.strip().removeprefix("[").removesuffix("]").strip()
        return f"[{theirs},{new[1:]}" if theirs else new
    if name in _JSON:
        try:
            theirs_json = json.loads(old)
        except ValueError:
            theirs_json = None
        if not isinstance(theirs_json, dict):
            notes.append(f"{name} holds no JSON object: its value is replaced")
            return new
        return json.dumps(_merged(theirs_json, json.loads(new)))
    return new


def _merged(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Both; where they differ, ours."""
    both = {**theirs, **ours}
    for name in theirs.keys() & ours.keys():
        if isinstance(theirs[name], dict) and isinstance(ours[name], dict):
            both[name] = _merged(theirs[name], ours[name])
    return both
