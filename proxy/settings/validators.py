"""From the text of a setting, as users write it, to its value.

What is not text comes from our own code, and passes. Each function raises `Faulty`.
"""

import re
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from proxy.faults import IN_QUOTES, Faulty, at, control_characters, in_quotes, nearest, quoted
from proxy.middleware.management import FAMILIES
from proxy.openrouter import identity
from proxy.settings.addresses import Listen, Upstream, is_host
from proxy.settings.extra_headers import parse_extra_headers
from proxy.settings.outbound_proxy import OutboundProxy

MANAGEMENT = tuple(FAMILIES)

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
_LONGEST = 31_536_000  # a year in seconds: some event loops overflow beyond it


def on_one_line(value: object) -> object:
    """The value, if it would survive in a header, a log line and docker's --env-file."""
    if isinstance(value, str):
        _refuse(at(value, control_characters(value), "write the value on one line, without it"))
        _refuse([IN_QUOTES] if in_quotes(value) else [])
    return value


def referer(value: object) -> object:
    """An app's URL."""
    _refuse(identity.referer_faults(value) if isinstance(value, str) else [])
    return value


def title(value: object) -> object:
    """An app's display name."""
    _refuse(identity.title_faults(value) if isinstance(value, str) else [])
    return value


def split_categories(value: object) -> object:
    """The members of ``a,b``; blanks around them do not count."""
    return _members(value) if isinstance(value, str) else value


def categories(value: tuple[str, ...]) -> tuple[str, ...]:
    """An app's categories."""
    _refuse(identity.category_faults(value))
    return value


def visibility(value: object) -> object:
    """An app's visibility."""
    _refuse(identity.visibility_faults(value) if isinstance(value, str) else [])
    return value


def one_of(choices: Iterable[str]) -> Callable[[object], object]:
    """A function that takes one of ``choices``, in any case."""
    known = tuple(choices)

    def chosen(value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lower() not in known:
            near = nearest(value.lower(), known)
            hint = f"; did you mean {near}?" if near else ""
            raise Faulty(f"must be {', '.join(known[:-1])} or {known[-1]}, not {quoted(value)}{hint}")
        return value.lower()

    return chosen


def listen(value: object) -> object:
    """An address to listen on."""
    return Listen.parse(value) if isinstance(value, str) else value


def upstream(value: object) -> object:
    """An upstream's URL."""
    return Upstream.parse(value) if isinstance(value, str) else value


def outbound_proxy(value: object) -> object:
    """An outbound proxy's URL, ``auto`` or ``none``. It may hold a password, so no fault shows it."""
    if isinstance(value, Faulty):
        raise value
    if not isinstance(value, str):
        return value
    text = value.removesuffix("\n").removesuffix("\r")
    return text.lower() if text.lower() in ("auto", "none") else OutboundProxy.parse(text)


def seconds(value: object) -> object:
    """A finite duration."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", value):
            raise Faulty(f"must be a number of seconds, 0 or more, not {quoted(value)}; for example 10 or 2.5")
        value = float(value)
    if isinstance(value, int | float) and not 0 <= value <= _LONGEST:
        raise Faulty(f"must be from 0 to {_LONGEST} seconds")
    return value


def seconds_or_none(value: object) -> object:
    """A duration, where 0 is no limit."""
    return seconds(value) or None


def whole_number(at_most: int) -> Callable[[object], object]:
    """A function that takes whole numbers from 0 to ``at_most``."""

    def counted(value: object) -> object:
        if isinstance(value, str):
            if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) > at_most:
                raise Faulty(f"must be a whole number from 0 to {at_most}, not {quoted(value)}")
            return int(value)
        return value

    return counted


def extra_headers(value: object) -> object:
    """Headers as a JSON object."""
    return parse_extra_headers(value) if isinstance(value, str) else value


def secret(value: object) -> object:
    """A key or token. A newline at its end is forgiven: most ways to write a file leave one. Never shown in a fault."""
    if isinstance(value, Faulty):
        raise value
    if not isinstance(value, str | SecretStr):
        return value
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    text = text.removesuffix("\n").removesuffix("\r")
    _refuse([IN_QUOTES] if in_quotes(text) else [])
    if not _PRINTABLE.fullmatch(text):
        raise Faulty("is empty, or holds a blank, a control or a non-ASCII character: copy it again, and nothing else")
    return SecretStr(text)


def yes_or_no(value: object) -> object:
    """A truth value."""
    if not isinstance(value, str):
        return value
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.lower() not in known:
        raise Faulty(f"must be true or false, not {quoted(value)}")
    return known[value.lower()]


def host_patterns(value: object) -> object:
    """Host names, each perhaps with ``*.`` before it for all names below."""
    if not isinstance(value, str):
        return value
    names = [name.lower().removesuffix(".") for name in _members(value)]
    for name in names:
        if not is_host(name.removeprefix("*.")):
            raise Faulty(
                f"must be host names without scheme, port or path, not {quoted(name)}; for example llm.example.com or "
                f"*.example.com"
            )
    return tuple(dict.fromkeys(names))


def origins(value: object) -> object:
    """Origins as browsers send them: in lower case, without the scheme's own port, without a path."""
    if not isinstance(value, str):
        return value
    found = []
    for text in _members(value):
        if text.lower() in ("*", "null"):
            raise Faulty(f'may not hold "{text.lower()}", which any web page can be: name each origin')
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            raise Faulty(f"must be origins without a path, not {quoted(text)}; for example https://chat.example.com")
        own_port = {"http": "80", "https": "443"}.get(match["scheme"])
        port = "" if match["port"] in (None, own_port) else f":{match['port']}"
        found.append(f"{match['scheme']}://{match['host']}{port}")
    return tuple(dict.fromkeys(found))


def management(value: object) -> object:
    """Families of management paths."""
    if not isinstance(value, str):
        return value
    names = [name.lower().strip("/") for name in _members(value)]
    for name in names:
        if name not in MANAGEMENT:
            near = nearest(name, MANAGEMENT)
            hint = f"; did you mean {near}?" if near else ""
            raise Faulty(f"must be of {', '.join(MANAGEMENT)}, not {quoted(name)}{hint}")
    return tuple(dict.fromkeys(names))


def _members(value: str) -> tuple[str, ...]:
    """The members of ``a,b``; blanks around them do not count."""
    return tuple(member for part in value.split(",") if (member := part.strip(" ")))


def _refuse(faults: list[str]) -> None:
    if faults:
        raise Faulty(*faults)
