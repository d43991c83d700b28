"""deploy/kubernetes, as far as it shows without a cluster: kustomize makes it, schemas fit, it asks for little."""

import re
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has none
import pytest
import yaml

from tests.support.proxies import ROOT

pytestmark = pytest.mark.integration

FOLDER = ROOT / "deploy/kubernetes"
SETUPS = ["sidecar", "gateway", "two-teams"]
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
Object = dict[str, Any]


@cache
def _kubectl() -> str | None:
    """One whose kustomize knows `labels` and components (5.0; Debian's kubernetes-client has 2)."""
    program = shutil.which("kubectl")
    if program is None:
        return None
    ran = subprocess.run([program, "version", "--client"], capture_output=True, text=True, check=False)
    version = re.search(r"Kustomize Version: v(\d+)", ran.stdout)
    return program if version and int(version[1]) >= 5 else None


needs_kubectl = pytest.mark.skipif(_kubectl() is None, reason="no kubectl with kustomize 5 or later here")


@cache
def made(setup: str) -> list[Object]:
    """Its objects."""
    command = [_kubectl() or "", "kustomize", str(FOLDER / setup)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(ran.stdout))


def of(kind: str, setup: str) -> list[Object]:
    return [each for each in made(setup) if each["kind"] == kind]


def proxies(setup: str) -> list[tuple[Object, Object]]:
    """Each pod with a proxy, and its container."""
    found = []
    for deployment in of("Deployment", setup):
        pod = deployment["spec"]["template"]["spec"]
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        found += [(pod, each) for each in containers if each["name"] == "openrouter-proxy"]
    return found


@needs_kubectl
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("setup", SETUPS)
def test_the_schemas_fit(setup: str, version: str) -> None:
    """Of every release since native sidecars; an unknown field is a fault."""
    for each in made(setup):
        kubernetes_validate.validate(each, version, strict=True)


@needs_kubectl
@pytest.mark.parametrize("setup", SETUPS)
def test_it_asks_for_as_little_as_it_needs(setup: str) -> None:
    """No root, no writable root, no capability, no token of the cluster's API, no variables of other services."""
    ((pod, proxy),) = proxies(setup)
    assert proxy["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert proxy["resources"]["limits"]["memory"]
    assert not [key for key in ("hostNetwork", "hostPID", "hostIPC", "volumes") if key in pod]
    assert re.fullmatch(r"registry\.example\.com/openrouter-attribution-proxy:\d+\.\d+\.\d+", proxy["image"])


@needs_kubectl
@pytest.mark.parametrize("setup", SETUPS)
def test_open_streams_may_end(setup: str) -> None:
    """The pod is given what its preStop and the proxy's grace take together; the probes are the proxy's own."""
    ((pod, proxy),) = proxies(setup)
    pause = proxy.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
    assert pod["terminationGracePeriodSeconds"] >= int(pause[1]) + 30 + 5
    probes = [proxy[name] for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in proxy]
    assert len(probes) >= 2
    for probe in probes:
        by = probe.get("exec", {}).get("command") or probe["httpGet"]["path"]
        assert by in (["python", "-I", "-m", "proxy", "health"], "/readyz", "/healthz")


@needs_kubectl
@pytest.mark.parametrize("setup", ["gateway", "two-teams"])
def test_every_selector_finds_the_pods(setup: str) -> None:
    (deployment,) = of("Deployment", setup)
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        of("Service", setup)[0]["spec"]["selector"],
        of("NetworkPolicy", setup)[0]["spec"]["podSelector"]["matchLabels"],
        of("PodDisruptionBudget", setup)[0]["spec"]["selector"]["matchLabels"],
        deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels for selector in selectors)
    assert of("HorizontalPodAutoscaler", setup)[0]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    names = {each["metadata"]["name"] for each in of("ConfigMap", setup)}
    ((_, proxy),) = proxies(setup)
    assert {each["configMapRef"]["name"] for each in proxy["envFrom"] if "configMapRef" in each} == names


@needs_kubectl
def test_the_two_teams_are_two_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the secrets that the comment tells to make, the settings are in order, and each team has its own."""
    from proxy.settings.sources import load_settings  # noqa: PLC0415

    ((_, proxy),) = proxies("two-teams")
    secrets = {each["secretRef"]["name"] for each in proxy["envFrom"] if "secretRef" in each}
    assert secrets == {"openrouter-search", "openrouter-support"}
    for each in of("ConfigMap", "two-teams"):
        for name, value in each["data"].items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENROUTER_LISTEN", "[::]:6767")
    for team in ("SEARCH", "SUPPORT"):
        monkeypatch.setenv(f"OPENROUTER_PROFILES__{team}__API_KEY", f"sk-or-v1-CANARY-{team}-0123456789abcdef")
        monkeypatch.setenv(f"OPENROUTER_PROFILES__{team}__ACCESS_TOKEN", f"CANARY-token-of-{team}-0123456789abcdef")
    profiles = load_settings({}).settings.profiles
    assert {name: each.app_title for name, each in profiles.items()} == {"search": "Search", "support": "Support"}


@needs_kubectl
def test_prometheus_operator_is_an_option() -> None:
    component = yaml.safe_load((FOLDER / "service-monitor/kustomization.yaml").read_text())
    monitor = yaml.safe_load((FOLDER / "service-monitor/service-monitor.yaml").read_text())
    assert component["resources"] == ["service-monitor.yaml"]
    service = of("Service", "gateway")[0]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
