"""Puts the app's identity onto each request, in place of the tool's own: what this proxy is for."""

from starlette.types import Scope

from proxy.headers import HeaderList, folded, values, without
from proxy.middleware.profile import profile_of
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


def claims(
    before: HeaderList, after: HeaderList, outcome: Outcome, attribution: Attribution | None
) -> tuple[tuple[bytes, bytes], ...]:
    """The lines of the set that a client has sent; for most, which send none, the lengths of the lists tell so."""
    if outcome == "stamped" and attribution is not None and len(after) - len(attribution.headers) == len(before):
        return ()
    return tuple(line for line in before if folded(line[0]) in ATTRIBUTION_HEADERS)


def stamp_identity(scope: Scope) -> Scope:
    """A rule: put the attribution, and then the fixed extra headers, onto the request."""
    profile = profile_of(scope)
    headers, outcome = stamp(scope["headers"], profile.attribution, profile.mode)
    record = record_of(scope)
    record.attribution = outcome
    if record.number:  # somebody may look at what the client claims
        record.claimed = claims(scope["headers"], headers, outcome, profile.attribution)
    if profile.extra_headers:
        headers = [*without(headers, profile.extra_names), *profile.extra_headers]
    return {**scope, "headers": headers}
