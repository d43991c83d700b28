"""Lets only end-to-end headers cross, in either direction (RFC 9110, 7.6.1)."""

from starlette.types import Scope

from proxy.headers import HeaderList, end_to_end_request, end_to_end_response, fields_of


def clean_request(scope: Scope) -> None:
    """A rule: a request is clean before anything is stamped onto it."""
    scope["headers"] = end_to_end_request(scope["headers"], fields_of(scope))


def clean_answer(headers: HeaderList, scope: Scope) -> HeaderList:
    """A rule for answers: what the upstream says to this hop, or to its own domain, ends here."""
    return end_to_end_response(headers)
