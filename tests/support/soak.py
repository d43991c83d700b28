"""Many requests over bad lines, from clients that leave: each gets its own answer or a visible failure, nothing stays.

As a test it is short (tests/faults/test_soak.py). By hand it can take hours, with a proxy as a process of its own::

    benchmarks/soak --requests 1000000

It prints what the process holds as it goes on, and ends with exit code 1 if that has grown, an answer was wrong, or the
metrics do not agree with the access log, request for request. With ``--workers`` what is held is the supervisor's. The
upstream is behind TLS, as the real one is, and behind it all bad lines; ``--plain`` leaves TLS out.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from tests.support.aftermath import is_visible_failure
from tests.support.agreement import disagreements, under_way
from tests.support.client import Address, Client, get, post, post_chunked
from tests.support.connection import GoneError
from tests.support.http1 import LAST_CHUNK, Ending, Response, chunk, chunked, message
from tests.support.ports import once_it_listens, reserved
from tests.support.proxies import ProxyProcess, spawned
from tests.support.relay import GOOD, Line, Relay
from tests.support.tls import bundle, server_context
from tests.support.upstream import Upstream, UpstreamConnection

_BAD_LINES = 0.4  # of all upstream connections
_LEAVERS = 0.1  # of all requests: their clients leave


def body_of(number: int) -> bytes:
    """The body of the answer to that request: like no other, and up to 20 kB; of some, ten times that."""
    block = hashlib.sha256(b"%d" % number).digest()
    return b"%d:" % number + block * (number * 7919 % 640) * (10 if number % 20 == 0 else 1)


def answer_to(number: int) -> list[bytes]:
    """The pieces of the answer to that request, framed in one way or another."""
    body = body_of(number)
    pieces = [body[at : at + 4000] for at in range(0, len(body), 4000)]
    if number % 3 == 0:
        return [message("HTTP/1.1 200 OK", f"Content-Length: {len(body)}"), *pieces]
    head = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    return [head, *map(chunk, pieces), LAST_CHUNK] if number % 3 == 1 else [head + chunked(*pieces)]


async def answers(connection: UpstreamConnection) -> None:
    """Answers each request with what its target asks for; an upload must be the same bytes."""
    try:
        while True:
            await connection.news.until(lambda: connection.buffer or connection.end, "a request", within=86400)
            request = await connection.request()
            number = int(request.target.rpartition(b"/")[2])
            if request.method == b"POST" and request.body != body_of(number):
                await connection.send(message("HTTP/1.1 422 Wrong Upload", "Content-Length: 0"))
            else:
                await connection.send(*answer_to(number))
    finally:
        # What the kit keeps for tests would be all that grows here.
        upstream = connection.upstream
        upstream.connections.remove(connection)
        upstream.requests.clear()


def random_line(chance: random.Random) -> Line:
    """Mostly a good one."""
    if chance.random() > _BAD_LINES:
        return GOOD
    kind = chance.randrange(5)
    count = int(chance.paretovariate(0.5) * 50)
    if kind == 0:
        return Line(reset_after=count, piece=chance.choice([1000, 65536]))
    if kind == 1:
        return Line(close_after=count, piece=chance.choice([1000, 65536]))
    if kind == 2:
        return Line(reset_after=count, single_bytes=500)
    if kind == 3:
        return Line(close_after=100_000, single_bytes=200, piece=100)
    return Line(latency=0.01, bandwidth=2_000_000, reset_after=200_000)


def request_for(number: int, chance: random.Random) -> bytes:
    target = f"/api/v1/soak/{number}"
    kind = chance.randrange(3)
    if kind == 0:
        return get(target=target)
    if kind == 1:
        return post(target=target, body=body_of(number))
    return post_chunked(target=target, body=chunked(body_of(number)))


@dataclass
class Tally:
    """What the clients saw."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0


class Soak:
    """`clients` at a time ask for `count` answers, and some leave in the middle."""

    def __init__(self, proxy: Address, *, count: int, clients: int, seed: int, leavers: float = _LEAVERS) -> None:
        self.proxy = proxy
        self.leavers = leavers
        self.count = count
        self.clients = clients
        self.tally = Tally()
        self._chance = random.Random(seed)  # noqa: S311 - chance, repeatable

    async def run(self) -> Tally:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(self._client(random.Random(self._chance.random())))  # noqa: S311 - chance, repeatable
        return self.tally

    async def _client(self, chance: random.Random) -> None:
        client: Client | None = None
        while self.tally.asked < self.count:
            number = self.tally.asked
            self.tally.asked += 1
            if client is None or client.end is not None or client.transport.is_closing():
                client = await Client.open(self.proxy)
            leaves = chance.random() < self.leavers
            outcome = await (self._leave(client, number, chance) if leaves else self._ask(client, number, chance))
            self.tally.outcomes[outcome] += 1
            if leaves or outcome != "whole":
                await client.aclose()
                client = None
        if client is not None:
            await client.aclose()

    async def _ask(self, client: Client, number: int, chance: random.Random) -> str:
        try:
            await client.send(request_for(number, chance))
            response = await client.answer()
        except GoneError:
            self.tally.wrong.append(f"{number}: closed before any byte of an answer")
            return "wrong"
        return self._judge(response, number)

    def _judge(self, response: Response, number: int) -> str:
        if response.status == 200 and body_of(number).startswith(response.body):
            if response.ending is Ending.COMPLETE and bytes(response.body) == body_of(number):
                return "whole"
            if response.ending is Ending.CUT:
                return "cut"
        elif is_visible_failure(response):
            return str(response.status)
        self.tally.wrong.append(f"{number}: {response.status}, {response.ending}, {bytes(response.body[:60])!r}")
        return "wrong"

    async def _leave(self, client: Client, number: int, chance: random.Random) -> str:
        request = request_for(number, chance)
        leave = chance.choice([Client.close, Client.reset, Client.half_close])
        with suppress(GoneError):
            if chance.random() < 0.5:
                await client.send(request[: chance.randrange(len(request))])
            else:
                await client.send(request)
                if chance.random() < 0.5:
                    await client.take(chance.randrange(1, 5000))
        if not client.transport.is_closing():
            leave(client)
        return "left"


async def recovered(proxy: Address, relay: Relay) -> Tally:
    """What a single client sees over good lines only."""
    relay.line_of = lambda n: GOOD
    await relay.drop()
    return await Soak(proxy, count=100, clients=1, seed=0, leavers=0).run()


async def scraped(proxy: Address) -> str:
    """What `/metrics` tells, once it is all that is under way: a client that has left may not have been noticed yet."""
    client = await Client.open(proxy)
    try:
        async with asyncio.timeout(30):
            while True:
                answer = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
                text = bytes(answer.body).decode()
                if under_way(text) == 1:
                    return text
    finally:
        await client.aclose()


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    with log.open() as lines:
        for line in lines:
            if '"total_ms"' in line:
                yield json.loads(line)


def _holds(proxy: ProxyProcess) -> str:
    return f"{proxy.rss() / 1e6:6.1f} MB, {proxy.descriptors():4} descriptors"


async def _report(proxy: ProxyProcess, soak: Soak, every: int) -> None:
    reported = 0
    while True:
        await asyncio.sleep(1)
        if soak.tally.asked - reported >= every:
            reported = soak.tally.asked
            print(f"{reported:9} requests: {_holds(proxy)}, {dict(soak.tally.outcomes)}", flush=True)  # noqa: T201


async def _main(count: int, clients: int, seed: int, *, plain: bool, workers: int) -> int:
    chance = random.Random(seed)  # noqa: S311 - chance, repeatable
    with tempfile.TemporaryDirectory() as folder, reserved() as address:
        settings = {"listen": str(address), "log_level": "info", "workers": str(workers)}
        log = Path(folder) / "log"  # in a file: a million access lines
        authority = trustme.CA()
        os.environ["SSL_CERT_FILE"] = str(bundle(authority, Path(folder)))  # this process only starts the proxy
        async with (
            Upstream(answers, tls=None if plain else server_context(authority)) as behind,
            Relay(behind.port, lambda n: random_line(chance)) as relay,
            spawned(
                cwd=Path(folder),
                prefix=["sh", "-c", f'exec "$@" >{log}', "sh"],
                upstream_url=relay.url if plain else f"https://localhost:{relay.port}",
                **settings,
            ) as proxy,
        ):
            await (await once_it_listens(address)).aclose()
            proxy.port = address.port
            await Soak(proxy, count=min(count // 10, 10_000), clients=clients, seed=seed).run()  # to be warm
            await recovered(proxy, relay)
            size, descriptors = proxy.rss(), proxy.descriptors()
            print(f"        0 requests: {_holds(proxy)}")  # noqa: T201
            relay.line_of = lambda n: random_line(chance)
            soak = Soak(proxy, count=count, clients=clients, seed=seed)
            reporter = asyncio.create_task(_report(proxy, soak, every=max(count // 20, 1)))
            tally = await soak.run()
            reporter.cancel()
            after = await recovered(proxy, relay)
            await asyncio.sleep(1)
            print(f"    after: {_holds(proxy)}, {dict(tally.outcomes)}")  # noqa: T201
            faults = [*tally.wrong, *after.wrong]
            faults += ["not all are served over good lines"] * (after.outcomes["whole"] < after.asked)
            faults += ["memory has grown"] * (proxy.rss() > size + (8 << 20))
            faults += ["descriptors are left"] * (proxy.descriptors() > descriptors + clients)
            text = await scraped(proxy)
            proxy.signal(signal.SIGTERM)
            code = await proxy.exit_code()
            logged = sum(1 for _ in _lines(log))
            differing = disagreements(_lines(log), text)
            print(f"{logged:9} access lines; {len(differing)} disagreements with the metrics")  # noqa: T201
            faults += differing
            written = proxy.stderr + "".join(line for line in log.open() if '"total_ms"' not in line)
            faults += [f"tasks were left, or it ended with {code}"] * (code != 0 or "were cut" in written)
            faults += ["the log has a traceback"] * ("Traceback" in written)
    print("\n".join(faults) or "nothing wrong, nothing left")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    sys.exit(asyncio.run(_main(asked.requests, asked.clients, asked.seed, plain=asked.plain, workers=asked.workers)))
