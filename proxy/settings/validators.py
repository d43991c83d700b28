"""From the text of a setting, as users write it, to its value. Each function raises `Faulty`."""

import functools
import re
from collections.abc import Callable, Iterable

from proxy.faults import IN_QUOTES, REFERENCE, Faulty, at, control_characters, in_quotes, is_reference, nearest, quoted
from proxy.host_names import is_host
from proxy.openrouter import identity
from proxy.openrouter.api import MANAGEMENT_FAMILIES
from proxy.settings.addresses import Listen, Upstream
from proxy.settings.extra_headers import parse_extra_headers
from proxy.settings.outbound_proxy import OutboundProxy
from proxy.settings.secret_files import SecretFile

MANAGEMENT = tuple(MANAGEMENT_FAMILIES)

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
_API_PATH = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)*")
_LONGEST = 31_536_000  # a year in seconds: some event loops overflow beyond it


def from_text(parse: Callable[[str], object]) -> Callable[[object], object]:
    """Make a validator of ``parse``, which gets a setting's text, also where that stands in a file.

    What is not text comes from our own code, and passes.
    """

    @functools.wraps(parse)
    def validate(value: object) -> object:
        text = value.text if isinstance(value, SecretFile) else value
        return parse(text) if isinstance(text, str) else text

    return validate


@from_text
def on_one_line(text: str) -> str:
    """The text, if it would survive in a header, a log line and docker's --env-file."""
    _refuse(at(text, control_characters(text), "write the value on one line, without it"))
    _refuse([IN_QUOTES] if in_quotes(text) else [])
    return text


@from_text
def referer(text: str) -> str:
    """An app's URL."""
    _refuse(identity.referer_faults(text))
    return text


@from_text
def title(text: str) -> str:
    """An app's display name."""
    _refuse(identity.title_faults(text))
    return text


@from_text
def split_categories(text: str) -> tuple[str, ...]:
    """The members of ``a,b``; blanks around them do not count."""
    return _members(text)


def categories(value: tuple[str, ...]) -> tuple[str, ...]:
    """An app's categories."""
    _refuse(identity.category_faults(value))
    return value


@from_text
def visibility(text: str) -> str:
    """An app's visibility."""
    _refuse(identity.visibility_faults(text))
    return text


def one_of(choices: Iterable[str]) -> Callable[[object], object]:
    """Make a function that takes one of ``choices``, in any case."""
    known = tuple(choices)

    @from_text
    def chosen(value: str) -> str:
        if value.lower() not in known:
            near = nearest(value.lower(), known)
            hint = f"; did you mean {near}?" if near else ""
            raise Faulty(f"must be {', '.join(known[:-1])} or {known[-1]}, not {quoted(value)}{hint}")
        return value.lower()

    return chosen


@from_text
def listen(text: str) -> Listen:
    """An address to listen on."""
    return Listen.parse(text)


@from_text
def upstream(text: str) -> Upstream:
    """An upstream's URL."""
    return Upstream.parse(text)


@from_text
def outbound_proxy(text: str) -> str | OutboundProxy:
    """An outbound proxy's URL, ``auto`` or ``none``. It may hold a password, so no fault shows it."""
    text = without_line_end(text)
    return text.lower() if text.lower() in ("auto", "none") else OutboundProxy.parse(text)


@from_text
def seconds(text: str) -> float:
    """A finite duration, without its limits."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text):
        raise Faulty(f"must be a number of seconds, 0 or more, not {quoted(text)}; for example 10 or 2.5")
    return float(text)


def limited_seconds(value: object) -> object:
    """A duration that no event loop overflows at."""
    if isinstance(value, int | float) and not 0 <= value <= _LONGEST:
        raise Faulty(f"must be from 0 to {_LONGEST} seconds")
    return value


def zero_is_none(value: object) -> object:
    """A duration, where 0 is no limit."""
    return value or None


def whole_number(at_most: int, at_least: int = 0, *, or_auto: bool = False) -> Callable[[object], object]:
    """Make a function that takes whole numbers from ``at_least`` to ``at_most``, and ``auto`` where that is allowed."""

    @from_text
    def counted(text: str) -> int | str:
        if or_auto and text == "auto":
            return text
        if not re.fullmatch(r"[0-9]{1,9}", text) or not at_least <= int(text) <= at_most:
            auto = "auto or " if or_auto else ""
            raise Faulty(f"must be {auto}a whole number from {at_least} to {at_most}, not {quoted(text)}")
        return int(text)

    return counted


@from_text
def extra_headers(text: str) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as a JSON object."""
    return parse_extra_headers(without_line_end(text))


@from_text
def secret(text: str) -> str:
    """A key or token. A newline at its end is forgiven: most ways to write a file leave one. Never shown in a fault."""
    text = without_line_end(text)
    _refuse([IN_QUOTES] if in_quotes(text) else [])
    _refuse([REFERENCE] if is_reference(text) else [])
    if not _PRINTABLE.fullmatch(text):
        raise Faulty("is empty, or holds a blank, a control or a non-ASCII character: copy it again, and nothing else")
    return text


@from_text
def yes_or_no(text: str) -> bool:
    """A truth value."""
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise Faulty(f"must be true or false, not {quoted(text)}")
    return known[text.lower()]


@from_text
def host_patterns(text: str) -> tuple[str, ...]:
    """Host names, each perhaps with ``*.`` before it for all names below."""
    names = [name.lower().removesuffix(".") for name in _members(text)]
    for name in names:
        if not is_host(name.removeprefix("*.")):
            raise Faulty(
                f"must be host names without scheme, port or path, not {quoted(name)}; for example llm.example.com or "
                f"*.example.com"
            )
    return tuple(dict.fromkeys(names))


@from_text
def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them: in lower case, without the scheme's own port, without a path."""
    found = []
    for member in _members(text):
        if member == "*" or member.lower().rstrip("/") == "file:":  # what Electron's pages have in place of an origin
            found.append("*" if member == "*" else "file://")
            continue
        if member.lower() == "null":
            raise Faulty('may not hold "null", which any web page can be: name each origin')
        match = _ORIGIN.fullmatch(member.lower())
        if match is None:
            raise Faulty(f"must be origins without a path, not {quoted(member)}; for example https://chat.example.com")
        own_port = {"http": "80", "https": "443"}.get(match["scheme"])
        port = "" if match["port"] in (None, own_port) else f":{match['port']}"
        found.append(f"{match['scheme']}://{match['host']}{port}")
    return tuple(dict.fromkeys(found))


@from_text
def management(text: str) -> tuple[str, ...]:
    """Families of management paths, or paths below the API's prefix with a slash before them."""
    found = []
    for member in _members(text):
        name = member.lower().strip("/")
        if name not in MANAGEMENT:
            if not member.startswith("/") or not _API_PATH.fullmatch(name):
                near = nearest(name, MANAGEMENT)
                hint = f"; did you mean {near}?" if near else ""
                others = "or paths that begin with a slash"
                raise Faulty(f"must be of {', '.join(MANAGEMENT)}, {others}, not {quoted(name)}{hint}")
            name = f"/{name}"
        found.append(name)
    return tuple(dict.fromkeys(found))


def without_line_end(text: str) -> str:
    """The text, less the one line end that most ways to write a file leave."""
    return text.removesuffix("\n").removesuffix("\r")


def _members(text: str) -> tuple[str, ...]:
    """The members of ``a,b``; blanks around them do not count."""
    return tuple(member for part in text.split(",") if (member := part.strip(" ")))


def _refuse(faults: list[str]) -> None:
    if faults:
        raise Faulty(*faults)
