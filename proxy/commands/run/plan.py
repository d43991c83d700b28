"""What ``run`` will start: command line, environment, temporary files. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from proxy.commands.run.environment import Environment, environment_for
from proxy.commands.run.recognition import recognised
from proxy.commands.tools import MODEL
from proxy.openrouter.tools import BaseUrls, Tool, filled


@dataclass(frozen=True)
class Plan:
    """A command as it will be started. `files` are by name, in the folder that was given; `notes` are for the user."""

    command: tuple[str, ...] = field(repr=False)
    tool: Tool | None
    environment: Environment = field(repr=False)
    inserted: tuple[str, ...] = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """What a plan is made for.

    Attributes:
        urls: of the proxy that the command is pointed at.
        token: what stands where the command looks for a key.
        folder: where its temporary files will be.
        insert: whether arguments are inserted and files written; else only the environment changes.
        key_variable: one more variable that gets the token.
        hidden: what may stand in no variable.
    """

    urls: BaseUrls
    token: str = field(repr=False)
    folder: str
    insert: bool = True
    key_variable: str | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False)


def plan_for(command: Sequence[str], inherited: Mapping[str, str], given: Given) -> Plan:
    """The plan for ``command``, whose environment would be ``inherited``."""
    found = recognised(command)
    tool = found.tool if found else None
    at = found.arguments_at if found else len(command)
    own = command[at:]
    meant = {**given.urls.values, "KEY": given.token, "FOLDER": given.folder, "MODEL": _model(own, tool)}
    notes: list[str] = []
    inserted: list[str] = []
    files: dict[str, str] = {}
    if tool and given.insert:
        for arguments in tool.arguments:
            if arguments.unless and any(re.fullmatch(arguments.unless, word) for word in own):
                notes.append(arguments.why_not)
            else:
                inserted += [filled(word, meant) for word in arguments.words]
        files = {name: filled(content, meant) for name, content in tool.files}
    pointed = tool if given.insert else _without_files(tool)
    environment = environment_for(inherited, pointed, meant, key_variable=given.key_variable, secrets=given.hidden)
    whole = (*command[:at], *inserted, *own)
    return Plan(whole, tool, environment, tuple(inserted), files, (*notes, *environment.notes))


def _model(own: Sequence[str], tool: Tool | None) -> str:
    """The model that the user's own arguments name, for the file of a tool that wants it there."""
    if tool is None:
        return MODEL
    for word, following in zip_longest(own, own[1:], fillvalue=""):
        flag, _, value = word.partition("=")
        named = following if word in tool.model_flags else value if flag in tool.model_flags else ""
        if named:
            return named.removeprefix(tool.model_prefix)
    return MODEL


def _without_files(tool: Tool | None) -> Tool | None:
    """``tool``, less the variables that name a file which is not there."""
    if tool is None:
        return None
    return replace(tool, extra=tuple((name, value) for name, value in tool.extra if "$FOLDER" not in value))
