"""How a fault is put into words: one line that shows what is wrong, what to write instead, and never a secret."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

_LONGEST_SHOWN = 60
_SHORTEST_KEY = 20
_SECRET_LIKE = re.compile(r"\bsk-|@|\bbearer\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*[^}]*\}|\A\$[A-Za-z_]\w*\Z", re.ASCII)
_UNNAMED = {"\0": "NUL", "\t": "TAB", "\n": "NEWLINE", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE", "\x7f": "DELETE"}


IN_QUOTES = "has quotes around it: remove them (docker --env-file makes them part of the value)"
REFERENCE = "refers to another variable, and such references are not replaced here: write the value itself"


class Faulty(ValueError):
    """A value that cannot be used.

    Each of ``faults`` is a predicate that follows the name of the value: ``must be …``, ``holds …``.
    ``field`` is the setting that they are about, where it is not the one being checked.
    """

    def __init__(self, *faults: str, field: str | None = None) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
        self.field = field


def quoted(value: str) -> str:
    """``value`` as a message may show it: short, in printable ASCII, and not at all if it looks like a secret."""
    if may_be_secret(value):
        return "a value that is not shown here because it may hold a secret"
    shown = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
    return f'"{escaped(shown)}"'


def may_be_secret(text: str) -> bool:
    """Whether something in ``text`` looks like a key, a token or a password."""
    return _SECRET_LIKE.search(text) is not None or any(_is_random(word) for word in _WORD.findall(text))


def _is_random(word: str) -> bool:
    """Whether a long word mixes digits and letters as keys and tokens do, of whichever company."""
    return len(word) >= _SHORTEST_KEY and any(map(str.isdigit, word)) and any(map(str.isalpha, word))


def escaped(value: str) -> str:
    """``value`` in printable ASCII."""
    return value.encode("unicode_escape").decode("ascii")


def described(character: str) -> str:
    """One character by code point and name, in ASCII: ``U+00E9 LATIN SMALL LETTER E WITH ACUTE``."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: how Python carries a byte that it could not decode
        return f"the byte 0x{code - 0xDC00:02X} (not UTF-8)"
    name = _UNNAMED.get(character) or unicodedata.name(character, "a control character")
    return f"U+{code:04X} {name}"


def at(value: str, offending: Iterable[str], why: str) -> list[str]:
    """At most one fault: the first character of ``value`` that is among ``offending``, where it stands, and ``why``."""
    unwanted = set(offending)
    places = [place for place, character in enumerate(value, start=1) if character in unwanted]
    if not places:
        return []
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return [f"holds {described(value[places[0] - 1])} at character {places[0]}{more}: {why}"]


def control_characters(value: str) -> list[str]:
    """The characters of ``value`` that would end a header, or that a terminal would obey."""
    return [character for character in value if character < " " or character == "\x7f"]


def in_quotes(value: str) -> bool:
    """Whether ``value`` still has the quotes around it that a shell would have taken off."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"


def is_reference(value: str) -> bool:
    """Whether ``value`` names a variable in place of its content: by ``${NAME}`` anywhere, or by ``$NAME`` alone."""
    return _REFERENCE.search(value) is not None


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that ``word`` was probably meant to be."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None
