"""Two ASGI proxies that cannot stamp by themselves, under a middleware that does, and uvicorn."""

from abc import abstractmethod
from pathlib import Path

from benchmarks.fetch import from_pypi, version_in
from benchmarks.peers.base import Peer, Place
from benchmarks.processes import Command

_ROOT = Path(__file__).parents[2]
_UVICORN = "uvicorn[standard]"  # with uvloop and httptools, as ours has it


class Asgi(Peer):
    """A Python library; `asgi_apps` makes its application."""

    extras = ""
    in_every = 2
    factory: str

    def fetch(self) -> str:
        self._bin = from_pypi(self.name, self.name + self.extras, _UVICORN)
        return version_in(self._bin, self.name)

    @abstractmethod
    def settings(self, place: Place) -> dict[str, str]:
        """Environment variables that say where the upstream is."""

    def command(self, place: Place) -> Command:
        flags = ["--host", "127.0.0.1", "--port", str(place.port), "--backlog", "4096"]
        flags += ["--log-level", "warning", "--no-access-log"]
        uvicorn = [str(self._bin / "uvicorn"), "--factory", f"benchmarks.asgi_apps:{self.factory}"]
        environment = {
            "PYTHONPATH": str(_ROOT),
            **place.trust,
            "UPSTREAM": place.upstream_url,
            **self.settings(place),
        }
        return Command([*uvicorn, *flags], environment)


class FastapiProxyLib(Asgi):
    """On httpx."""

    name = "fastapi-proxy-lib"
    extras = "[standard]"
    factory = "fastapi_proxy_lib"

    def settings(self, place: Place) -> dict[str, str]:
        return {}


class OpenaiForward(Asgi):
    """On aiohttp's client."""

    name = "openai-forward"
    factory = "openai_forward"

    def settings(self, place: Place) -> dict[str, str]:
        route = f'[{{"base_url": "{place.upstream_url}", "route": "/", "type": "general"}}]'
        return {"FORWARD_CONFIG": route, "TIMEOUT": "600"}
