"""What the ``.env`` of a folder may say (promise 37), and what it is told if it says more."""

from collections.abc import Iterable, Mapping

from proxy.faults import Faulty
from proxy.settings.addresses import Listen
from proxy.settings.model import option
from proxy.settings.names import Name, find


def refused(variables: Mapping[str, str]) -> list[str]:
    """The names in a folder's file that it may not say.

    Also where the environment says the same: there are tools that load such files into it unasked.
    """
    return [
        name for name, value in variables.items() if (found := find(name)) is not None and not _may_say(found, value)
    ]


def refusal(label: str, names: Iterable[str], users_file: str) -> str:
    """The line for whoever is stopped by it, with the ways out."""
    return (
        f"{label} of this folder may not set {', '.join(names)}: where requests go, whose key pays and who may call is "
        f"not for a folder to say. If the file is yours, start with --env-file {label}, or keep such lines in "
        f"{users_file}"
    )


def _may_say(name: Name, value: str) -> bool:
    if name.is_file or not option(name.field).by_folder:
        return False
    if name.field == "listen":
        try:
            return Listen.parse(value).is_loopback
        except Faulty:  # it is told in time
            return True
    return True
