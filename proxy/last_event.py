"""How a stream of events ended, to tell clients that left early from those that were served to the end."""

import re

# Most clients hang up as soon as they have seen the last event (openai-python: [DONE]; Codex: response.completed).
# In an event's data, line breaks are escaped: a line that starts so is the event itself, never a model's words.
_LAST_EVENT = re.compile(rb"\n(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|failed|incomplete))\b)")
_LONGEST = 32  # bytes of it, and a few more


class LastEvent:
    """Watches the pieces of a stream go by, and looks into as few of them as it can.

    Most pieces are whole events, each of which matters only if it was the last: they are kept until the next one.
    """

    __slots__ = ("_before", "_began", "_piece")

    def __init__(self) -> None:
        self._before = b"\n"  # what came before the piece, of which the end is enough
        self._piece = b""
        self._began = False

    def pass_by(self, piece: bytes) -> None:
        """The next piece; an event may be cut anywhere."""
        self._before = self._piece if len(self._piece) >= _LONGEST else self._before[-_LONGEST:] + self._piece
        self._piece = piece
        if not piece.endswith(
            b"\n\n"
        ):  # the rest may be long: Codex gets all of its answer once more, and its own words
            self._began = self._began or self._is_here()

    def has_passed(self) -> bool:
        """Whether the last event was in the last piece, or began before it."""
        return self._began or self._is_here()

    def _is_here(self) -> bool:
        return _LAST_EVENT.search(self._before[-_LONGEST:] + self._piece) is not None
