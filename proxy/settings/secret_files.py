"""Secrets that stand in files, as orchestrators mount them."""

from pathlib import Path

from proxy.faults import Faulty

_LARGEST = 4096  # bytes


def read_secret(path: Path) -> str | Faulty:
    """The text of a file, or what is wrong with it.

    A fault shows nothing of the content, nor the path: somebody may have put the secret itself there.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("ascii")
    except OSError as error:
        return Faulty(f"cannot be read as a file ({error.strerror}): mount it, or let this user read it")
    except ValueError:  # of the content; or a NUL in the path
        return Faulty(
            "is a file that holds something else than printable ASCII: write the secret there, and nothing else"
        )
    if not text.strip():
        return Faulty("is a file without anything in it: write the secret there")
    if len(text) > _LARGEST:
        return Faulty(f"is a file of over {_LARGEST} bytes, which is not one secret: write the secret there alone")
    return text
