"""No file descriptor is left: whoever cannot be served is told so, and afterwards everything is as before."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.resource_limits import FEWEST_FILES, capacity, raise_file_limit
from tests.support.aftermath import Base, sound
from tests.support.client import Client, get, post
from tests.support.connection import GoneError
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.footprint import Footprint
from tests.support.http1 import LAST_CHUNK, Ending, Response, chunk, message
from tests.support.proxies import ProxyProcess, spawned
from tests.support.upstream import UpstreamConnection

pytestmark = pytest.mark.only_route("direct", reason="is about files; those of a connection are the same in each way")

EVENTS = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


def with_files(count: int) -> list[str]:
    """A prefix for a process that may have so many files open."""
    return ["sh", "-c", f'ulimit -n {count}; exec "$@"', "sh"]


def assert_overloaded(response: Response) -> None:
    """It is told so, whole, and may come again."""
    assert (response.status, response.values("x-proxy-error")) == (503, [b"overloaded"])
    assert response.values("retry-after") == [b"1"]
    assert response.ending is Ending.COMPLETE


@pytest.mark.parametrize("files", [FEWEST_FILES, 100, 256, 1024, 20_000])
def test_the_limit_is_shared_out(files: int) -> None:
    """Two files for each client that is served, one for each that is not, and some are left: to look up names, say."""
    shared = capacity(files)
    assert shared.served is not None
    left = files - 2 * shared.served - shared.turned_away - 14  # which an idle proxy has open
    assert left >= 8
    assert shared.turned_away >= 8
    assert shared.served >= files // 4


def test_no_limit_is_no_limit() -> None:
    """Where the system has none, nobody is turned away."""
    assert capacity(None).served is None


UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "most", "given"),
    [
        (256, UNLIMITED, 10_240, 10_240),  # macOS: more than OPEN_MAX is refused
        (256, 4096, 2048, 256),
        (256, 20_000, 10_240, 10_240),
        (20_000, UNLIMITED, 10_240, 20_000),
        (256, UNLIMITED, UNLIMITED, UNLIMITED),
        (1024, 4096, 4096, 4096),
        (UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED),
    ],
)
def test_as_many_as_the_system_lets_us_have(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int, given: int
) -> None:
    """Where the hard limit is refused, as macOS refuses "unlimited", the best that is not; never less than before."""
    limits = [soft, hard]

    def set_limits(kind: int, wanted: tuple[int, int]) -> None:
        assert kind == resource.RLIMIT_NOFILE
        if most != UNLIMITED and (wanted[0] == UNLIMITED or wanted[0] > most):
            raise ValueError("current limit exceeds maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "setrlimit", set_limits)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(limits))
    raise_file_limit()
    assert limits == [given, hard]


@pytest.mark.integration
@pytest.mark.parametrize("files", [16, FEWEST_FILES - 1])
async def test_a_hopeless_limit(footprint: Footprint, tmp_path: Path, files: int) -> None:
    """With too few files to serve anybody it does not start, and says in one line what to do."""
    async with spawned(cwd=tmp_path, prefix=with_files(files), upstream_url="http://127.0.0.1:9") as child:
        assert await child.exit_code() == 1
    [line] = child.stderr.splitlines()
    assert line.startswith(f"error: Only {files} files may be open at once")
    assert "ulimit -n" in line
    assert child.stdout == ""


@pytest.mark.parametrize("files", [FEWEST_FILES, 256])
async def test_more_clients_than_files(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, files: int
) -> None:
    """As many are served as the limit allows; each further one gets a 503, the log one line, and then all is well."""

    async def stream(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(EVENTS, chunk(b"data: 1\n\n"))
        await go_on.wait()
        await connection.send(chunk(b"data: 2\n\n") + LAST_CHUNK)
        await sound(connection)

    go_on = asyncio.Event()
    served = capacity(files).served
    assert served is not None
    proxy = await proxy_process(await upstream(stream), prefix=with_files(files))
    base = Base(proxy)
    responses = []
    for _ in range(served):
        client = await connect(proxy)
        await client.send(post())
        responses.append(await client.response())
    further = [await connect(proxy) for _ in range(150)]
    for client in further:
        await client.send(post())
    for client in further:
        assert_overloaded(await client.answer(b"POST"))
        await client.aclose()
    go_on.set()
    for response in responses:
        assert await response.read() == b"data: 1\n\ndata: 2\n\n"
        assert response.ending is Ending.COMPLETE
        await response.connection.aclose()
    await base.check(connect, lines=served + 1, kept=served)
    assert proxy.stdout.count("overloaded") == 1


async def test_idle_clients_give_way(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Where all places are held by clients that wait for nothing, the one that has for the longest makes room."""
    served = capacity(256).served
    assert served is not None
    behind = await upstream(sound)
    proxy = await proxy_process(behind, prefix=with_files(256))
    base = Base(proxy)
    idle = [await connect(proxy) for _ in range(served)]
    for client in idle:
        assert (await client.ask(get())).status == 200
    assert (await idle[0].ask(get())).status == 200  # so it is the second that has been idle for the longest
    further = [await connect(proxy) for _ in range(2)]
    for client in further:
        assert (await client.ask(post())).status == 200
    for client in idle[1:3]:
        assert await client.rest() == b""
    for client in (idle[0], *idle[3:]):
        assert (await client.ask(get())).status == 200
        await client.aclose()
    for client in further:
        await client.aclose()
    await base.check(connect, lines=2 * served + 2)
    assert "overloaded" not in proxy.stdout


async def test_a_burst(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Many clients in one moment: each gets its answer or a 503, and none is left without either."""
    served = capacity(FEWEST_FILES).served
    assert served is not None

    async def one() -> int:
        client = await connect(proxy)
        response = await client.ask(post())
        if response.status != 200:
            assert_overloaded(response)
        await client.aclose()
        return response.status

    proxy = await proxy_process(await upstream(sound), prefix=with_files(FEWEST_FILES))
    base = Base(proxy)
    statuses = await asyncio.gather(*[one() for _ in range(400)])
    answered = statuses.count(200)
    assert served <= answered < len(statuses)
    await base.check(connect, lines=answered + 1, kept=served)
    assert proxy.stdout.count("overloaded") == 1


@contextmanager
def no_file_left(proxy: ProxyProcess) -> Iterator[None]:
    """For the block, the process may have no more files open than it has now (Linux)."""
    before = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path(f"/proc/{proxy.process.pid}/fd").iterdir()}
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (min(set(range(1000)) - used), before[1]))
    try:
        yield
    finally:
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_none_for_the_upstream(
    upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect, host: str
) -> None:
    """A client that is connected, but cannot be served: 503 and a line that says so, also if it is the name look-up."""
    behind = await upstream(sound)
    behind.name = host
    proxy = await proxy_process(behind)
    base = Base(proxy)
    client = await connect(proxy)
    assert (await client.ask(get(target="/healthz"))).status == 200
    with no_file_left(proxy):
        for _ in range(3):
            assert_overloaded(await client.ask(post()))
    assert (await client.ask(post())).status == 200
    await client.aclose()
    lines = [(line["status"], line["error"]) for line in [await proxy.access_line(n) for n in range(1, 4)]]
    assert lines == [(503, "overloaded")] * 3
    await base.check(connect, lines=6)


async def is_answered(proxy: ProxyProcess) -> bool:
    """Whether a new client is, or else is hung up on."""
    client = await Client.open(proxy)
    try:
        return (await client.ask(get(target="/healthz"))).status == 200
    except GoneError:
        return False
    finally:
        await client.aclose()


async def test_none_for_clients(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """Where something else has taken the files, new clients are hung up on at once, and the log has one line of it."""
    proxy = await proxy_process(await upstream(sound))
    base = Base(proxy)
    with no_file_left(proxy):
        for _ in range(20):
            client = await Client.open(proxy)
            assert await client.rest() == b""
            await client.aclose()
        await proxy.until(lambda: "overloaded: no file can be opened" in proxy.stdout, "a warning")
    while not await is_answered(proxy):
        pass  # uvloop hangs up on all that wait: on a busy machine, also on one that has come since
    await base.check(connect, lines=2)
    assert proxy.stdout.count("overloaded") == 1
