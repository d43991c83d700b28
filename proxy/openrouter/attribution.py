"""Attribution: to which app OpenRouter credits a request.

OpenRouter reads it from request headers (openrouter.ai/docs/app-attribution). They belong together: a client's
title beside our URL would rename our app. So the set is decided on, kept or replaced as one.
"""

import enum
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import cached_property

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.headers import HeaderList, folded, values, without
from proxy.observe.record import Outcome, record_of
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


def stamp(headers: HeaderList, attribution: Attribution | None, mode: Mode) -> tuple[HeaderList, Outcome]:
    """``headers`` as they leave, and what was done: delete every copy of the set, then add ours; or touch nothing.

    ``headers`` must be clean of hop-by-hop lines already: else a ``Connection`` header could remove the stamp later.
    """
    if mode is Mode.PASSTHROUGH or attribution is None:
        return headers, "passed"
    if mode is Mode.FILL and any(value.strip() for value in values(headers, b"http-referer")):
        return headers, "kept"
    return [*without(headers, ATTRIBUTION_HEADERS), *attribution.headers], "stamped"


class AttributionMiddleware:
    """Stamps the attribution, and then the fixed extra headers, onto each request."""

    def __init__(
        self, app: ASGIApp, attribution: Attribution | None, mode: Mode, extra: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self.app = app
        self.attribution = attribution
        self.mode = mode
        self.extra = list(extra)
        self.extra_names = frozenset(folded(name) for name, _ in extra)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        headers, outcome = stamp(scope["headers"], self.attribution, self.mode)
        if self.extra:
            headers = [*without(headers, self.extra_names), *self.extra]
        record_of(scope).attribution = outcome
        return self.app({**scope, "headers": headers}, receive, send)
