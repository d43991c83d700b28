"""Which origins are pages of this machine, where no key is configured (promise 24)."""

import pytest

from proxy.middleware.cross_origin import is_local


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        (b"http://localhost:3000", True),
        (b"https://app.localhost", True),
        (b"http://127.0.0.1:8080", True),
        (b"http://[::1]:8080", True),
        (b"chrome-extension://abcdef", True),
        (b"file://", True),
        # Whoever answers the network's names owns these, where the hosts file does not have them.
        (b"http://localhost.localdomain", False),
        (b"http://ip6-localhost", False),
        (b"http://wpad", False),
        (b"http://192.168.1.2", False),
        (b"https://evil.example", False),
        (b"null", False),
    ],
)
def test_an_origin(origin: bytes, local: bool) -> None:  # noqa: FBT001
    """Promise 24: localhost and loopback addresses, and what is no page of the web."""
    assert is_local(origin) is local
