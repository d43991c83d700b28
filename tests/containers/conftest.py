"""Containers for the tests of this folder: they run with --containers, where an engine and root are to be had."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.containers import engine
from tests.containers.engine import Container
from tests.support.tls import bundle

HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--user", "54321:54321"),
)
"""As little as a container can have: no place to write but /dev/shm, no capability, nobody's user."""


FIGURES: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Those of this folder run with --containers only, and where they can."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if not config.getoption("containers"):
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]
        return
    reason = engine.missing()
    for item in ours:
        item.add_marker(pytest.mark.containers)
        item.add_marker(pytest.mark.timeout(400))  # the first one makes the images
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from the Dockerfile as it is."""
    return engine.build()


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Notes a figure that a person wants to see, also of a test that passes: it stands at the end of the run."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.write_sep("=", "what was measured")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture
def net() -> Iterator[str]:
    with engine.network() as made:
        yield made


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path) -> Path:
    """A company's own CA, as a file that any user of a container can read."""
    file = bundle(authority, tmp_path)
    file.chmod(0o644)
    return file


@pytest.fixture
def openrouter(image: str, net: str, authority: trustme.CA, tmp_path: Path) -> Iterator[Container]:
    """The imitation of OpenRouter behind TLS, which the containers of `net` reach as openrouter.ai."""
    chain = tmp_path / "openrouter.pem"
    authority.issue_cert("openrouter.ai").private_key_and_cert_chain_pem.write_to_path(chain)
    options = ("--user", "0", "--network", net, "--network-alias", "openrouter.ai", "--no-healthcheck")
    serve = ("imitation", "--listen", "[::]:443", "--pace", "0.1", "--tls-certificate", "/openrouter.pem")
    with engine.container(*serve, options=(*options, "--volume", f"{chain}:/openrouter.pem:ro")) as started:
        yield started
