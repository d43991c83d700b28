"""The last look at what is about to be shown: no key leaves by a log line.

Nothing puts one there on purpose. But a path is shown, and a user may have pasted a key into a base URL; and a
generation id is the upstream's word.
"""

import json
import re
from collections.abc import Iterable

from pydantic import SecretStr

from proxy.observe.any_of import AnyOf
from proxy.percent_encoding import readings

HIDDEN = "(hidden)"

_KEY_MARK = "sk-"
# OpenRouter's, and those of most providers behind it; the longer marks count in the middle of a word too, as when a
# key was pasted behind a path.
_KEY = re.compile(r"(?:\bsk-|sk-or-|sk-ant-|sk-proj-)[\w-]{8,}", re.ASCII)


class Redaction:
    """Replaces whatever looks like a key, and each of ``secrets``, in a text."""

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        shapes = {shape for secret in secrets for shape in _shapes(secret.get_secret_value())}
        # The longest first: one may be a part of another.
        known = [re.escape(shape) for shape in sorted(shapes, key=len, reverse=True)]
        self._secret = re.compile("|".join([*known, _KEY.pattern]), re.ASCII)
        self._marks = AnyOf([shape for shape in shapes if _KEY_MARK not in shape])

    def __call__(self, text: str) -> str:
        return self._secret.sub(HIDDEN, text) if self._may_have_one(text) else text

    def decoded_too(self, text: str) -> str:
        """The same, and nothing of a text in which something to hide stands once it is percent-decoded."""
        shown = self(text)
        return HIDDEN if "%" in shown and self.finds_in_path(shown.encode()) else shown

    def finds(self, text: str) -> bool:
        """Whether there is something to hide in ``text``."""
        return self._may_have_one(text) and self._secret.search(text) is not None

    def finds_in_path(self, raw_path: bytes) -> bool:
        """Whether there is something to hide in a path, however often it is percent-encoded."""
        found = readings(raw_path)
        return found is None or any(self.finds(each.decode("latin-1")) for each in found)

    def _may_have_one(self, text: str) -> bool:
        # Nearly no text has: looking for fixed strings costs a tenth of what the pattern does.
        return _KEY_MARK in text or self._marks.may_stand_in(text)


def _shapes(secret: str) -> set[str]:
    """A secret as it is, and as it stands inside of JSON."""
    return {secret, json.dumps(secret)[1:-1]}
