"""`health`: one line and an exit code about the proxy that is really there, for container engines and probes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy import runtime_file
from proxy.cli import cli
from tests.support.client import Client, get
from tests.support.fixtures import OpenUpstream, StartProcess, StartProxy
from tests.support.ports import once_nobody_listens, reserved
from tests.support.proxies import ROOT, spawned
from tests.support.upstream import stall

Answered = tuple[int, str]


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder in memory, as systemd makes it, for this test alone."""
    folder = tmp_path_factory.mktemp("runtime")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


async def health(*arguments: str, within: float = 10, **environment: str) -> Answered:
    """Its exit code and its one line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "health", *arguments),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(within):
        out, _ = await process.communicate()
    (line,) = out.decode().splitlines()
    assert process.returncode is not None
    return process.returncode, line


@asynccontextmanager
async def speaking(answer: bytes) -> AsyncIterator[str]:
    """Another program, which says this to everybody who connects, and then hangs up; nothing: it only waits."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer:
            writer.write(answer)
            writer.close()
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "[::1]", "[::]", "localhost"])
async def test_it_asks_where_the_environment_says(proxy_for: StartProxy, listen: str) -> None:
    """On one address or all, of either family, and never by way of an outbound proxy."""
    proxy = await proxy_for("https://openrouter.test", listen=f"{listen}:0")
    address = f"{listen}:{proxy.port}"
    assert await health(OPENROUTER_LISTEN=address, HTTP_PROXY="http://127.0.0.1:1") == (0, f"ready: http://{address}")
    assert await health("--listen", address) == (0, f"ready: http://{address}")


async def test_nobody_answers(proxy_for: StartProxy) -> None:
    proxy = await proxy_for("https://openrouter.test")
    address = f"127.0.0.2:{proxy.port}"
    told = f"not ready: http://{address} does not answer (connection refused)"
    assert await health(OPENROUTER_LISTEN=address) == (1, told)


@pytest.mark.integration
@pytest.mark.parametrize("by", ["flag", "file"])
async def test_it_finds_a_proxy_that_listens_elsewhere(by: str, tmp_path: Path) -> None:
    """As in a container, whose health check knows the environment and not the flags of the process beside it."""
    described = "127.0.0.2:6767"
    if by == "file":
        (tmp_path / ".env").write_text("OPENROUTER_LISTEN=127.0.0.1:0\n")
        described = ""
    flags = ["--listen", "127.0.0.1:0"] if by == "flag" else []
    async with spawned("serve", *flags, cwd=tmp_path, listen=described) as child:
        await child.until(lambda: "listening on" in child.stdout, "the start")
        address = child.stdout.partition("http://")[2].partition('"')[0]
        assert await health(OPENROUTER_LISTEN=described) == (0, f"ready: http://{address}")
        code, line = await health(OPENROUTER_LISTEN="127.0.0.2:6768")
        assert (code, "127.0.0.2:6768" in line) == (1, True)
        code, line = await health("--listen", "127.0.0.2:6767", OPENROUTER_LISTEN=described)
        assert (code, "127.0.0.2:6767" in line) == (1, True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_proxy_that_has_ended_is_not_looked_for(
    how: signal.Signals, proxy_process: StartProcess, upstream: OpenUpstream, runtime: Path
) -> None:
    """What a killed one leaves behind is taken for what it is, and goes."""
    proxy = await proxy_process(await upstream(), listen="127.0.0.1:0")
    (folder,) = runtime.iterdir()
    assert len(list(folder.iterdir())) == 1
    assert (await health(OPENROUTER_LISTEN="127.0.0.1:0"))[0] == 0
    proxy.signal(how)
    await proxy.exit_code()
    assert len(list(folder.iterdir())) == (how == signal.SIGKILL)
    code, line = await health(OPENROUTER_LISTEN="127.0.0.1:0")
    assert (code, f":{proxy.port}" in line) == (1, False)
    assert not list(folder.iterdir())


async def test_one_that_stops_is_not_ready(proxy_process: StartProcess, upstream: OpenUpstream) -> None:
    """Nobody is to send it requests while its last streams end."""

    behind = await upstream(stall)
    proxy = await proxy_process(behind, shutdown_grace="20")
    client = await Client.open(proxy)
    await client.send(get())
    await behind.news.until(lambda: behind.requests, "the request")
    proxy.signal(signal.SIGTERM)
    await once_nobody_listens(proxy)
    assert (await health("--listen", f"127.0.0.1:{proxy.port}"))[0] == 1
    await client.aclose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "is another program"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is another program"),
        (b"\x15\x03\x01\x00\x02\x02\x16" * 10_000, "is another program"),
        (b"", "does not answer (nothing within 2 seconds)"),
    ],
)
async def test_what_is_not_a_ready_proxy(answer: bytes, told: str) -> None:
    async with speaking(answer) as address:
        assert await health("--listen", address) == (1, f"not ready: http://{address} {told}")


@pytest.mark.integration
@pytest.mark.parametrize("by", ["variable", "flag"])
async def test_an_address_that_is_none(by: str) -> None:
    code, line = (
        await health("--listen", "everywhere") if by == "flag" else await health(OPENROUTER_LISTEN="everywhere")
    )
    name = "--listen" if by == "flag" else "OPENROUTER_LISTEN"
    assert code == 1
    assert line.startswith(f'not ready: {name} must be host:port with a port from 0 to 65535, not "everywhere"')


@pytest.mark.integration
def test_the_command_line_says_the_same() -> None:
    """The quick way past click understands what is usual, and leaves the rest to it."""
    with reserved() as free:
        told = CliRunner().invoke(cli, ["health", f"--listen={free}"])
    assert (told.exit_code, told.stderr) == (1, f"not ready: http://{free} does not answer (connection refused)\n")


# The file

ELSEWHERE = "[::]:6767"


def told(runtime: Path) -> Sequence[Path]:
    return [folder for folder in runtime_file.folders(str(runtime)) if folder.is_relative_to(runtime)]


def test_the_likelier_of_several_is_asked(
    runtime: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of this folder, then the one that listens where it was asked to; each test process is one proxy here."""
    (folder,) = told(runtime)
    with runtime_file.telling(ELSEWHERE, [folder]) as tell:
        tell("127.0.0.1", 1)
        found = runtime_file.running(ELSEWHERE, [folder])
        assert found == runtime_file.Running("127.0.0.1", 1, ELSEWHERE, str(tmp_path))
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            other.chdir(tmp_path_factory.mktemp("elsewhere"))
            with runtime_file.telling(ELSEWHERE, [folder]) as tell_other:
                tell_other("127.0.0.1", 2)
                found = runtime_file.running(ELSEWHERE, [folder])
                assert found
                assert found.port == 2
                other.chdir(tmp_path)
                found = runtime_file.running(ELSEWHERE, [folder])
                assert found
                assert found.port == 1
    assert runtime_file.running(ELSEWHERE, [folder]) is None
    assert not list(folder.iterdir())


@pytest.mark.parametrize("fault", ["open to others", "a link", "a file"])
def test_a_folder_that_others_may_have_made_is_not_believed(fault: str, runtime: Path, tmp_path: Path) -> None:
    """Nothing is written there, nothing is read; the next place is taken, and if there is none, none."""
    (folder,) = told(runtime)
    match fault:
        case "open to others":
            folder.mkdir(mode=0o777)
            folder.chmod(0o777)
        case "a link":
            (tmp_path / "mine").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "mine")
        case "a file":
            folder.write_text("")
    with runtime_file.telling(None, [folder]) as tell:
        tell("127.0.0.1", 1)
        assert runtime_file.running(None, [folder]) is None
    with runtime_file.telling(None, [folder, tmp_path / "second"]) as tell:
        tell("127.0.0.1", 1)
        assert runtime_file.running(None, [tmp_path / "second"])


@pytest.mark.parametrize("content", [b"", b"127.0.0.1\tmany\t\t/", b"\xff\t1", b"x" * 5000])
def test_a_broken_file_is_no_proxy(content: bytes, runtime: Path) -> None:
    import fcntl  # noqa: PLC0415 - Windows has none, and no such file either

    (folder,) = told(runtime)
    with runtime_file.telling(None, [folder]) as tell:
        tell("127.0.0.1", 1)
        (file,) = folder.iterdir()
        file.unlink()
        with file.open("wb") as held:
            held.write(content)
            held.flush()
            fcntl.flock(held, fcntl.LOCK_EX)
            assert runtime_file.running(None, [folder]) is None


# Its cost


async def test_it_loads_little(proxy_for: StartProxy) -> None:
    """It runs every few seconds, beside a proxy that may have a twentieth of a CPU: no large package is loaded."""
    proxy = await proxy_for("https://openrouter.test")
    program = (
        "import sys; sys.argv = ['openrouter-proxy', 'health', '--listen', sys.argv[1]]\n"
        "from proxy.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    assert not {'pydantic', 'click', 'asyncio', 'ssl', 'http.client'} & set(sys.modules)\n"
    )
    arguments = ("-c", program, f"127.0.0.1:{proxy.port}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_CONFIG": ""}
    )
    assert await process.wait() == 0
