"""What the ``.env`` of a folder may say (promise 37), and what it is told if it says more."""

from collections.abc import Iterable, Mapping

from proxy.faults import Faulty, escaped
from proxy.settings.addresses import Listen
from proxy.settings.model import option
from proxy.settings.names import Name, find

_NAMED = 40  # names that are told, of those that are refused


def refused(variables: Mapping[str, str]) -> list[str]:
    """The names in a folder's file that it may not say.

    Also where the environment says the same: there are tools that load such files into it unasked.
    """
    return [
        name for name, value in variables.items() if (found := find(name)) is not None and not _may_say(found, value)
    ]


def refusal(label: str, names: Iterable[str], users_file: str) -> str:
    """The line for whoever is stopped by it, with the ways out."""
    named = [escaped(name) for name in names]  # whoever wrote the file shall not write to the terminal
    told = ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
    return (
        f"{label} of this folder may not set {told}: where requests go, whose key pays and who may call is "
        f"not for a folder to say. If the file is yours, start with --env-file {label}, or keep such lines in "
        f"{users_file}"
    )


def _may_say(name: Name, value: str) -> bool:
    # A profile may have the user's key and, as long as nobody says more, the user's app: whom it credits is not for a
    # folder to say either.
    if name.profile or name.is_file or not option(name.field).by_folder:
        return False
    if name.field == "listen":
        try:
            return Listen.parse(value).is_loopback
        except Faulty:  # it is told in time
            return True
    return True
