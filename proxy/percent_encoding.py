"""What some bytes may mean to servers that percent-decode them more than once."""

from urllib.parse import unquote_to_bytes

_MOST = 8  # readings; nobody has a reason for more than two layers of encoding


def readings(data: bytes) -> list[bytes] | None:
    """``data`` as it stands, and as each further decoding leaves it, until one changes nothing.

    None where there are too many: nobody knows what is below, and to look on would hold up all other requests.
    """
    found = [data]
    while (decoded := unquote_to_bytes(found[-1])) != found[-1]:
        if len(found) == _MOST:
            return None
        found.append(decoded)
    return found
