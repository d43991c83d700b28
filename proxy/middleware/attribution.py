"""Puts the app's identity onto each request, in place of the tool's own: what this proxy is for."""

from starlette.types import Scope

from proxy.headers import HeaderList, fields_of, spelled, values, without
from proxy.middleware.profile import profile_of
from proxy.observe.record import Outcome, record_of
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS, Attribution, Mode

_CLAIMS = spelled(ATTRIBUTION_HEADERS)


def stamp(
    headers: HeaderList, attribution: Attribution | None, mode: Mode, *, claims: bool
) -> tuple[HeaderList, Outcome]:
    """``headers`` as they leave, and what was done: delete every copy of the set, then add ours; or touch nothing.

    ``headers`` must be clean of hop-by-hop lines already: else a ``Connection`` header could remove the stamp later.
    ``claims`` says whether the client has sent a line of the set at all.
    """
    if mode is Mode.PASSTHROUGH or attribution is None:
        return headers, "passed"
    if mode is Mode.FILL and any(value.strip() for value in values(headers, b"http-referer")):
        return headers, "kept"
    others = without(headers, ATTRIBUTION_HEADERS) if claims else headers
    return [*others, *attribution.headers], "stamped"


def claimed(headers: HeaderList) -> HeaderList:
    """The lines of the set that a client has sent; names are as in ASGI, in lower case."""
    return [line for line in headers if line[0] in _CLAIMS]


def stamp_identity(scope: Scope) -> None:
    """A rule: put the attribution, and then the fixed extra headers, onto the request."""
    profile = profile_of(scope)
    claims = not _CLAIMS.isdisjoint(fields_of(scope).names)
    headers, outcome = stamp(scope["headers"], profile.attribution, profile.mode, claims=claims)
    record = record_of(scope)
    record.attribution = outcome
    if claims:
        record.claimed = tuple(claimed(scope["headers"]))
    if profile.extra_headers:
        headers = [*without(headers, profile.extra_names), *profile.extra_headers]
    scope["headers"] = headers
