"""The image, as far as it shows without an engine to build it: CI builds it and runs the demo in it."""

import json
import re

from tests.support.proxies import ROOT

DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_the_health_check_is_the_proxys_own() -> None:
    """Without a shell, and without anything that the environment or the working directory would add (-I)."""
    (check,) = instructions("HEALTHCHECK")
    assert json.loads(check.partition("CMD ")[2]) == ["python", "-I", "-m", "proxy", "health"]
    assert "OPENROUTER_LISTEN=[::]:6767" in instructions("ENV")[-1]


def test_the_image_is_made_of_what_it_names_and_nothing_else() -> None:
    """A key in `.env` cannot get into a layer: it never enters the build."""
    copied = {source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == copied


def test_the_image_runs_as_nobody_in_particular() -> None:
    """A numeric user, for Kubernetes' runAsNonRoot; no shell between the engine's signals and the proxy."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["openrouter-proxy"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    installs = re.findall(r"pip.*? install[^&]*", DOCKERFILE)
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
