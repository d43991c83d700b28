"""The same exchange over every way of ours, and over httpx2's own transport: the same bytes at both ends."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, given, seed, settings

from tests.support.differential import Answer, Ask, Outcome, World, exchanges
from tests.support.loops import LOOPS
from tests.support.tls import bundle, server_context

pytestmark = pytest.mark.integration

EXAMPLES = 120

# Where httpx2's transport (h11 0.16) takes an answer that we refuse: what two programs on the way read in two ways can
# be made to mean two things, and the client may read it in a third. Each looks at what came, and at that outcome.
_LINES = re.DOTALL | re.IGNORECASE | re.MULTILINE
_FRAMING = re.compile(rb"^(?:content-length|transfer-encoding):", _LINES)
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")

STRICTER: dict[str, Callable[[bytes, bytes, Outcome], bool]] = {
    "not HTTP/1.1 or HTTP/1.0": lambda head, body, got: (
        re.search(rb"^HTTP/(?!1\.[01] )", head, re.MULTILINE) is not None
    ),
    "a status beyond 599, or an unasked 101": lambda head, body, got: not 200 <= (got.status or 0) <= 599,
    "framed twice": lambda head, body, got: len(_FRAMING.findall(head)) > 1,
    "an interim answer that is framed": lambda head, body, got: (
        _FRAMING.search(head.rpartition(b"\nHTTP/")[0]) is not None
    ),
    "an interim answer of HTTP/1.0": lambda head, body, got: (
        re.search(rb"^HTTP/1\.0 1", head, re.MULTILINE) is not None
    ),
    "a list of lengths": lambda head, body, got: re.search(rb"^content-length:[^\n]*,", head, _LINES) is not None,
    "an impossible length": lambda head, body, got: (
        re.search(rb"^content-length: *[0-9]{19,}", head, _LINES) is not None
    ),
    "a transfer coding in HTTP/1.0": lambda head, body, got: (
        re.search(rb"HTTP/1\.0.*^transfer-", head, _LINES) is not None
    ),
    "a folded line": lambda head, body, got: re.search(rb"\r\n[ \t]", head) is not None,
    "LF or CR alone": lambda head, body, got: (
        _LONE.search(head) is not None or (b"chunked" in head.lower() and _LONE.search(body) is not None)
    ),
    "a chunk's size that is not alone": lambda head, body, got: (
        re.search(rb"^[0-9a-f]+[^0-9a-f\r\n]", body, _LINES) is not None
    ),
    "control bytes": lambda head, body, got: re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head) is not None,
}


def halves(answer: Answer) -> tuple[bytes, bytes]:
    """Head, with interim answers and the blank line, and body; as far as that can be told by lines alone."""
    found = re.match(rb".*?\n\r?\n(?!HTTP)", answer.wire, re.DOTALL)
    end = found.end() if found else len(answer.wire)
    return answer.wire[:end], answer.wire[end:]


def seen(outcome: Outcome) -> tuple[object, ...]:
    """What a client would make of it: blanks behind a value are none of its bytes (RFC 9110, 5.5)."""
    headers = [(name, value.rstrip(b" \t")) for name, value in outcome.headers]
    return outcome.status, headers, outcome.body, outcome.error


def check(ask: Ask, answer: Answer, ours: dict[str, Outcome], oracle: Outcome) -> None:
    direct = ours["direct"]
    assert direct.sent == ask.wire
    assert all(outcome.next_is_own for outcome in ours.values()), ours
    assert ours["tls"] == direct
    assert ours["tunnel"] == direct
    if answer.meant is not None:
        assert direct.whole
        assert (direct.status, direct.headers, direct.body) == answer.meant
    if not oracle.whole:
        return
    assert oracle.sent == direct.sent
    if seen(direct) != seen(oracle):
        what = f"{answer.wire[:300]!r}: {seen(direct)}, {seen(oracle)}"
        assert not direct.whole, what
        assert any(applies(*halves(answer), oracle) for applies in STRICTER.values()), what


@pytest.mark.only_route("direct", reason="goes all ways by itself")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # what differs may be long to print
@pytest.mark.slow
def test_every_way_gives_the_same(
    request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promises 4, 8, 11, 15: TLS, a tunnel and another transport change no byte of any exchange, at either end.

    ``--differential-minutes 30 --timeout 0`` goes on for so long, with ever new exchanges.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    minutes: float = request.config.getoption("differential_minutes")
    until = time.monotonic() + minutes * 60
    done = 0
    with asyncio.Runner(loop_factory=LOOPS[request.config.getoption("loop")]) as runner:
        world = runner.run(World(server_context(authority)).__aenter__())

        async def everywhere(ask: Ask, answer: Answer) -> None:
            ours = {name: await world.outcome(way, ask, answer) for name, way in world.ours().items()}
            check(ask, answer, ours, await world.outcome(world.oracle(), ask, answer))

        def one(exchange: tuple[Ask, Answer]) -> None:
            nonlocal done
            runner.run(everywhere(*exchange))
            done += 1

        try:
            while not done or time.monotonic() < until:
                budget = settings(max_examples=EXAMPLES if not minutes else 1000, deadline=None, database=None)
                quiet = settings(budget, suppress_health_check=list(HealthCheck))
                drawn = given(exchanges)(one)
                quiet(seed(random.getrandbits(64))(drawn) if minutes else drawn)()
        finally:
            runner.run(world.__aexit__(None, None, None))
    if minutes:
        print(f"{done} exchanges")  # noqa: T201 - for whoever waited
    assert done >= EXAMPLES


SAMPLES = {
    "not HTTP/1.1 or HTTP/1.0": b"HTTP/0.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status beyond 599, or an unasked 101": b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
    "framed twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an interim answer that is framed": b"HTTP/1.1 100 C\r\nContent-Length: 5, 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "an impossible length": b"HTTP/1.1 304 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "a transfer coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an interim answer of HTTP/1.0": b"HTTP/1.0 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "LF or CR alone": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "a chunk's size that is not alone": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=:\r\nx\r\n0\r\n\r\n",
    "control bytes": b"HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.only_route("direct", reason="goes all ways by itself")
@pytest.mark.parametrize("name", STRICTER)
async def test_each_difference(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Promise 15: what the table above names is refused in every way, and only there."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    ask, answer = Ask(b"GET", b"/", (), None, ()), Answer(SAMPLES[name], (), closes=True, meant=None)
    async with World(server_context(authority)) as world:
        ours = {way: await world.outcome(each, ask, answer) for way, each in world.ours().items()}
        oracle = await world.outcome(world.oracle(), ask, answer)
    check(ask, answer, ours, oracle)
    assert oracle.whole
    assert not ours["direct"].whole
    assert STRICTER[name](*halves(answer), oracle)
