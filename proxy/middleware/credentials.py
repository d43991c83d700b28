"""Decides whose key travels, where the proxy holds one.

A client that brings its own OpenRouter key keeps it; everyone else gets the configured one. ``Authorization`` and
``x-api-key`` are one thing: exactly one line of both leaves. Access tokens and placeholders stay here.
"""

import re
from hmac import compare_digest

from starlette.types import Scope

from proxy.errors import ForeignKey, Unauthenticated, UnclearCredentials
from proxy.headers import (
    CREDENTIALS,
    MOVES_THE_REQUEST,
    HeaderList,
    fields_of,
    folded,
    presented,
    spelled,
    user_and_password,
    without,
)
from proxy.middleware.profile import profile_of
from proxy.openrouter.api import FOREIGN_KEY_MARKS, KEY_MARK
from proxy.percent_encoding import readings

_MOVES_THE_REQUEST = spelled(MOVES_THE_REQUEST)
_FOREIGN_KEY = re.compile(rb"[ \t]*(?:(?i:bearer)[ \t]+)?(?:%b)" % "|".join(FOREIGN_KEY_MARKS).encode())
_OWN_KEY_MARK = KEY_MARK.encode()
_OWN_KEY = re.compile(rb"%b[A-Za-z0-9._~+/=-]+" % _OWN_KEY_MARK)  # RFC 6750, 2.1: no comma, no blank


def with_credentials(headers: HeaderList, key: bytes | None, token: bytes | None) -> HeaderList:
    """``headers`` with the one credential that may leave; without a ``key``, all that the client brought but the token.

    ``headers`` must be clean of hop-by-hop lines already. Raises `Unauthenticated` where ``token`` is asked for and
    not there, and `UnclearCredentials` rather than guess which key is meant.
    """
    lines = [(folded(name), value) for name, value in headers if name in CREDENTIALS]
    if token is not None:
        # All are compared, and in constant time: how long it takes tells nothing.
        if not any([compare_digest(presented(value), token) for _, value in lines]):  # noqa: C419 - see above
            raise Unauthenticated
        headers = [line for line in headers if presented(line[1]) != token]
        lines = [line for line in lines if presented(line[1]) != token]
    if key is None:
        return headers
    own = [line for line in lines if _OWN_KEY_MARK in line[1]]
    if len({presented(value) for _, value in own}) > 1:
        raise UnclearCredentials
    if own and not _OWN_KEY.fullmatch(presented(own[0][1])):
        raise UnclearCredentials
    others = [line for line in headers if line[0] not in CREDENTIALS]
    return [*others, *(own[:1] or [(b"Authorization", b"Bearer " + key)])]


def travels(token: bytes, headers: HeaderList, raw_path: bytes, query: bytes) -> bool:
    """Whether the token stands anywhere in the target, however often it is encoded there, or in a header's value."""
    targets = readings(b"%b?%b" % (raw_path, query))
    if targets is None or any(token in target for target in targets):
        return True
    others = [value for _, value in headers if presented(value) != token]  # which stays here
    return any(token in value or token in user_and_password(value) for value in others)


def put_credentials(scope: Scope) -> None:
    """A rule: where the proxy pays, ask for its token, if there is one, and put the one right key on."""
    profile = profile_of(scope)
    if not profile.pays:
        return
    headers = with_credentials(scope["headers"], profile.key, profile.token)
    if profile.token is not None and travels(profile.token, scope["headers"], scope["raw_path"], scope["query_string"]):
        raise UnclearCredentials
    if not _MOVES_THE_REQUEST.isdisjoint(fields_of(scope).names):
        headers = without(headers, MOVES_THE_REQUEST)
    scope["headers"] = headers


def refuse_foreign_keys(scope: Scope) -> None:
    """A rule: where callers' own keys pass on to OpenRouter itself, one that is another company's is 401."""
    if profile_of(scope).key is None:
        for name, value in scope["headers"]:
            if name in CREDENTIALS and _FOREIGN_KEY.match(value):
                raise ForeignKey
