"""Promise 1: the upstream gets exactly the configured attribution, and nothing that a client sends can change that."""

import pytest

from tests.support.client import get, post, post_chunked
from tests.support.fixtures import Through
from tests.support.http1 import Request, chunk, chunked
from tests.support.proxies import STAMP
from tests.support.upstream import OK, UpstreamConnection, reply

ATTRIBUTION = {name.lower() for name, _ in STAMP} | {b"x-openrouter-app-visibility"}


def attribution(request: Request) -> list[tuple[bytes, bytes]]:
    """Every line that a lenient reader could take for attribution, as it came."""
    return [(name, value) for name, value in request.headers if name.lower().replace(b"_", b"-") in ATTRIBUTION]


@pytest.mark.parametrize("request_", [get(), post(), post_chunked(body=chunked(b"{}"))], ids=["get", "post", "chunks"])
async def test_each_configured_header_once_with_its_bytes(through: Through, request_: bytes) -> None:
    """Promise 1: U gets exactly one of each configured attribution header, spelled and filled as configured."""
    client, upstream, _ = await through()
    assert (await client.ask(request_)).status == 200
    assert attribution(upstream.requests[0]) == STAMP


async def test_visibility_only_when_configured(through: Through) -> None:
    """Promise 1: the visibility header is sent when it is configured."""
    client, upstream, _ = await through(app_visibility="hidden")
    await client.ask(get())
    assert attribution(upstream.requests[0]) == [*STAMP, (b"X-OpenRouter-App-Visibility", b"hidden")]


async def test_without_title_and_categories(through: Through) -> None:
    """Promise 1: what is not configured is not sent, not even empty."""
    client, upstream, _ = await through(app_title=None, app_categories="")
    await client.ask(get("X-Title: theirs", "X-OpenRouter-Categories: game"))
    assert attribution(upstream.requests[0]) == [STAMP[0]]


@pytest.mark.parametrize(
    "theirs",
    [
        ["HTTP-Referer: https://evil.example"],
        ["http-referer: https://evil.example"],
        ["hTtP-rEfErEr: https://evil.example"],
        ["HTTP_Referer: https://evil.example"],
        ["HTTP_REFERER: https://evil.example"],
        ["HTTP-Referer: https://evil.example", "http-referer: https://worse.example"],
        ["HTTP-Referer: https://evil.example", "HTTP_Referer: https://worse.example", "HTTP-Referer:"],
        ["HTTP-Referer:"],
        ["X-Title: Evil"],
        ["X_Title: Evil", "x-title: Evil", "X_TITLE: Evil"],
        ["X-OpenRouter-Title: Evil"],
        ["x_openrouter_title: Evil", "X-OpenRouter_Title: Evil", "X_OpenRouter-Title: Evil"],
        ["X-OpenRouter-Categories: game,roleplay", "X_OpenRouter_Categories: game"],
        ["X-OpenRouter-App-Visibility: hidden"],
        ["X_OpenRouter_App_Visibility: hidden"],
        ["HTTP-Referer: https://app.example", "X-Title: Example App"],  # equal to ours: still once
        ["HTTP-Referer: https://litellm.ai", "X-Title: liteLLM", "X-Title: Evil", "X-OpenRouter-Title: Worse"],
    ],
)
async def test_every_copy_of_the_client_goes(through: Through, theirs: list[str]) -> None:
    """Promise 1: a client's copies are removed, in any case, however many, with `_` for `-`."""
    client, upstream, _ = await through()
    assert (await client.ask(post(*theirs))).status == 200
    assert attribution(upstream.requests[0]) == STAMP


@pytest.mark.parametrize(
    "connection",
    [
        ["Connection: HTTP-Referer"],
        ["Connection: http-referer"],
        ["connection: HTTP_Referer"],
        ["CONNECTION: keep-alive, HTTP-Referer"],
        ["Connection:HTTP-Referer ,\tX-Title\t, X-OpenRouter-Title,X-OpenRouter-Categories"],
        ["Connection: ,, HTTP-Referer,,"],
        ["Connection: keep-alive", "Connection: HTTP-Referer"],
        ["Connection: HTTP-Referer", "Connection: X-Title", "connection: X-OpenRouter-Title"],
        ["Connection: HTTP-Referer", "Connection: keep-alive"],
        ["Connection: close, HTTP-Referer, X-OpenRouter-Title, X-Title, X-OpenRouter-Categories"],
        ["Proxy-Connection: HTTP-Referer"],
        ["Keep-Alive: HTTP-Referer", "Connection: Keep-Alive"],
        ["HTTP-Referer: https://evil.example", "Connection: HTTP-Referer"],
        ["Connection: HTTP-Referer", "TE: trailers", "Upgrade: HTTP-Referer", "Trailer: HTTP-Referer"],
    ],
)
async def test_a_connection_header_removes_no_stamp(through: Through, connection: list[str]) -> None:
    """Promise 1: no form of `Connection: HTTP-Referer` removes a stamp."""
    client, upstream, _ = await through()
    assert (await client.ask(post(*connection))).status == 200
    assert attribution(upstream.requests[0]) == STAMP
    assert not upstream.requests[0].values("connection")


TRAILERS = b"0\r\nHTTP-Referer: https://evil.example\r\nX-Title: Evil\r\nx_openrouter_title: Evil\r\nX-Other: 1\r\n\r\n"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("mode", ["override", "fill"])
async def test_attribution_in_trailers(through: Through, *, together: bool, mode: str) -> None:
    """Promise 1: copies in trailers are dropped, whether they come with the head or long after it."""
    client, upstream, _ = await through(attribution_mode=mode)
    head = post_chunked("Trailer: HTTP-Referer, X-Title")
    if together:
        await client.send(head + chunk(b"{}") + TRAILERS)
    else:
        await client.send(head)
        request = await upstream.request()
        await client.send(chunk(b"{}"))
        assert await request.read(until=b"{}")
        await client.send(TRAILERS)
    assert (await client.answer(b"POST")).status == 200
    request = upstream.requests[0]
    assert attribution(request) == STAMP
    assert not request.values("x-other")
    assert (bytes(request.body), request.trailers) == (b"{}", [])


async def test_plain_referer_and_the_features_of_the_api_stay(through: Through) -> None:
    """Promise 1: only the attribution headers are replaced; others that look like them cross."""
    theirs = [
        "Referer: https://page.example/",
        "X-OpenRouter-Cache: true",
        "X-OpenRouter-Metadata: enabled",
        "Title: t",
    ]
    client, upstream, _ = await through()
    await client.ask(get(*theirs))
    assert upstream.requests[0].fields[1:5] == [
        (b"referer", b"https://page.example/"),
        (b"x-openrouter-cache", b"true"),
        (b"x-openrouter-metadata", b"enabled"),
        (b"title", b"t"),
    ]


async def test_each_request_of_a_connection_is_stamped(through: Through) -> None:
    """Promise 1: every request is stamped, also the pipelined one that follows another on its connection."""
    client, upstream, _ = await through(reply(OK))
    await client.send(post("X-Title: Evil"), get("HTTP_Referer: https://evil.example"), post())
    for method in (b"POST", b"GET", b"POST"):
        assert (await client.answer(method)).status == 200
    assert [attribution(request) for request in upstream.requests] == [STAMP] * 3


async def test_a_stamp_within_an_upload_stays_data(through: Through) -> None:
    """Promise 1: what looks like a request or a header inside a body is data, and arrives untouched."""
    body = get("HTTP-Referer: https://evil.example")
    client, upstream, _ = await through()
    await client.ask(post(body=body))
    [request] = upstream.requests
    assert bytes(request.body) == body
    assert attribution(request) == STAMP


def test_the_reader_of_this_test_sees_every_spelling() -> None:
    """The check above would notice a copy in any spelling."""
    headers = [(b"http_REFERER", b""), (b"X-TITLE", b""), (b"X-Titles", b"")]
    request = Request(UpstreamConnection.__new__(UpstreamConnection), b"", headers, framing=None)  # type: ignore[arg-type]
    assert len(attribution(request)) == 2
