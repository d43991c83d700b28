"""The fixed headers that a user adds: what they may be called, and hold."""

import json
import re

from proxy.faults import REFERENCE, Faulty, control_characters, is_reference, quoted
from proxy.headers import HOP_BY_HOP, folded
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_AUTH = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
_FRAMING = HOP_BY_HOP | {b"content-length", b"content-type", b"content-encoding", b"expect", b"host"}


def parse_extra_headers(text: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a JSON object of strings, in its order; raises `Faulty`, whose text never shows a value."""
    example = """for example {"X-Team": "search"}"""
    try:
        pairs = json.loads(text, object_pairs_hook=_Members)
    except json.JSONDecodeError as error:
        raise Faulty(f"is not JSON ({error.msg} at character {error.pos + 1}): write an object, {example}") from None
    except RecursionError:
        raise Faulty(f"is nested too deeply: write one object of strings, {example}") from None
    if not isinstance(pairs, _Members):
        raise Faulty(f"must be a JSON object of strings, {example}")
    faults = []
    seen: set[bytes] = set()
    for name, value in pairs:
        if fault := _name_fault(name) or _value_fault(name, value):
            faults.append(fault)
        elif (key := folded(name.encode("ascii"))) in seen:
            faults.append(f"names {quoted(name)} twice (case and _ do not count): keep one")
        else:
            seen.add(key)
    if faults:
        raise Faulty(*faults)
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in pairs)


class _Members(list[tuple[str, str]]):
    """The members of a JSON object, duplicates included."""


def _name_fault(name: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return f"names {quoted(name)}, which is no header name: use letters, digits and -"
    key = folded(name.encode("ascii"))
    if key in ATTRIBUTION_HEADERS:
        return f"may not name {name}: the attribution has settings of its own (HTTP_REFERER, APP_TITLE, ...)"
    if key in _AUTH:
        return f"may not name {name}: whose key travels is not for a fixed header to say; leave it to the tool"
    if key in _FRAMING:
        return f"may not name {name}: it describes the connection or the body of each request; leave it out"
    return None


def _value_fault(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        return f"gives {name} a value that is not a string: put it in double quotes"
    if control_characters(value) or not value.isascii():
        return f"gives {name} a value with control or non-ASCII characters: write printable ASCII"
    if is_reference(value):
        return f"gives {name} a value that {REFERENCE}"
    if value != value.strip():
        return f"gives {name} a value that begins or ends with a blank: remove it"
    return None
