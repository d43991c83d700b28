"""What is known of a tool, as types. The facts themselves stand in the modules beside this one.

Texts may hold ``$OAI``, ``$ANT``, ``$ORIGIN`` (the proxy's base URLs and its origin), ``$KEY`` (whatever stands where a
tool wants its API key), ``$MODEL`` (a slug of OpenRouter) and ``$FOLDER`` (a temporary folder of ``run``'s).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Template

Pairs = tuple[tuple[str, str], ...]


class Reach(StrEnum):
    """Whether a tool can use a proxy on this machine, and who has to see to it."""

    RUN = "yes"  # `run` does all of it
    PARTLY = "partly"  # `run` does it, under a condition that is the user's to meet
    SETTINGS = "by its settings"  # no variable, flag or file of one process: the user sets it once
    NO = "no"
    UNKNOWN = "not known"


class Kind(StrEnum):
    """Where a tool is listed."""

    AGENT = "Command-line tools"
    LIBRARY = "Libraries"
    APPLICATION = "Programs with windows, and servers"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a tool's entry rests on.

    ``how``: "run" (this version sent requests through the proxy), "read" (its code or documentation), or "unsure".
    """

    how: str
    version: str = ""
    when: str = "2026-11"
    source: str = ""

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        return f"{self.how}{version}, {self.when}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments that ``run`` puts behind the program's name, but not if one of the user's matches ``unless``."""

    words: tuple[str, ...]
    unless: str = ""  # a regular expression for a whole argument

    @property
    def why_not(self) -> str:
        """What is said where they are left out."""
        return f"{self.words[0]} is left to your own arguments"


@dataclass(frozen=True, slots=True)
class Tool:
    """One program or library.

    Attributes:
        name: as its makers write it.
        programs: the names under which a shell starts it.
        packages: the names under which npx, uvx and the like start it.
        how: how it is pointed at the proxy, in a sentence.
        variables: what to export for a proxy that runs already; empty values count.
        settings: what else to type or to write, as text to paste.
        extra: what ``run`` sets for this tool alone, beyond what it sets for every program.
        removed: what ``run`` takes out of the environment for this tool alone.
        arguments: what ``run`` inserts.
        files: what ``run`` writes into its temporary folder, by name.
        model_flags: the tool's flags that name a model; ``$MODEL`` is then what the user gave, less ``model_prefix``.
        sends: which attribution it sends to a proxy on this machine by itself.
        traps: what goes wrong, a sentence each.
        key_store: where it finds another key than the one in its environment.
        silent: why no request may come, if none came.
    """

    name: str
    kind: Kind
    reach: Reach
    checked: Checked
    how: str
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    variables: Pairs = ()
    settings: str = ""
    extra: Pairs = ()
    removed: tuple[str, ...] = ()
    arguments: tuple[Arguments, ...] = ()
    files: Pairs = ()
    model_flags: tuple[str, ...] = ()
    model_prefix: str = ""
    sends: str = "nothing"
    traps: tuple[str, ...] = ()
    key_store: str = ""
    silent: str = ""

    @property
    def slug(self) -> str:
        """The name by which ``tools NAME`` knows it."""
        return self.programs[0] if self.programs else re.sub(r"[^a-z0-9@/]+", "-", self.name.lower()).strip("-")


def filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with the names of ``values`` filled in; any other ``$`` stays, as some tools mean it."""
    return Template(template).safe_substitute(values)


@dataclass(frozen=True, slots=True)
class BaseUrls:
    """The URLs of one proxy, by which tools call it; with ``profile``, as that identity."""

    origin: str
    profile: str = ""

    @property
    def values(self) -> dict[str, str]:
        """What the templates' names stand for, of these."""
        base = f"{self.origin}/{self.profile}" if self.profile else self.origin
        return {"ORIGIN": base, "OAI": f"{base}/api/v1", "ANT": f"{base}/api"}
