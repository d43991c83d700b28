"""A resolver that fails or hangs."""

import socket
import threading
from typing import Any

import pytest

_NAMES = ("upstream.test", "upstream.test.", "gateway.localhost")


class Names:
    """Stands in for the system's resolver: some names are this machine, unless it fails or hangs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lookups = 0
        self.error: OSError | None = None
        self.address = "127.0.0.1"
        self.answering = threading.Event()
        self.answering.set()
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in _NAMES:
            return self._resolve(host, *args, **kwargs)
        if kwargs.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.lookups += 1
        self.answering.wait(30)
        if self.error:
            raise self.error
        return self._resolve(self.address, *args, **kwargs)
