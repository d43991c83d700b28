"""What is doubtful about a setting only where this process happens to run."""

import os
from collections.abc import Mapping
from pathlib import Path

from proxy.settings.addresses import Listen

_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # Docker's, and Podman's


def is_a_container(environment: Mapping[str, str]) -> bool:
    """Whether this process is what an engine such as Docker or Podman runs in a container.

    Not one that somebody starts from a shell in there, beside the programs that call it. Nor one of Kubernetes: the
    containers of a pod share their loopback, and listening there is what a sidecar does.
    """
    if os.getppid() > 1 or environment.get("KUBERNETES_SERVICE_HOST"):  # 1: below an init; 0: first, or `docker exec`
        return False
    # systemd's convention (https://systemd.io/CONTAINER_INTERFACE), which Podman keeps and Docker does not.
    return bool(environment.get("container")) or any(mark.exists() for mark in _MARKS)


def doubts(listen: Listen, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """By field, predicates as in `Faulty`."""
    if not listen.is_loopback or not is_a_container(environment):
        return {}
    told = (
        f"is {listen}, which in a container is the container itself: no published port and no other container reaches "
        f"it; set [::]:{listen.port} instead, unless this one shares its network with who calls it (network_mode)"
    )
    return {"listen": [told]}
