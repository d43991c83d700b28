"""Promise 34: counts and times for Prometheus, which agree with the access log and hold no path, key or id."""

import asyncio
import base64
import collections
import resource
import shutil
import subprocess
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.support.canaries import assert_none
from tests.support.client import Client, get, post, post_chunked
from tests.support.fixtures import Connect, OpenUpstream, StartProxy, Through
from tests.support.http1 import LAST_CHUNK, chunk, message
from tests.support.secrets import KEY, TOKEN
from tests.support.upstream import UpstreamConnection, reply, stall

PREFIX = "openrouter_proxy_"
OK = message("HTTP/1.1 200 OK", "X-Generation-Id: gen-1", "Content-Length: 2", body=b"ok")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(client: Client, *headers: str) -> str:
    response = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost", *headers))
    assert response.status == 200, response
    assert response.values("content-type")[0].startswith(b"text/plain; version=")
    return bytes(response.body).decode()


def samples(text: str) -> Samples:
    found = {}
    for family in parsed(text):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of that name that have those labels."""
    found = samples(text).items()
    return sum(number for (key, has), number in found if key == PREFIX + name and has >= set(labels.items()))


async def test_requests_agree_with_the_access_log(
    upstream: OpenUpstream, proxy_for: StartProxy, connect: Connect
) -> None:
    """Each request counts once, with what its line of the access log says: refusals, cuts and who leaves included."""
    cut = message("HTTP/1.1 200 OK", "Content-Length: 9", body=b"half")
    error = message("HTTP/1.1 402 Payment Required", "Content-Length: 0")
    scripts = [reply(OK, close=True), reply(cut, close=True), reply(error, close=True), reply(b"garbage", close=True)]
    proxy = await proxy_for(await upstream(*scripts, stall))
    for request in (post(body=b"12345"), post(), get(), get(), get(target="/nowhere"), get(target="/api/v1/..")):
        await (await connect(proxy)).ask(request)
    leaver = await connect(proxy)
    await leaver.send(post())
    await proxy.news.until(lambda: len(proxy.records) == 6, "the others")
    text = await scrape(await connect(proxy))
    assert value(text, "requests_in_progress") == 2  # this one that asks is another
    leaver.close()
    await proxy.news.until(lambda: len(proxy.records) == 7, "the leaver")

    text = await scrape(await connect(proxy))
    logged = collections.Counter(
        (record.attribution or "refused", f"{(record.status or 0) // 100}xx", record.ended_by, record.error or "")
        for record in proxy.records
    )
    assert len(logged) >= 6
    counted = {
        (labels["outcome"], labels["status"], labels["ended_by"], labels["error"]): number
        for (name, has), number in samples(text).items()
        if name == PREFIX + "requests_total" and (labels := dict(has))["outcome"] != "page"
    }
    assert counted == logged
    forwarded = [record for record in proxy.records if record.attribution]
    assert value(text, "request_body_bytes_total") == sum(record.received_bytes for record in forwarded) == 5 + 2 + 2
    assert value(text, "response_body_bytes_total") == sum(record.sent_bytes for record in forwarded)
    assert value(text, "request_duration_seconds_count") == len(forwarded)
    answered = [each for each in forwarded if each.first_byte_at and each.error in (None, "response-cut")]
    assert value(text, "time_to_first_byte_seconds_count") == len(answered) == 3


async def test_an_answer_that_a_later_error_cuts_has_a_first_byte(through: Through, connect: Connect) -> None:
    """What is wrong with the rest of an upload does not undo that the answer had begun; an error of ours is none."""

    async def answers_early(connection: UpstreamConnection) -> None:
        await connection.head()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), chunk(b"early"))
        await connection.ended()

    client, _, proxy = await through(answers_early)
    await client.send(post_chunked())
    response = await client.response(b"POST")
    await client.send(b"zz\r\n")
    await response.read()
    record = await proxy.record()
    assert (record.status, record.error) == (200, "malformed-request")
    assert record.first_byte_at is not None
    text = await scrape(await connect(proxy))
    assert value(text, "time_to_first_byte_seconds_count") == 1


async def test_times_fall_into_their_buckets(through: Through) -> None:
    """The first byte is timed when the head comes, the duration when all has."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.request()
        await connection.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
        await asyncio.sleep(0.3)
        await connection.send(chunk(b"late") + LAST_CHUNK)

    client, _, proxy = await through(script)
    await client.ask(get())
    record = await proxy.record()
    text = await scrape(client)
    assert record.first_byte_at is not None
    assert record.ended_at is not None
    for name, took in (
        ("time_to_first_byte_seconds", record.first_byte_at - record.started_at),
        ("request_duration_seconds", record.ended_at - record.started_at),
    ):
        assert value(text, f"{name}_sum") == pytest.approx(took)
        buckets = {
            float(dict(has)["le"]): number
            for (key, has), number in samples(text).items()
            if key == f"{PREFIX}{name}_bucket"
        }
        assert len(buckets) > 12
        assert max(bound for bound in buckets if bound != float("inf")) >= 600  # a model may think for minutes
        assert all(number == (1 if took <= bound else 0) for bound, number in buckets.items()), (took, buckets)


async def test_labels_are_bounded(through: Through) -> None:
    """Whatever comes in, there are no more series: no path, method, header, tool or model makes one."""
    client, _, _ = await through(reply(OK))

    async def ask(each: int) -> None:
        await client.ask(
            get(f"User-Agent: tool-{each}/1", f"X-Title: app {each}", target=f"/api/v1/models/{each}?{each}")
        )
        await client.ask(get(target=f"/wrong/{each}"))

    await ask(0)
    await scrape(client)
    before = samples(await scrape(client)).keys()
    for each in range(1, 100):
        await ask(each)
    assert samples(await scrape(client)).keys() == before


async def test_no_secret_is_in_it(through: Through) -> None:
    """Promise 28: neither key nor token, generation id, path, title nor address."""
    client, behind, _ = await through(reply(OK), api_key=KEY, access_token=TOKEN)
    headers = [f"Authorization: Bearer {TOKEN}", "X-Title: telltale title", "User-Agent: telltale-agent/1"]
    await client.ask(get(*headers, target="/api/v1/telltale-path?telltale=1"))
    await client.ask(get(target="/telltale"))
    assert behind.requests
    text = await scrape(client, f"Authorization: Bearer {TOKEN}")
    assert_none(text, "metrics")
    for told in ("telltale", "127.0.0.1", "gen-"):
        assert told not in text


async def test_about_the_process(through: Through) -> None:
    """Version, Python, event loop and the process's own figures are there, and pool and log as counters."""
    client, _, _ = await through(reply(OK))
    await client.ask(get())
    await client.ask(get())
    text = await scrape(client)
    info = next(dict(has) for (name, has) in samples(text) if name == PREFIX + "info")
    assert info.keys() == {"version", "python", "loop"}
    assert all(info.values())
    names = {name for name, _ in samples(text)}
    assert names >= {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "python_info"}
    assert value(text, "upstream_handshakes_total") == 1
    assert value(text, "upstream_reuses_total") == 1
    assert value(text, "upstream_connections", state="idle") == 1
    assert names >= {
        f"{PREFIX}{name}" for name in ("upstream_retries_total", "clients_turned_away_total", "log_lines_lost_total")
    }


async def test_the_scraper_presents_the_token(through: Through) -> None:
    """Where there is an access token, it is asked for, as Bearer or as the password of Basic."""
    client, _, _ = await through(reply(OK), api_key=KEY, access_token=TOKEN)
    refused = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
    assert (refused.status, refused.values("x-proxy-error")) == (401, [b"page-locked"])
    assert "requests_total" in await scrape(client, f"Authorization: Bearer {TOKEN}")


TEAMS = {
    name: {"http_referer": f"https://{name}.example/", "api_key": f"{KEY}-{name}", "access_token": f"{TOKEN}-{name}"}
    for name in ("search", "support")
}


async def test_a_name_is_for_who_may_know_it(through: Through) -> None:
    """Promise 33: without a token nobody is told the profiles' names; with one of a profile's, that one's.

    What they have counted is there all the same, under one name, so that alerts and sums need no token.
    """
    client, _, _ = await through(reply(OK), profiles=TEAMS)
    for name, times in (("search", 2), ("support", 3)):
        for _ in range(times):
            request = post(f"Authorization: Bearer {TOKEN}-{name}", target=f"/{name}/api/v1/chat/completions")
            assert (await client.ask(request)).status == 200
    text = await scrape(client)
    assert "search" not in text
    assert "support" not in text
    assert value(text, "requests_total", profile="(hidden)", outcome="stamped") == 5
    assert value(text, "request_duration_seconds_count", profile="(hidden)") == 5
    assert value(text, "request_body_bytes_total", profile="(hidden)") == 5 * 2

    for text in (await scrape(client, f"Authorization: Bearer {TOKEN}-search"), await scrape(client, basic("search"))):
        assert "support" not in text
        assert value(text, "requests_total", profile="search", outcome="stamped") == 2
        assert value(text, "requests_total", profile="(hidden)", outcome="stamped") == 3
        assert value(text, "time_to_first_byte_seconds_count", profile="search") == 2
    refused = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost", "Authorization: Bearer wrong"))
    assert (refused.status, refused.values("x-proxy-error")) == (401, [b"page-locked"])


def basic(name: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"me:{TOKEN}-{name}".encode()).decode()


@pytest.mark.parametrize(
    "default", [{}, {"http_referer": None, "app_title": None, "app_categories": ()}], ids=["an app", "no app"]
)
async def test_the_default_token_shows_every_name(through: Through, default: dict[str, Any]) -> None:
    """Who runs the proxy sees each profile; a profile's own token does not open the page then."""
    client, _, _ = await through(reply(OK), api_key=KEY, access_token=TOKEN, profiles=TEAMS, **default)
    await client.ask(post(f"Authorization: Bearer {TOKEN}-search", target="/search/api/v1/chat/completions"))
    text = await scrape(client, f"Authorization: Bearer {TOKEN}")
    assert value(text, "requests_total", profile="search") == 1
    refused = await client.ask(
        message("GET /metrics HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}-search")
    )
    assert refused.status == 401


async def test_profiles_without_tokens_are_named(through: Through) -> None:
    """Where no profile has a token, their names are told to everyone who asks, as by the 404."""
    profiles = {"search": {"http_referer": "https://search.example/"}}
    client, _, _ = await through(reply(OK), profiles=profiles)
    await client.ask(post("Authorization: Bearer sk-or-own", target="/search/api/v1/chat/completions"))
    assert value(await scrape(client), "requests_total", profile="search") == 1


@pytest.mark.parametrize("header", ["Host: evil.example", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"])
async def test_no_page_of_another_origin_reads_it(through: Through, header: str) -> None:
    """Promises 23 and 35: neither by its own origin nor by a name that it has rebound."""
    client, _, _ = await through(reply(OK))
    host = [] if header.startswith("Host") else ["Host: localhost"]
    response = await client.ask(message("GET /metrics HTTP/1.1", *host, header))
    assert response.status in (403, 421)
    assert b"requests_total" not in response.body


@pytest.mark.skipif(sys.platform != "linux", reason="takes every descriptor, as Linux counts them")
async def test_no_descriptor_is_left(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scrape reads the library's files: where none can be opened it is 503, and the next one is served."""
    client, _, _ = await through(reply(OK))
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        response = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (response.status, response.values("x-proxy-error")) == (503, [b"overloaded"])
    assert response.values("retry-after")
    assert value(await scrape(client), "requests_total", error="overloaded") == 1


async def test_off(through: Through) -> None:
    """METRICS=off: the path is one of those that are not."""
    client, _, _ = await through(reply(OK), metrics="off")
    response = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
    assert (response.status, response.values("x-proxy-error")) == (404, [b"unknown-path"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine: apt-get install prometheus")
async def test_prometheus_finds_no_fault_with_it(through: Through) -> None:
    """`promtool check metrics` has nothing to say about names, types, units and help texts of ours."""
    client, _, _ = await through(reply(OK))
    await client.ask(get())
    text = await scrape(client)
    ours = "\n".join(line for line in text.splitlines() if PREFIX in line) + "\n"
    checked = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=ours, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
