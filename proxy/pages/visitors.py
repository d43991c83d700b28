"""Who may look at the pages that tell what goes on here: whoever runs the proxy, and no web page of another origin."""

import binascii
from collections.abc import Mapping, Sequence
from hmac import compare_digest

from pydantic import SecretStr

from proxy.errors import ForeignPage, Locked
from proxy.headers import HeaderList, values

_OWN_SITE = frozenset({b"same-origin", b"none"})  # Fetch Metadata, 2.4; `same-site` is another port, or another name


def check_visitor(headers: HeaderList, token: SecretStr | None) -> None:
    """Raise `ForeignPage` or, where there is a ``token`` and it is not presented, `Locked`.

    A browser says from where a request comes, other programs say nothing. That ``Host`` is a name of ours has been
    seen to before: so an ``Origin`` that has this host is our own page's.
    """
    if any(site.lower() not in _OWN_SITE for site in values(headers, b"sec-fetch-site")):
        raise ForeignPage
    if any(origin not in own_origins(headers) for origin in values(headers, b"origin")):
        raise ForeignPage
    if token is not None and not _is_among(token, presented(headers)):
        raise Locked


def known_to(headers: HeaderList, tokens: Mapping[str, SecretStr]) -> set[str]:
    """Whose token is presented, of those ``tokens``; raises `Locked` if nobody's is and something else is."""
    given = presented(headers)
    found = {name for name, token in tokens.items() if _is_among(token, given)}
    if given and not found:
        raise Locked
    return found


def presented(headers: HeaderList) -> list[bytes]:
    """What a visitor presents as token."""
    return [_presented(value) for value in values(headers, b"authorization")]


def _is_among(token: SecretStr, given: Sequence[bytes]) -> bool:
    expected = token.get_secret_value().encode("utf-8")
    return any([compare_digest(each, expected) for each in given])  # noqa: C419 - all, in constant time


def own_origins(headers: HeaderList) -> set[bytes]:
    """What browsers call the origin of our own pages, by the ``Host`` of this request; behind TLS it is https."""
    return {scheme + host for host in values(headers, b"host") for scheme in (b"http://", b"https://")}


def _presented(value: bytes) -> bytes:
    """The password of Basic credentials (RFC 7617), whatever the user; the token of Bearer ones; else nothing."""
    scheme, _, rest = value.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return binascii.a2b_base64(rest.strip(), strict_mode=True).partition(b":")[2]
    except binascii.Error:
        return b""
