"""The image, as far as it shows without an engine to build it: CI builds it and runs the demo in it."""

import asyncio
import json
import os
import re
import sys

import pytest

from tests.support.fixtures import StartProxy
from tests.support.proxies import ROOT

DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


async def healthy(listen: str) -> bool:
    """Whether the image's health check is content with the proxy that listens there."""
    (check,) = instructions("HEALTHCHECK")
    python, *arguments = json.loads(check.partition("CMD ")[2])
    assert python == "python"
    environment = {**os.environ, "OPENROUTER_LISTEN": listen, "HTTP_PROXY": "http://127.0.0.1:1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    await process.communicate()
    return process.returncode == 0


@pytest.mark.parametrize(("listen", "asked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("[::]", "[::]")])
async def test_the_health_check_finds_the_proxy_where_it_listens(
    proxy_for: StartProxy, listen: str, asked: str
) -> None:
    """Also on every address, also on IPv6, and past an outbound proxy in the environment."""
    proxy = await proxy_for("https://openrouter.test", listen=f"{listen}:0")
    assert await healthy(f"{asked}:{proxy.port}")


async def test_the_health_check_fails_when_nobody_answers(proxy_for: StartProxy) -> None:
    """The engine hears it by the exit code."""
    proxy = await proxy_for("https://openrouter.test")
    assert not await healthy(f"127.0.0.2:{proxy.port}")


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
