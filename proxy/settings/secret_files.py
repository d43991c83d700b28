"""Secrets that stand in files, as orchestrators mount them."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from proxy.faults import Faulty

_LARGEST = 4096  # bytes


@dataclass(frozen=True, repr=False)  # somebody may have put the secret itself where its path belongs
class SecretFile:
    """A file that holds a setting's text. It is read once, when the setting is checked."""

    path: Path

    @cached_property
    def text(self) -> str:
        """What the file holds; raises `Faulty`, which shows nothing of the content, nor the path."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            text = content.decode("ascii")
        except PermissionError:
            user = f" (its uid is {os.geteuid()})" if hasattr(os, "geteuid") else ""
            raise Faulty(
                f"is a file that this process may not read{user}: give it to that user (chown), or let others read it "
                "(chmod 644, in a folder that is closed to them)"
            ) from None
        except OSError as error:
            raise Faulty(f"cannot be read as a file ({error.strerror}): mount it, or let this user read it") from None
        except ValueError:  # of the content; or a NUL in the path
            raise Faulty(
                "is a file that holds something else than printable ASCII: write the secret there, and nothing else"
            ) from None
        if not text.strip():
            raise Faulty("is a file without anything in it: write the secret there")
        if len(text) > _LARGEST:
            raise Faulty(f"is a file of over {_LARGEST} bytes, which is not one secret: write the secret there alone")
        return text
