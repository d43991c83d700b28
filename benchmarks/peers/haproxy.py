"""HAProxy, from Debian."""

from benchmarks.fetch import from_debian, output_of
from benchmarks.peers.base import WITH_LOG, Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP

_CONFIGURATION = """\
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    {log}
    # Else each event but the first of a stream waits for the acknowledgement of the one before, which the kernel delays
    # by 40 ms (Nagle's algorithm); the manual names the option for traffic of this kind.
    option http-no-delay
    timeout connect 10s
    timeout client 600s
    timeout server 600s
frontend tools
    bind 127.0.0.1:{port} backlog 4096
    http-request set-header Host localhost
    {stamp}
    default_backend openrouter
backend openrouter
    http-reuse always
    server openrouter 127.0.0.1:{upstream_port} {tls}
"""
_TLS = "ssl verify required verifyhost localhost sni str(localhost) ca-file {authority}"
_PACKAGES = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]


class HAProxy(Peer):
    """One process with one thread."""

    name = "HAProxy"

    def fetch(self) -> str:
        self._program, self._environment = from_debian("haproxy", *_PACKAGES)
        return output_of([str(self._program), "-v"], self._environment).split()[2]

    def command(self, place: Place) -> Command:
        configuration = place.folder / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                port=place.port,
                log="log stdout format raw local0\n    option httplog" if self.logs else "",
                upstream_port=place.upstream_port,
                tls=_TLS.format(authority=place.authority) if place.authority else "",
                stamp="\n    ".join(f'http-request set-header {name} "{value}"' for name, value in STAMP),
            )
        )
        return Command([str(self._program), "-db", "-f", str(configuration)], self._environment)


class HAProxyWithLog(HAProxy):
    """With a line in HAProxy's HTTP format for each request."""

    name = HAProxy.name + WITH_LOG
    measured_by = frozenset({"cpu"})
    logs = True
