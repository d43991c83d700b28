"""No thread can be started, and the upstream's name needs one: whoever asks is told so at once, each time."""

import re
import resource
from pathlib import Path

import pytest

from tests.support.aftermath import sound
from tests.support.client import get, post
from tests.support.fixtures import Connect, OpenUpstream, StartProcess
from tests.support.http1 import Ending

pytestmark = pytest.mark.only_route("direct", reason="is about looking up the upstream's name")

_LEEWAY = 3 << 20  # bytes: enough to go on, and less than the stack of a thread


async def test_no_thread(upstream: OpenUpstream, proxy_process: StartProcess, connect: Connect) -> None:
    """503 with Retry-After for each request; when there is room for a thread again, the next one is served."""
    behind = await upstream(sound)
    proxy = await proxy_process(behind, upstream_url=f"http://localhost:{behind.port}")
    client = await connect(proxy)
    assert (await client.ask(get(target="/healthz"))).status == 200
    pid = proxy.process.pid
    size = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert size
    # RLIMIT_NPROC does not hold root back; a thread without memory for its stack fails in the same way.
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (int(size[1]) * 1024 + _LEEWAY, before[1]))
    for request in (post(), post(), get()):
        response = await client.ask(request)
        assert (response.status, response.values("x-proxy-error")) == (503, [b"overloaded"])
        assert response.values("retry-after") == [b"1"]
        assert response.ending is Ending.COMPLETE
        assert b"thread" in response.body
    resource.prlimit(pid, resource.RLIMIT_AS, before)
    assert (await client.ask(post())).status == 200
    lines = [await proxy.access_line(n) for n in range(5)]
    assert [line["error"] for line in lines] == [None, "overloaded", "overloaded", "overloaded", None]
    assert all(line["total_ms"] < 2000 for line in lines)
    assert "Traceback" not in proxy.stdout + proxy.stderr
