"""How a stream of events ended, to tell clients that left early from those that were served to the end."""

import re

# Most clients hang up as soon as they have seen the last event (openai-python: [DONE]; Codex: response.completed).
# In an event's data, line breaks are escaped: a line that starts so is the event itself, never a model's words.
_LAST_EVENT = re.compile(
    rb"\n(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|failed|incomplete))(?=[\r\n]))"
)
_LONGEST = 32  # bytes of it, and a few more
_ENDS = (b"\n\n", b"\r\n\r\n")  # of an event
_LONG = 1024  # bytes; a longer piece is not kept


class LastEvent:
    """Watches the pieces of a stream go by, and looks into as few of them as it can.

    Most pieces are short and whole events, each of which matters only if it was the last: they are kept until the next
    one. In any other, an event may have begun whose rest is long: `response.completed` has all of the answer once more.
    """

    __slots__ = ("_before", "_began", "_has_ended", "_piece")

    def __init__(self) -> None:
        self._piece = b""  # the last one, or the end of a long one
        self._has_ended = True  # an event, with the piece
        self._before = b"\n"  # what came before the piece, of the same event; the end is enough
        self._began = False  # the last event, before the piece, or in what is not kept of it

    def pass_by(self, piece: bytes) -> None:
        """The next piece; an event may be cut anywhere."""
        if self._has_ended:
            self._before = b"\n"
            self._began = False  # or it was not the last
            if len(piece) <= _LONG and piece.endswith(_ENDS):
                self._piece = piece
                return
        else:
            self._before = (self._before + self._piece)[-_LONGEST:]
        self._piece = piece
        self._has_ended = piece.endswith(_ENDS) or (len(piece) < _LONGEST and (self._before + piece).endswith(_ENDS))
        if len(piece) > _LONG or not self._has_ended:
            self._began = self._began or self._is_here()
            self._piece = piece[-_LONG:]

    def has_passed(self) -> bool:
        """Whether the last event has begun in the last piece; or before it, and ended with it."""
        return self._is_here() or (self._began and self._has_ended)

    def _is_here(self) -> bool:
        return _LAST_EVENT.search(self._before + self._piece) is not None
