"""The reference of the settings, made from their one list: ``config.example.env``, and the table in docs/settings.md.

``python -m proxy.commands.reference env`` and ``... table`` print them.
"""

import sys
from collections.abc import Callable

from proxy.commands.values import shown
from proxy.settings.given import secret_file
from proxy.settings.model import Settings, option
from proxy.settings.names import PROFILE_FIELDS, file_variable
from proxy.settings.variables import flag, variable

_HEAD = """\
# Every setting of openrouter-attribution-proxy, with its default and its meaning.
# Copy it, remove the # before a setting to change it, and name the copy at the start:
#   cp config.example.env my.env
#   openrouter-proxy --env-file my.env
# NAME=value, without quotes and without a comment behind it (so `docker run --env-file` reads it too); an empty value
# counts as unset. The proxy reads the same lines, without being asked, from ~/.config/openrouter-proxy/env.
"""


_PROFILES = f"""\
# Profiles: further identities in the same process, as many as you like. TEAM_A has the base URL
# http://localhost:6767/team-a/api/v1, and is also chosen by its token. Each may have, of its own:
# {", ".join(field.upper() for field in PROFILE_FIELDS)}
# {variable("http_referer", "TEAM_A")}=https://github.com/you/team-a
# {variable("app_title", "TEAM_A")}=Team A
# {variable("api_key", "TEAM_A")}=
# {variable("access_token", "TEAM_A")}=
"""


def meaning(field: str) -> str:
    """What a setting does, on one line."""
    return Settings.model_fields[field].description or ""


def default(field: str) -> str:
    """The default of a setting, as it would be written; empty if there is none."""
    text = shown(_DEFAULTS, field)
    return "" if text == "-" else text


def example_env() -> str:
    """``config.example.env``."""
    settings = (f"# {meaning(name)}\n#{variable(name)}={default(name)}\n" for name in _FIELDS)
    return "\n".join([_HEAD, *settings, _PROFILES])


def markdown_table() -> str:
    """The settings as the table of docs/settings.md."""
    rows = ["| Variable | Flag | Default | Meaning |", "|---|---|---|---|"]
    for field in _FIELDS:
        text = meaning(field).replace("|", "\\|")
        if also := option(field).also:
            text += f". Also read: {', '.join(f'`{name}`' for name in also)}"
        if option(field).secret:
            text += f". Also read: the file that `{file_variable(field)}` names, and `{secret_file(field)}`"
        given = f"`{default(field)}`" if default(field) else "-"
        by_flag = "-" if option(field).secret else f"`{flag(field)}`"
        rows.append(f"| `{variable(field)}` | {by_flag} | {given} | {text} |")
    return "\n".join([*rows, ""])


_FIELDS = tuple(Settings.model_fields)
_DEFAULTS = Settings.model_construct()  # unchecked: an identity is missing
_PARTS: dict[str, Callable[[], str]] = {"env": example_env, "table": markdown_table}

if __name__ == "__main__":
    sys.stdout.write(_PARTS[sys.argv[1]]())
