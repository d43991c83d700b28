"""mitmproxy, from PyPI."""

from benchmarks.fetch import from_pypi, version_in
from benchmarks.peers.base import Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP


class Mitmproxy(Peer):
    """As a reverse proxy that keeps no bodies."""

    name = "mitmproxy"
    in_every = 2

    def fetch(self) -> str:
        self._bin = from_pypi("mitmproxy", "mitmproxy")
        return version_in(self._bin, "mitmproxy")

    def command(self, place: Place) -> Command:
        flags = ["--quiet", "--mode", f"reverse:{place.upstream_url}"]
        flags += ["--listen-host", "127.0.0.1", "--listen-port", str(place.port)]
        for option in (
            f"confdir={place.folder}",
            *([f"ssl_verify_upstream_trusted_ca={place.authority}"] if place.authority else []),
            "flow_detail=0",
            "http2=false",
            "stream_large_bodies=1",
        ):
            flags += ["--set", option]
        for name, value in STAMP:
            flags += ["--modify-headers", f"|~q|{name}|{value}"]
        return Command([str(self._bin / "mitmdump"), *flags])
