"""Values as users have written them: in which place, under which name, and which one counts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.settings.model import option
from proxy.settings.names import fields, file_variable, names
from proxy.settings.secret_files import SecretFile
from proxy.settings.variables import variable

SECRET_FILES = Path("/run/secrets")  # where Docker, Compose and Podman put a secret, under its name

# One app's: a title beside the URL of another app would rename that app.
IDENTITY = frozenset({"http_referer", "app_title", "app_categories", "app_visibility"})
# The mode of a folder that nobody has vouched for would hide the app that somebody else has named.
_FOLDERS_IDENTITY = IDENTITY | {"attribution_mode"}


@dataclass(frozen=True, repr=False)  # the value may be secret
class Given:
    """A value as it was written, the place where it stands, and the name that it has there."""

    value: str | SecretFile
    place: str
    name: str
    in_file: bool = False
    is_folders: bool = False  # it stands in the ``.env`` of a folder

    def is_of_app(self, field: str) -> bool:
        """Whether this value of ``field`` is one thing with the app that is named beside it."""
        return field in (_FOLDERS_IDENTITY if self.is_folders else IDENTITY)

    @property
    def source(self) -> str:
        """Where it came from, in words."""
        return f"{self.place} {self.name}"

    def __str__(self) -> str:
        """The name, for a message about the value."""
        return f"{self.name} (in {self.place})" if self.in_file else self.name


@dataclass(frozen=True, repr=False)
class Place:
    """Variables that stand together: the environment's, or those of a file."""

    label: str
    variables: Mapping[str, str]
    is_file: bool = False
    is_folders: bool = False

    def gather(self, profile: str = "") -> dict[str, Given]:
        """What is given here for each field of a profile, by default of the default: under our name before others."""
        given = {}
        for field in fields(profile):
            for name in names(field, profile):
                if text := self.variables.get(name.text):
                    value = SecretFile(Path(text)) if name.is_file else text
                    given[field] = Given(value, self.label, name.text, self.is_file, self.is_folders)
                    break
        return given

    def contradictions(self, profile: str = "") -> list[str]:
        """A fault for each secret that is given both as a value and as a file."""
        pairs = [
            (variable(field, profile), file_variable(field, profile))
            for field in fields(profile)
            if option(field).secret
        ]
        return [
            f"{Given('', self.label, value, self.is_file)} and {file} are both set: keep one"
            for value, file in pairs
            if self.variables.get(value) and self.variables.get(file)
        ]


def secret_file(field: str, profile: str = "") -> Path:
    """Where a secret is looked for if nothing names it."""
    return SECRET_FILES / variable(field, profile).lower()


def mounted_secrets(profile: str = "") -> dict[str, Given]:
    """The secrets that stand where orchestrators mount them."""
    paths = {field: secret_file(field, profile) for field in fields(profile) if option(field).secret}
    return {
        field: Given(SecretFile(path), "secret file", str(path))
        for field, path in paths.items()
        if os.path.exists(path)  # noqa: PTH110 - pathlib's raises on EACCES
    }


def mounted_variables() -> list[str]:
    """The variables whose secrets are mounted, whatever they are for."""
    try:
        return [name.upper() for name in sorted(os.listdir(SECRET_FILES))]  # noqa: PTH208 - names are all it takes
    except OSError:
        return []


def merged(places: Sequence[Mapping[str, Given]]) -> tuple[dict[str, Given], list[str]]:
    """For each field what the strongest place gives; and a warning for each title and the like without its URL.

    In the ``.env`` of a folder, the mode is one of the like.

    An identity is one thing. Once a place has named the app, weaker places have no say about it; stronger ones have:
    whoever starts the proxy may give another title to the app of a file.
    """
    given: dict[str, Given] = {}
    unused = []
    for place in places:
        app = given.get("http_referer")
        for field, found in place.items():
            if field in given:
                continue
            if app is None or not found.is_of_app(field):
                given[field] = found
            elif "http_referer" not in place:
                unused.append(f"{found} is not used: it belongs to an app, and {app} names another one")
    return given, unused
