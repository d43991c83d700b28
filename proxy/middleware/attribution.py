"""Puts the app's identity onto each request, in place of the tool's own: what this proxy is for."""

from collections.abc import Awaitable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.headers import HeaderList, folded, values, without
from proxy.observe.record import Outcome, record_of
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS, Attribution, Mode


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
