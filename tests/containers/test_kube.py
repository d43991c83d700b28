"""deploy/kubernetes under `podman kube play`: how far it carries.

It plays ConfigMaps and Deployments, and passes over what only a cluster has (autoscaling, policies, services). An init
container that goes on, with a startupProbe, it does not know in 4.3: the sidecar is played as an ordinary container.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from tests.containers import engine
from tests.containers.engine import Container
from tests.support.secrets import KEY
from tests.support.waiting import eventually
from tests.test_kubernetes import made, needs_kubectl

PORT = 46767
IMITATION = {
    "name": "openrouter",
    "image": engine.IMAGE,
    "args": ["imitation", "--listen", "127.0.0.1:6768"],
    "securityContext": {"readOnlyRootFilesystem": True},
}
UPSTREAM = {"name": "OPENROUTER_UPSTREAM_URL", "value": "http://127.0.0.1:6768"}

pytestmark = [needs_kubectl, pytest.mark.usefixtures("image")]


@contextmanager
def played(objects: list[dict[str, Any]], file: Path, pod: str) -> Iterator[tuple[Container, Container]]:
    """The proxy, and the imitation that stands in for OpenRouter on the pod's loopback."""
    file.write_text(yaml.safe_dump_all(objects))
    try:
        engine.podman("kube", "play", str(file), within=120)
        yield Container(f"{pod}-openrouter-proxy"), Container(f"{pod}-openrouter")
    finally:
        engine.podman("kube", "down", str(file), check=False, within=120)


@contextmanager
def secrets(*teams: str) -> Iterator[None]:
    """A secret for each team, as its comment tells to make them; Podman 4.3 reads them as JSON alone."""
    for team in teams:
        prefix = f"OPENROUTER_PROFILES__{team.upper()}__"
        data = {f"{prefix}API_KEY": f"sk-or-v1-CANARY-{team}", f"{prefix}ACCESS_TOKEN": f"CANARY-token-of-{team}-0123"}
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump({name: base64.b64encode(value.encode()).decode() for name, value in data.items()}, file)
            file.flush()
            engine.podman("secret", "rm", f"openrouter-{team}", check=False)
            engine.podman("secret", "create", f"openrouter-{team}", file.name)
    try:
        yield
    finally:
        for team in teams:
            engine.podman("secret", "rm", f"openrouter-{team}")


@pytest.mark.parametrize("setup", ["gateway", "two-teams", "sidecar"])
async def test_it_plays(setup: str, tmp_path: Path) -> None:
    """The pod comes up as the cluster would have it, and a request through it arrives stamped."""
    objects = [each for each in made(setup) if each["kind"] in ("ConfigMap", "Deployment")]
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    name = deployment["metadata"]["name"]
    (proxy,) = (
        each for each in [*pod.pop("initContainers", []), *pod["containers"]] if each["name"] == "openrouter-proxy"
    )
    for lacking in ("restartPolicy", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        proxy.pop(lacking, None)  # Podman has no timers for them without systemd
    proxy["image"] = engine.IMAGE
    proxy.setdefault("env", []).append(UPSTREAM)
    proxy["ports"] = [{"containerPort": 6767, "hostPort": PORT, "hostIP": "127.0.0.1"}]
    if setup == "sidecar":
        proxy["env"] = [each for each in proxy["env"] if each["name"] != "OPENROUTER_LISTEN"]  # to be asked from here
    pod["containers"] = [proxy, IMITATION]
    deployment["spec"].setdefault("replicas", 1)
    stack = ExitStack()
    paths = {"": "Your App | https://github.com/you/your-app"}
    if setup == "two-teams":
        paths |= {"/search": "Search | https://search.example.com", "/support": "Support | https://support.example.com"}
        stack.enter_context(secrets("search", "support"))
    with stack, played(objects, tmp_path / "play.yaml", f"{name}-pod-0") as (ours, openrouter):
        asks = ("openrouter-proxy", "health")
        await eventually(lambda: bool(ours.run(*asks, check=False)), lambda: f"health, in {ours.log!r}", within=30)
        await openrouter.until_it_says("An imitation of OpenRouter listens on")
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            for path, credited in paths.items():
                url = f"http://127.0.0.1:{PORT}{path}/api/v1/chat/completions"
                token = f"CANARY-token-of{path.replace('/', '-')}-0123" if path else KEY
                asked = {"model": "imitation/hello", "messages": [{"role": "user", "content": "Hi"}]}
                answer = await client.post(url, json=asked, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200, answer.text
                paid_by = f"sk-or-v1-CANARY{path.replace('/', '-')}" if path else KEY
                digest = hashlib.sha256(paid_by.encode()).hexdigest()[:8]
                await openrouter.until_it_says(f"credited to {credited}  key {digest}")
        assert "CANARY" not in ours.log
