"""The Compose files of deploy/ and docs/, brought up by podman-compose, with an imitation in OpenRouter's place.

Podman 4.3 knows no `depends_on` that waits for health, and keeps no two bridges apart: those two are Docker's to show.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml

from tests.containers import engine
from tests.containers.engine import Container
from tests.support.proxies import ROOT
from tests.support.secrets import KEY, TOKEN

LATEST = "localhost/openrouter-attribution-proxy:latest"
LISTENS = "An imitation of OpenRouter listens on"  # it is started beside the proxy, and may be later
APP = """
services:
  app:
    image: openrouter-attribution-proxy
    entrypoint: ["python", "-c"]
    command:
      - |
        import os, time, httpx2
        url = os.environ["OPENAI_API_BASE_URL"] + "/chat/completions"
        headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        asked = {"model": "imitation/credit", "messages": [{"role": "user", "content": "Hi"}]}
        while True:
            try:
                answer = httpx2.post(url, headers=headers, json=asked, timeout=20)
                print(answer.text, flush=True)
                if answer.status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
        time.sleep(600)
    ports: !override []
    volumes: !override []
"""


class Project:
    """A Compose project that is up."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, service: str) -> Container:
        return Container(f"{self.name}_{service}_1")


@contextmanager
def up(*files: Path, **environment: str) -> Iterator[Project]:
    project = Project(engine.name())
    flags = [argument for file in files for argument in ("--file", str(file))]
    compose = [str(Path(sys.executable).with_name("podman-compose")), "--project-name", project.name, *flags]
    os.environ.update(environment)  # the test's own, which the fixture empties
    try:
        engine.command(*compose, "up", "--detach", "--no-build", within=120)
        yield project
    finally:
        engine.command(*compose, "down", "--volumes", "--timeout", "0", check=False, within=120)
        for name in environment:
            del os.environ[name]


@pytest.fixture(autouse=True)
def named(image: str) -> None:
    """The image under the name that the files give it."""
    engine.podman("tag", image, LATEST)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def team(folder: Path) -> None:
    """Two teams with a key and a token each, in files that the image's user can read."""
    for name in ("search", "support"):
        for what, value in (("api_key", f"sk-or-v1-CANARY-{name}"), ("access_token", f"CANARY-token-of-{name}-0123")):
            file = folder / f"{name}_{what}"
            file.write_text(value + "\n")
            file.chmod(0o644)


async def test_an_app_beside_its_proxy(tmp_path: Path) -> None:
    """deploy/compose.yaml with a small app, and deploy/try.yaml as it is: the app's request arrives stamped."""
    (tmp_path / "app.yaml").write_text(APP)
    files = (ROOT / "deploy/compose.yaml", ROOT / "deploy/try.yaml", tmp_path / "app.yaml")
    with up(*files, OPENROUTER_API_KEY=KEY) as project:
        await project["openrouter-proxy"].until_ready()
        credited = f"credited to Your App | https://github.com/you/your-app  key {digest(KEY)}"
        await project["openrouter"].until_it_says(credited)
        await project["app"].until_it_says("Credited to Your App, https://github.com/you/your-app")
        with (
            engine.network() as other,
            engine.container(
                "imitation", "--listen", "127.0.0.1:0", options=("--network", other, "--no-healthcheck")
            ) as stranger,
        ):
            told = stranger.run("openrouter-proxy", "health", "--listen", "openrouter-proxy:6767", check=False)
            assert told == ""  # its name is not known there
            assert project["app"].run("openrouter-proxy", "health", "--listen", "openrouter-proxy:6767")


def test_apps_wait_until_the_proxy_is_healthy() -> None:
    """What this engine ignores, other engines are told."""
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    assert services["app"]["depends_on"] == {"openrouter-proxy": {"condition": "service_healthy"}}


async def test_one_container_for_each_team(tmp_path: Path) -> None:
    """The Compose file of docs/team.md as it stands there: two teams arrive as two, each by its own token only."""
    (compose,) = re.findall(r"```yaml\n(# teams\.yaml\n.*?)```", (ROOT / "docs/team.md").read_text(), re.DOTALL)
    (tmp_path / "teams.yaml").write_text(compose)
    (tmp_path / "try.yaml").write_text(yaml.safe_dump(_tried("proxy-search", "proxy-support")))
    team(tmp_path)
    with up(tmp_path / "teams.yaml", tmp_path / "try.yaml") as project:
        for name, title in (("search", "Search"), ("support", "Support")):
            proxy = project[f"proxy-{name}"]
            await proxy.until_ready()
            await project[f"openrouter-{name}"].until_it_says(LISTENS)
            url = f"http://127.0.0.1:{proxy.published(6767)}/api/v1/chat/completions"
            asked = {"model": "imitation/hello", "messages": [{"role": "user", "content": "Hi"}]}
            async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
                token = f"Bearer CANARY-token-of-{name}-0123"
                assert (await client.post(url, json=asked, headers={"Authorization": token})).status_code == 200
                other = {"search": "support", "support": "search"}[name]
                token = f"Bearer CANARY-token-of-{other}-0123"
                assert (await client.post(url, json=asked, headers={"Authorization": token})).status_code == 401
            credited = f"credited to {title} | https://{name}.example.com  key {digest(f'sk-or-v1-CANARY-{name}')}"
            await project[f"openrouter-{name}"].until_it_says(credited)
            assert "CANARY" not in proxy.log


def _tried(*proxies: str) -> dict[str, object]:
    """What puts an imitation in OpenRouter's place for each of these services, and publishes them on loopback."""
    services: dict[str, object] = {}
    for proxy in proxies:
        services[proxy] = {
            "environment": {"OPENROUTER_UPSTREAM_URL": "http://127.0.0.1:6768"},
            "ports": ["127.0.0.1::6767"],
        }
        services[proxy.removeprefix("openrouter-").replace("proxy", "openrouter")] = {
            "image": "openrouter-attribution-proxy",
            "command": "imitation --listen 127.0.0.1:6768",
            "network_mode": f"service:{proxy}",
            "healthcheck": {"disable": True},
            "depends_on": [proxy],
        }
    return {"services": services}


async def test_two_commands_bring_up_the_gateway_of_two_teams(tmp_path: Path) -> None:
    """From nothing: secrets, then Compose. Two teams arrive as two, and neither's token opens the other's address."""
    folder = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy/team", folder / "team", ignore=shutil.ignore_patterns("secrets.d"))
    shutil.copy(ROOT / "deploy/try.yaml", folder)
    made = engine.command(str(folder / "team/secrets"), "--try").stdout
    assert "search: base URL http://localhost:6767/search/api/v1" in made
    compose = folder / "team/compose.yaml"
    compose.write_text(compose.read_text().replace("127.0.0.1:6767:6767", "127.0.0.1::6767"))  # any free port
    with up(compose, folder / "try.yaml") as project:
        proxy = project["openrouter-proxy"]
        await proxy.until_ready()
        await project["openrouter"].until_it_says(LISTENS)
        tokens = {name: (folder / f"team/secrets.d/{name}_access_token").read_text() for name in ("search", "support")}
        asked = {"model": "imitation/hello", "messages": [{"role": "user", "content": "Hi"}]}
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            for name, title in (("search", "Search"), ("support", "Support")):
                url = f"http://127.0.0.1:{proxy.published(6767)}/{name}/api/v1/chat/completions"
                codes = {}
                for whose, token in tokens.items():
                    answer = await client.post(url, json=asked, headers={"Authorization": f"Bearer {token}"})
                    codes[whose] = answer.status_code
                assert codes.pop(name) == 200
                assert set(codes.values()) == {403}
                key = digest(f"sk-or-try-{name}")
                await project["openrouter"].until_it_says(
                    f"credited to {title} | https://{name}.example.com  key {key}"
                )
            assert not [token for token in tokens.values() if token in proxy.log]


@pytest.mark.parametrize(("given", "code"), [("", 1), ("sk-ant-something\n", 1), ("sk-or-one\nsk-or-two\n", 0)])
def test_keys_are_asked_for(given: str, code: int, tmp_path: Path) -> None:
    """And kept once they are there; the folder is closed to others, the files are not."""
    shutil.copy(ROOT / "deploy/team/secrets", tmp_path)
    command = [str(tmp_path / "secrets")]
    ran = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == code
    assert "sk-" not in ran.stdout
    assert (tmp_path / "secrets.d").stat().st_mode & 0o777 == 0o700
    if code == 0:
        before = {file.name: file.read_text() for file in (tmp_path / "secrets.d").iterdir()}
        assert before["support_api_key"] == "sk-or-two\n"
        assert len(before["search_access_token"]) == 64
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets.d").iterdir()} == {0o644}
        again = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert (again.returncode, again.stderr) == (0, "")
        assert {file.name: file.read_text() for file in (tmp_path / "secrets.d").iterdir()} == before


@pytest.fixture(scope="module")
def caddy(image: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caddy's image under its own name, made of this machine's program and the base of the tests."""
    program = shutil.which("caddy") or pytest.skip("no caddy here")
    context = tmp_path_factory.mktemp("caddy")
    shutil.copy(program, context / "caddy")
    (context / "Dockerfile").write_text(f"FROM {engine.BASE}\nCOPY caddy /usr/bin/caddy\n")
    engine.command("buildah", "build", "--isolation", "chroot", "--tag", "localhost/caddy:2", str(context))


async def test_a_server_with_a_token_behind_caddy(caddy: None, tmp_path: Path) -> None:
    """The Compose file and the Caddyfile of docs/team.md; only the port and who signs the certificate are others."""
    text = (ROOT / "docs/team.md").read_text()
    (compose,) = re.findall(r"```yaml\n(# compose\.yaml\n.*?)```", text, re.DOTALL)
    (caddyfile,) = re.findall(r"```caddyfile\n(# Caddyfile\n.*?)```", text, re.DOTALL)
    (tmp_path / "compose.yaml").write_text(compose.replace('"443:443"', '"127.0.0.1::443"'))
    (tmp_path / "Caddyfile").write_text("{\n\tlocal_certs\n\tskip_install_trust\n}\n" + caddyfile)
    for name, value in (("api_key", KEY), ("access_token", TOKEN)):
        (tmp_path / name).write_text(value + "\n")
        (tmp_path / name).chmod(0o644)
    tried = _tried("openrouter-proxy")
    (tmp_path / "try.yaml").write_text(yaml.safe_dump(tried))
    with up(tmp_path / "compose.yaml", tmp_path / "try.yaml") as project:
        await project["openrouter-proxy"].until_ready()
        await project["openrouter"].until_it_says(LISTENS)
        await project["caddy"].until_it_says("certificate obtained successfully")
        port = project["caddy"].published(443)
        asked = {"model": "imitation/hello", "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"Host": "llm.example.com", "Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(trust_env=False, timeout=20, verify=False) as client:
            url = f"https://127.0.0.1:{port}/api/v1/chat/completions"
            known = {"sni_hostname": "llm.example.com"}
            answer = await client.post(url, json=asked, headers=headers, extensions=known)
            assert answer.status_code == 200, answer.text
            refused = await client.post(url, json=asked, headers={"Host": "llm.example.com"}, extensions=known)
            assert refused.status_code == 401
        credited = f"credited to Your App | https://github.com/you/your-app  key {digest(KEY)}"
        await project["openrouter"].until_it_says(credited)
