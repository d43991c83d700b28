"""The LiteLLM proxy, from PyPI."""

import json

from benchmarks.fetch import from_pypi, version_in
from benchmarks.peers.base import Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP


class LiteLLM(Peer):
    """One worker, without a database; it parses and rewrites what it forwards, so bulk is not for it."""

    name = "LiteLLM"
    in_every = 2
    path = "/v1/chat/completions"
    health = "/health/liveliness"

    def fetch(self) -> str:
        self._bin = from_pypi("litellm", "litellm[proxy]")
        return version_in(self._bin, "litellm")

    def command(self, place: Place) -> Command:
        parameters = {
            "model": "openai/*",
            "api_base": f"{place.upstream_url}/api/v1",
            "api_key": "sk-or-v1-0",
            "extra_headers": dict(STAMP),
        }
        configuration = place.folder / "config.yaml"  # JSON is YAML
        configuration.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": "*", "litellm_params": parameters}],
                    "litellm_settings": {"telemetry": False, "num_retries": 0},
                }
            )
        )
        flags = ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
        environment = {
            **place.trust,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks GitHub at the start
            "LITELLM_LOG": "ERROR",
            # Without a database there are no keys to check: whoever calls is served, as with all others here.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        return Command([str(self._bin / "litellm"), "--config", str(configuration), *flags], environment)
