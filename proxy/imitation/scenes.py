"""Which answer the imitation plays: chosen by the model slug of the request."""

import enum
from dataclasses import dataclass, field
from typing import Any

AUTHOR = "imitation/"


class Ending(enum.Enum):
    """How an answer ends once its pieces are out."""

    CLEAN = enum.auto()
    CUT = enum.auto()  # the connection is dropped in the middle of the body
    SILENCE = enum.auto()  # nothing more comes until the client leaves
    LINGER = enum.auto()  # all has come, but the body's end does not until the client leaves


class Recording(enum.Enum):
    """What ``/generation`` says of it, once it is old enough."""

    USUAL = enum.auto()
    LATE = enum.auto()  # not known the first three times that it is asked for
    NEVER = enum.auto()
    OTHER_APP = enum.auto()
    NOBODY = enum.auto()
    BUSY = enum.auto()  # 429 with Retry-After at first
    PAGE = enum.auto()  # a page of the CDN's instead of JSON at first
    SLOW = enum.auto()  # no answer at first
    REFUSED = enum.auto()  # 401: the key was deleted meanwhile


@dataclass(frozen=True)
class Fault:
    """An error of OpenRouter's: status, text, and the headers and metadata that come with it."""

    status: int
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Scene:
    """What happens to one request for the model.

    ``fault`` comes instead of an answer, or after half of the events if ``midway``; ``page``: a page of the CDN's does.
    ``spaces`` is how many pieces of white space come before a JSON answer. ``mute``: not even the head of an answer
    comes. ``credits``: the answer names the app that the request is credited to.
    """

    summary: str
    fault: Fault | None = None
    midway: bool = False
    spaces: int = 0
    mute: bool = False
    ending: Ending = Ending.CLEAN
    credits: bool = False
    page: bool = False
    recording: Recording = Recording.USUAL


_RATE_LIMIT = (
    (b"x-ratelimit-limit", b"20"),
    (b"x-ratelimit-remaining", b"0"),
    (b"x-ratelimit-reset", b"1767225600000"),
)
_UPSTREAM = {"provider_name": "Imitation", "raw": "The provider is busy."}

_FAULTS = (
    Fault(400, "The request is not one that this model understands."),
    Fault(401, "User not found."),
    Fault(
        402,
        "Insufficient credits. Add more on https://openrouter.ai/settings/credits",
        headers=((b"retry-after", b"3600"),),
    ),
    Fault(403, "The input was flagged by moderation.", {"reasons": ["imitation"], "flagged_input": "…"}),
    Fault(404, "No endpoints found that can serve this request."),
    Fault(408, "The request timed out."),
    Fault(413, "The request is too large."),
    Fault(429, "Rate limit exceeded: free-models-per-min.", headers=(*_RATE_LIMIT, (b"retry-after", b"1"))),
    Fault(500, "Internal Server Error"),
    Fault(502, "Provider returned error", _UPSTREAM),
    Fault(503, "No provider is available for this model just now.", headers=((b"retry-after", b"1"),)),
    Fault(529, "Provider returned error", _UPSTREAM),
)
_MIDWAY = Fault(502, "Provider disconnected unexpectedly", _UPSTREAM)

HELLO = Scene("a greeting")

SCENES: dict[str, Scene] = {
    "hello": HELLO,
    "credit": Scene("says which app the request is credited to", credits=True),
    "slow-json": Scene("white space comes long before the JSON does", spaces=8),
    "silent": Scene("takes the request and never answers", mute=True),
    "silent-stream": Scene("answers by half, then nothing more comes", ending=Ending.SILENCE),
    "lingering": Scene("says everything, then keeps the connection open", ending=Ending.LINGER),
    "cut": Scene("answers by half, then drops the connection", ending=Ending.CUT),
    "error-mid-stream": Scene("fails after half of the events; 502 if not streamed", _MIDWAY, midway=True),
    "error-429-upstream": Scene(
        "429 of a provider: no X-RateLimit-*, no Retry-After", Fault(429, "Provider returned error", _UPSTREAM)
    ),
    "page": Scene("403 with a page of the CDN's instead of JSON", page=True),
    "record-late": Scene("its record is not known the first three times", recording=Recording.LATE),
    "record-never": Scene("its record never comes", recording=Recording.NEVER),
    "record-other-app": Scene("its record names another app", recording=Recording.OTHER_APP),
    "record-nobody": Scene("its record names no app", recording=Recording.NOBODY),
    "record-busy": Scene("429 with Retry-After when its record is first asked for", recording=Recording.BUSY),
    "record-page": Scene("a page of the CDN's when its record is first asked for", recording=Recording.PAGE),
    "record-slow": Scene("no answer when its record is first asked for", recording=Recording.SLOW),
    "record-refused": Scene("401 when its record is asked for", recording=Recording.REFUSED),
    **{f"error-{fault.status}": Scene(f"{fault.status} before the first token", fault) for fault in _FAULTS},
}


FAULTS = {fault.status: fault for fault in _FAULTS}


def scene_for(model: str) -> Scene | None:
    """The scene for a model slug (a ``:variant`` is ignored), None for an ``imitation/`` slug that does not exist.

    Every other author's models greet, so that any tool can be pointed at the imitation as it is configured.
    """
    if not model.startswith(AUTHOR):
        return HELLO
    return SCENES.get(model.removeprefix(AUTHOR).partition(":")[0])
