"""Promise 32: requests with random aborts over bad lines leave sockets, tasks and connections where they began."""

import random

import pytest

from tests.support.agreement import disagreements, line_of, under_way
from tests.support.fixtures import OpenUpstream, StartProxy
from tests.support.relay import Relay
from tests.support.soak import Soak, answers, random_line, recovered, scraped

REQUESTS = 600  # by hand, and with memory: benchmarks/soak --requests 1000000


@pytest.mark.only_route("direct", reason="between the proxy and the upstream it puts a line of its own")
@pytest.mark.parametrize("seed", [1, 2])
async def test_short(upstream: OpenUpstream, proxy_for: StartProxy, seed: int) -> None:
    """Promise 32: each client gets its own answer or sees that it did not, and after it all are served again.

    Promise 34: the metrics agree with the access log, request for request.
    """
    chance = random.Random(seed)  # noqa: S311 - chance, repeatable
    behind = await upstream(answers)
    async with Relay(behind.port, lambda n: random_line(chance)) as relay:
        proxy = await proxy_for(relay.url)
        tally = await Soak(proxy, count=REQUESTS, clients=16, seed=seed).run()
        assert not tally.wrong
        assert tally.outcomes["whole"] > REQUESTS / 2
        assert tally.outcomes["cut"] + tally.outcomes["502"] > 2
        after = await recovered(proxy, relay)
        assert (after.outcomes["whole"], after.wrong) == (after.asked, [])
        assert not [record for record in proxy.records if record.status is None or record.error == "internal-error"]
        assert len(proxy.records) <= REQUESTS + 300
        text = await scraped(proxy)
        assert disagreements(map(line_of, proxy.records), text) == []
        assert disagreements(map(line_of, proxy.records[1:]), text)  # one that is missing is noticed
        assert under_way(text) == 1
