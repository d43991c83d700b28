"""Attribution: to which app OpenRouter credits a request.

OpenRouter reads it from request headers (openrouter.ai/docs/app-attribution). They belong together: a client's
title beside our URL would rename our app. So the set is decided on, kept or replaced as one.
"""

import enum
from dataclasses import dataclass
from functools import cached_property

from proxy.openrouter import identity

# In folded form. Only these: other X-OpenRouter-* request headers are features of the API.
ATTRIBUTION_HEADERS = frozenset(
    {b"http-referer", b"x-openrouter-title", b"x-title", b"x-openrouter-categories", b"x-openrouter-app-visibility"}
)


class Mode(enum.StrEnum):
    """Whose attribution counts."""

    OVERRIDE = "override"  # ours, always
    FILL = "fill"  # the client's if it names an app, else ours
    PASSTHROUGH = "passthrough"  # the client's, always


MEANING = {
    Mode.OVERRIDE: "it replaces what a tool sends itself",
    Mode.FILL: "only for tools that send no HTTP-Referer; one that does keeps its own set",
    Mode.PASSTHROUGH: "nothing is stamped; what a tool sends is what OpenRouter gets",
}
"""What each mode does, in words."""


@dataclass(frozen=True)
class Attribution:
    """One app's identity on OpenRouter; building one with a value that OpenRouter would drop raises `ValueError`."""

    referer: str
    title: str | None = None
    categories: tuple[str, ...] = ()
    visibility: str | None = None

    def __post_init__(self) -> None:
        if faults := identity.faults(self.referer, self.title, self.categories, self.visibility):
            raise ValueError("; ".join(faults))

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header lines to send, in order. Both names of the title: which one wins is undocumented."""
        lines = [("HTTP-Referer", self.referer)]
        if self.title is not None:
            lines += [("X-OpenRouter-Title", self.title), ("X-Title", self.title)]
        if self.categories:
            lines += [("X-OpenRouter-Categories", ",".join(self.categories))]
        if self.visibility is not None:
            lines += [("X-OpenRouter-App-Visibility", self.visibility)]
        return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in lines)
