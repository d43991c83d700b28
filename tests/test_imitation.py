"""The imitation of OpenRouter: what the demo and the SDK tests rely on."""

import asyncio
import base64
import gzip
import hashlib
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest

from proxy import imitation as package
from proxy.imitation import Head, Imitation, create_imitation, serving
from proxy.imitation.endpoints import SPEECH
from proxy.imitation.ledger import Ledger
from proxy.imitation.multipart import parts
from proxy.imitation.reply import offers_gzip
from proxy.imitation.scenes import SCENES
from proxy.imitation.turn import example
from tests.support.client import CARRIED, Address, Client, post, post_chunked
from tests.support.footprint import Footprint
from tests.support.http1 import message

KEY = "sk-or-v1-canary"
DIALECTS = ["chat/completions", "messages", "responses"]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
                "required": ["city", "unit"],
            },
        },
    }
]


class Clock:
    """A Unix time that stands still until it is moved."""

    now = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate() -> asyncio.Semaphore:
    """The imitation sends one piece of a body for each release."""
    return asyncio.Semaphore(1_000)


@pytest.fixture
def imitation(gate: asyncio.Semaphore, clock: Clock) -> Imitation:
    return create_imitation(pace=gate.acquire, clock=clock)


@pytest.fixture
async def origin(imitation: Imitation, footprint: Footprint) -> AsyncIterator[httpx.URL]:
    async with serving(imitation) as url:
        yield httpx.URL(url)


@pytest.fixture
async def client(origin: httpx.URL) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=origin.join("/api/v1/"), headers={"Authorization": f"Bearer {KEY}", "Accept-Encoding": "identity"}
    ) as client:
        yield client


@pytest.fixture
async def raw(origin: httpx.URL) -> AsyncIterator[Client]:
    class Here:
        host, port = origin.host, origin.port or 0

    address: Address = Here()
    client = await Client.open(address)
    yield client
    await client.aclose()


def hello(scene: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": f"imitation/{scene}", "messages": [{"role": "user", "content": "Hi"}], **more}


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream: their name ("" if none) and their data, decoded."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("event", ""), lines["data"]))
    return [(name, data if data == "[DONE]" else json.loads(data)) for name, data in found]


class TestFormats:
    @pytest.mark.integration
    async def test_chat_streams_comments_chunks_usage_and_done(self, client: httpx.AsyncClient) -> None:
        """A chat's stream has every element of OpenRouter's, in its order and with its framing."""
        answer = await client.post("chat/completions", json=hello(stream=True))

        assert answer.text.startswith(": OPENROUTER PROCESSING\n\n: \n\ndata: {")
        assert answer.text.endswith("data: [DONE]\n\n")
        *chunks, finish, usage, done = [data for _, data in events(answer.text)]
        assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks).startswith("Hello from")
        assert finish["choices"][0]["finish_reason"] == "stop"
        assert usage["choices"] == []
        assert usage["usage"]["total_tokens"] > usage["usage"]["completion_tokens"] > 5
        assert done == "[DONE]"
        assert all("system_fingerprint" not in chunk for chunk in chunks)  # OpenRouter's SDKs refuse null there

    @pytest.mark.integration
    async def test_messages_stream_named_events(self, client: httpx.AsyncClient) -> None:
        """A stream of messages has Anthropic's events, each under its name."""
        found = events((await client.post("messages", json=hello(stream=True))).text)

        assert all(name == data["type"] for name, data in found)
        assert [name for name, _ in found if name != "content_block_delta"] == [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]

    @pytest.mark.integration
    async def test_responses_stream_to_response_completed(self, client: httpx.AsyncClient) -> None:
        """A stream of responses counts its events and ends with the whole response."""
        found = events((await client.post("responses", json=hello(stream=True, input="Hi"))).text)

        assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
        name, last = found[-1]
        assert name == "response.completed"
        assert last["response"]["output"][0]["content"][0]["text"].startswith("Hello from")

    @pytest.mark.integration
    @pytest.mark.parametrize("path", DIALECTS)
    async def test_json_says_what_the_stream_says(self, client: httpx.AsyncClient, path: str) -> None:
        """Streamed or not, the model says the same."""
        whole = (await client.post(path, json=hello())).text
        streamed = (await client.post(path, json=hello(stream=True))).text

        for word in ("Hello", "imitation", "made."):
            assert word in whole
            assert word in streamed

    @pytest.mark.integration
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("path", DIALECTS)
    async def test_calls_a_tool_that_is_offered(self, client: httpx.AsyncClient, path: str, *, stream: bool) -> None:
        """An offered tool is called with arguments that fit its schema."""
        answer = await client.post(path, json=hello(tools=TOOLS, stream=stream))

        assert "weather" in answer.text
        assert "Hello from" not in answer.text
        if path == "chat/completions" and not stream:
            call = answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]
            assert json.loads(call["arguments"]) == {"city": "example", "unit": "celsius"}

    @pytest.mark.integration
    @pytest.mark.parametrize(
        ("path", "history"),
        [
            ("chat/completions", {"messages": [{"role": "tool", "tool_call_id": "call_0", "content": "20"}]}),
            ("messages", {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}]}),
            ("responses", {"input": [{"type": "function_call_output", "call_id": "call_0", "output": "20"}]}),
        ],
    )
    async def test_speaks_once_the_tool_has_answered(
        self, client: httpx.AsyncClient, path: str, history: dict[str, Any]
    ) -> None:
        """A tool's result ends the calls: an agent's loop ends."""
        body = {"model": "imitation/hello", "tools": TOOLS, **history}

        assert "Hello from" in (await client.post(path, json=body)).text

    @pytest.mark.integration
    @pytest.mark.parametrize(
        "more",
        [
            {"tools": TOOLS, "tool_choice": "none"},
            {"tools": [7, {"type": "web_search"}]},
            {"tools": TOOLS[0]},
            {"tools": [], "messages": []},
        ],
    )
    async def test_speaks_if_no_tool_is_to_be_called(self, client: httpx.AsyncClient, more: dict[str, Any]) -> None:
        """Nothing is called that is not offered as a function, or not to be called."""
        assert "Hello from" in (await client.post("chat/completions", json={**hello(), **more})).text

    @pytest.mark.integration
    async def test_never_calls_the_tools_of_a_real_agent(self, client: httpx.AsyncClient) -> None:
        """An agent that is pointed here with its usual model is not told to run anything."""
        answer = await client.post("chat/completions", json={**hello(tools=TOOLS), "model": "openai/gpt-5"})

        assert answer.json()["choices"][0]["finish_reason"] == "stop"

    @pytest.mark.integration
    async def test_two_imitations_answer_alike(self, clock: Clock) -> None:
        """The same request gets the same bytes, headers included."""
        answers = []
        for _ in range(2):
            async with serving(create_imitation(clock=clock)) as url, httpx.AsyncClient() as client:
                client.headers["x-api-key"] = KEY
                answer = await client.post(f"{url}/api/v1/messages", json=hello(stream=True))
                answers.append((answer.headers.raw, answer.content))
        assert answers[0] == answers[1]

    @pytest.mark.integration
    async def test_models_have_what_strict_sdks_ask_for(self, client: httpx.AsyncClient) -> None:
        """The list of models needs no key, and holds links, a count and every scene."""
        answer = (await client.get("models", headers={"Authorization": ""})).json()

        assert answer["total_count"] == len(answer["data"]) == len(SCENES)
        assert "links" in answer
        assert {model["id"] for model in answer["data"]} == {f"imitation/{scene}" for scene in SCENES}

    def test_the_documentation_names_every_scene(self) -> None:
        """A scene that nobody can find would be none."""
        documented = package.__doc__ or ""
        for scene in SCENES:
            status = scene.removeprefix("error-")
            assert f"``imitation/{scene}``" in documented or (status.isdigit() and status in documented)


class TestTheWire:
    @pytest.mark.integration
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    async def test_each_event_leaves_at_once(
        self, client: httpx.AsyncClient, imitation: Imitation, gate: asyncio.Semaphore, encoding: str
    ) -> None:
        """An event can be read before the next one exists, compressed or not."""
        while not gate.locked():
            await gate.acquire()
        body = hello(stream=True)
        async with client.stream(
            "POST", "chat/completions", json=body, headers={"Accept-Encoding": encoding}
        ) as answer:
            assert answer.headers.get("content-encoding", "identity") == encoding
            pieces = answer.aiter_text()
            exchange = await imitation.exchange(0)
            assert exchange.sent == []
            for expected in (": OPENROUTER PROCESSING\n\n", ": \n\n"):
                gate.release()
                assert await anext(pieces) == expected
            assert len(exchange.sent) == 2
            for _ in range(100):
                gate.release()
            assert "".join([piece async for piece in pieces]).endswith("data: [DONE]\n\n")

    @pytest.mark.integration
    async def test_gzip_holds_the_same_bytes(self, client: httpx.AsyncClient, imitation: Imitation) -> None:
        """A compressed answer is a single valid gzip stream of the plain one."""
        request = client.build_request("GET", "models", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        answer = await client.send(request, stream=True)
        compressed = b"".join([piece async for piece in answer.aiter_raw()])

        assert gzip.decompress(compressed) == (await client.get("models")).content
        assert hashlib.sha256(compressed).hexdigest() == imitation.exchanges[0].answer_sha256

    @pytest.mark.parametrize(
        ("offer", "taken"),
        [
            ([b"gzip, deflate, br, zstd"], True),
            ([b"br", b"GZIP"], True),
            ([b"gzip;q=0"], False),
            ([b"gzip; q=0.0"], False),
            ([b"gzip;q=0.001"], True),
            ([b"*"], False),
            ([b"identity"], False),
            ([], False),
        ],
    )
    def test_gzip_only_when_offered(self, offer: list[bytes], taken: bool) -> None:  # noqa: FBT001
        """Accept-Encoding is obeyed."""
        assert offers_gzip(offer) is taken

    @pytest.mark.integration
    async def test_white_space_comes_before_slow_json(self, client: httpx.AsyncClient, gate: asyncio.Semaphore) -> None:
        """A plain answer shows signs of life while the model works, and is JSON all the same."""
        while not gate.locked():
            await gate.acquire()
        async with client.stream("POST", "chat/completions", json=hello("slow-json")) as answer:
            pieces = answer.aiter_text()
            gate.release()
            assert (await anext(pieces)).isspace()
            for _ in range(20):
                gate.release()
            assert json.loads("".join([piece async for piece in pieces]))["object"] == "chat.completion"

    @pytest.mark.integration
    async def test_headers_are_those_of_the_real_one(self, client: httpx.AsyncClient) -> None:
        """The answer has Cloudflare's and OpenRouter's headers, one Date, one Server, and a generation id."""
        headers = (await client.post("chat/completions", json=hello())).headers

        assert headers["x-generation-id"].startswith("gen-1780000000-")
        assert headers["access-control-allow-origin"] == "*"
        assert headers["server"] == "cloudflare"
        assert headers.get_list("date") == ["Thu, 28 May 2026 20:26:40 GMT"]
        assert "__cf_bm=" in headers["set-cookie"]
        assert "Domain=openrouter.ai" in headers["set-cookie"]
        assert "content-length" not in headers

    @pytest.mark.integration
    async def test_remembers_the_head_as_it_arrived(self, raw: Client, imitation: Imitation) -> None:
        """Spelling, order, duplicates, odd bytes and the target's escapes are all kept; trailers apart."""
        body = b'{"model":"imitation/hello"}'
        chunks = b"%x\r\n%b\r\n0\r\nx-tRailer: 1\r\n\r\n" % (len(body), body)
        target = "/api/v1/%63hat/completions?a=%2F;b&a=??"
        request = post_chunked("X-ODD_name: \xe9", "x-odd_NAME:", f"x-api-key: {KEY}", body=chunks, target=target)

        assert (await raw.ask(request)).status == 200

        exchange = imitation.exchanges[0]
        assert exchange.head == Head(
            b"POST",
            target.encode(),
            (
                (b"Host", b"localhost"),
                *((name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in CARRIED)),
                (b"X-ODD_name", b"\xe9"),
                (b"x-odd_NAME", b""),
                (b"x-api-key", KEY.encode()),
                (b"Transfer-Encoding", b"chunked"),
            ),
        )
        assert exchange.head.values(b"X-Odd_Name") == [b"\xe9", b""]
        assert exchange.trailers == ((b"x-tRailer", b"1"),)
        assert (exchange.body_complete, exchange.body_size) == (True, len(body))
        assert exchange.body_sha256 == hashlib.sha256(body).hexdigest()

    @pytest.mark.integration
    async def test_no_key_shows_in_a_repr(self, client: httpx.AsyncClient, imitation: Imitation) -> None:
        """A failing test, a debugger or a log that prints an exchange prints no key."""
        await client.get("models")

        assert KEY.encode() in imitation.exchanges[0].head.values(b"authorization")[0]
        assert KEY not in repr(imitation.exchanges)


@pytest.mark.integration
class TestEndings:
    async def test_a_cut_answer_has_no_end(self, client: httpx.AsyncClient, imitation: Imitation) -> None:
        """The scene `cut` ends the connection in the middle of the body."""
        for stream in (False, True):
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await client.post("chat/completions", json=hello("cut", stream=stream))
        await imitation.exchanges[0].ended.wait()
        assert not imitation.exchanges[0].finished

    @pytest.mark.parametrize("scene", ["silent", "silent-stream", "lingering"])
    async def test_notices_that_the_client_leaves(self, raw: Client, imitation: Imitation, scene: str) -> None:
        """Silence before the head, in the middle or before the end lasts until the client hangs up."""
        body = json.dumps(hello(scene, stream=True)).encode()
        await raw.send(post(f"x-api-key: {KEY}", body=body))
        if scene != "silent":
            marker = b"[DONE]" if scene == "lingering" else b'"content":'
            await raw.take_until(marker)
        exchange = await imitation.exchange(0)
        assert not exchange.ended.is_set()

        raw.close()

        await exchange.ended.wait()
        assert exchange.left
        assert not exchange.finished
        assert exchange.status == (499 if scene == "silent" else 200)

    async def test_notices_a_cut_upload(self, raw: Client, imitation: Imitation) -> None:
        """An upload that breaks off is remembered as incomplete, with what had come."""
        await raw.send(message("POST /api/v1/files HTTP/1.1", "Host: x", f"x-api-key: {KEY}", "Content-Length: 10"))
        await raw.send(b"12345")
        exchange = await imitation.exchange(0)
        raw.close()

        await exchange.ended.wait()
        assert exchange.left
        assert (exchange.body_complete, exchange.body_size) == (False, 5)

    async def test_leaving_ends_every_exchange(self, imitation: Imitation, footprint: Footprint) -> None:
        """When the server ends, open answers end with it, and nothing is left."""
        async with serving(imitation) as url, httpx.AsyncClient(base_url=url) as client:
            request = client.build_request(
                "POST", "/api/v1/messages", json=hello("silent-stream", stream=True), headers={"x-api-key": KEY}
            )
            answer = await client.send(request, stream=True)
        await answer.aclose()
        assert imitation.exchanges[0].left


@pytest.mark.integration
class TestErrors:
    @pytest.mark.parametrize("path", DIALECTS)
    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529])
    async def test_before_the_first_token(self, client: httpx.AsyncClient, path: str, status: int) -> None:
        """An error is JSON in the API's own shape, chunked, with no generation id, streamed or not."""
        answer = await client.post(path, json=hello(f"error-{status}", stream=True))

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "x-generation-id" not in answer.headers
        body = answer.json()
        if path == "messages":
            assert body["type"] == "error"
            assert set(body["error"]) == {"type", "message"}
        else:
            assert body["error"]["code"] == status
        assert ("retry-after" in answer.headers) == (status in {402, 429, 503})
        assert ("x-ratelimit-limit" in answer.headers) == (status == 429)

    async def test_a_providers_429_has_no_limits_of_openrouters(self, client: httpx.AsyncClient) -> None:
        """A provider's rate limit comes without X-RateLimit-* and Retry-After, and names the provider."""
        answer = await client.post("chat/completions", json=hello("error-429-upstream"))

        assert answer.status_code == 429
        assert not {"x-ratelimit-limit", "retry-after"} & set(answer.headers)
        assert answer.json()["error"]["metadata"]["provider_name"] == "Imitation"

    @pytest.mark.parametrize("path", DIALECTS)
    async def test_after_the_first_token(self, client: httpx.AsyncClient, path: str) -> None:
        """A stream that fails is status 200 and ends with one error event."""
        answer = await client.post(path, json=hello("error-mid-stream", stream=True))

        assert answer.status_code == 200
        assert "x-generation-id" in answer.headers
        found = events(answer.text)
        assert "Hello" in answer.text or path == "responses"
        assert [i for i, (_, data) in enumerate(found) if _failed(data)] == [len(found) - 1]
        assert (await client.post(path, json=hello("error-mid-stream"))).status_code == 502

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ({}, "No cookie auth credentials found"),
            ({"Authorization": "Bearer placeholder"}, "User not found."),
            ({"x-api-key": "placeholder"}, "User not found."),
        ],
    )
    async def test_needs_a_key(self, origin: httpx.URL, header: dict[str, str], message: str) -> None:
        """Without a key of OpenRouter's form the answer is 401."""
        async with httpx.AsyncClient(base_url=origin, headers=header) as client:
            answer = await client.post("/api/v1/chat/completions", json=hello())
        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == message

    @pytest.mark.parametrize(
        ("method", "path", "status", "kind"),
        [
            ("POST", "/api/v1/messages/count_tokens", 404, "application/json"),
            ("GET", "/api/v1/chat/completions", 405, "application/json"),
            ("POST", "/api/v1/chat/completions/", 404, "application/json"),
            ("GET", "/chat/completions", 404, "text/html; charset=utf-8"),
        ],
    )
    async def test_unknown_paths(
        self, client: httpx.AsyncClient, method: str, path: str, status: int, kind: str
    ) -> None:
        """What is no path of the API is refused: with JSON below /api, with a page elsewhere."""
        answer = await client.request(method, client.base_url.join(path))
        assert (answer.status_code, answer.headers["content-type"]) == (status, kind)

    async def test_preflights_are_allowed(self, client: httpx.AsyncClient) -> None:
        """Browsers may call it from any origin."""
        for path in ("chat/completions", "unknown"):
            answer = await client.options(path, headers={"Access-Control-Request-Headers": "x-title"})
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["access-control-allow-headers"] == "x-title"

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"\xff", b"{}", b'{"model":7}', b'{"model":"imitation/unknown"}'],
    )
    async def test_bad_requests(self, client: httpx.AsyncClient, body: bytes) -> None:
        """What is no request of the API is 400, never a 500."""
        for path in DIALECTS:
            assert (await client.post(path, content=body)).status_code == 400

    async def test_too_large_a_file(self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file over the limit is 413."""
        monkeypatch.setattr("proxy.imitation.endpoints.LARGEST_FILE", 9)
        for size, status in ((9, 200), (10, 413)):
            assert (await client.post("files", files={"file": ("a", b"x" * size)})).status_code == status

    async def test_bad_uploads(self, client: httpx.AsyncClient) -> None:
        """A broken form, a form without a file and broken Base64 are 400."""
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        for content in (b"", b"--b\r\nx", b"--b\r\nno end of head\r\n--b--", b"--b--"):
            assert (await client.post("files", content=content, headers=form)).status_code == 400
        assert (await client.post("files", content=b"x", headers={"Content-Type": "text/plain"})).status_code == 400
        assert (await client.post("audio/transcriptions", json={"input_audio": {"data": "a"}})).status_code == 400
        assert (await client.get("files/unknown/content")).status_code == 404


def _failed(data: Any) -> bool:
    return data != "[DONE]" and ("error" in data or data.get("type") in {"error", "response.failed"})


@pytest.mark.integration
class TestOtherPaths:
    async def test_embeddings_in_both_encodings(self, client: httpx.AsyncClient) -> None:
        """Numbers and their Base64 form are the same numbers."""
        body = {"model": "imitation/hello", "input": ["one", "two"]}
        plain = (await client.post("embeddings", json=body)).json()["data"]
        packed = (await client.post("embeddings", json={**body, "encoding_format": "base64"})).json()["data"]

        for one, other in zip(plain, packed, strict=True):
            assert tuple(one["embedding"]) == struct.unpack("<8f", base64.b64decode(other["embedding"]))
        assert plain[0] != plain[1]

    async def test_speech_is_binary(self, client: httpx.AsyncClient) -> None:
        """Audio is not compressed, and holds every byte value."""
        request = {"model": "imitation/hello", "input": "Hi", "voice": "alloy"}
        answer = await client.post("audio/speech", json=request, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-type"] == "audio/mpeg"
        assert "content-encoding" not in answer.headers
        assert answer.content == SPEECH
        assert set(answer.content) == set(range(256))

        answer = await client.post("audio/speech", json={**request, "response_format": "pcm"})
        assert answer.headers["content-type"] == "audio/pcm"

    async def test_transcriptions_tell_what_arrived(self, client: httpx.AsyncClient) -> None:
        """As a form or in JSON, the audio is the same."""
        audio = SPEECH[:1000]
        as_form = await client.post("audio/transcriptions", files={"file": ("a.wav", audio)}, data={"model": "m"})
        encoded = base64.b64encode(audio).decode()
        as_json = await client.post("audio/transcriptions", json={"input_audio": {"data": encoded, "format": "wav"}})

        assert as_form.json() == as_json.json()
        assert hashlib.sha256(audio).hexdigest() in as_form.json()["text"]

    async def test_a_file_comes_back(self, client: httpx.AsyncClient) -> None:
        """An upload comes back byte for byte, even if it looks like the form around it."""
        content = SPEECH + b"\r\n--not-the-boundary\r\n\r\n--\r\n"
        made = await client.post("files", files={"file": ("a b.bin", content, "application/x-odd")})
        assert made.json()["sha256"] == hashlib.sha256(content).hexdigest()
        assert (made.json()["filename"], made.json()["mime_type"]) == ("a b.bin", "application/x-odd")

        back = await client.get(f"files/{made.json()['id']}/content")
        assert back.content == content
        assert back.headers["content-length"] == str(len(content))

    async def test_a_generation_is_known_later(self, client: httpx.AsyncClient, clock: Clock) -> None:
        """The record of a generation can be read once it is old enough, and says to whom it is credited."""
        identity = {"HTTP-Referer": "https://example.com", "X-Title": "Example"}
        answer = await client.post("chat/completions", json=hello("credit"), headers=identity)
        query = {"id": answer.headers["x-generation-id"]}
        assert answer.json()["choices"][0]["message"]["content"] == "Credited to Example, https://example.com/"

        assert (await client.get("generation", params=query)).status_code == 404
        clock.now += 0.5
        record = (await client.get("generation", params=query)).json()["data"]
        assert (record["app_id"], record["origin"]) == (100_001, "https://example.com/")
        assert (await client.get("generation", params={"id": "gen-0"})).status_code == 404

    async def test_a_generation_of_nobody(self, client: httpx.AsyncClient, clock: Clock) -> None:
        """Without attribution the record has no app and an empty origin."""
        answer = await client.post("messages", json=hello("credit"))
        assert "nobody" in answer.json()["content"][0]["text"]
        clock.now += 0.5
        record = (await client.get("generation", params={"id": answer.headers["x-generation-id"]})).json()["data"]
        assert (record["app_id"], record["origin"]) == (None, "")

    async def test_what_a_key_is_good_for(self, client: httpx.AsyncClient) -> None:
        """Tools ask for these when they start."""
        assert (await client.get("key")).json()["data"]["limit"] is None
        assert (await client.get("credits")).json()["data"]["total_credits"] == 10


class TestLedger:
    @pytest.mark.parametrize(
        ("lines", "credited"),
        [
            ([("HTTP-Referer", "https://a.example/x")], ("https://a.example/x", None)),
            ([("hTTp-rEFERER", "https://a.example"), ("X-Title", "A")], ("https://a.example/", "A")),
            ([("HTTP-Referer", "https://a.example"), ("X-OpenRouter-Title", "A")], ("https://a.example/", "A")),
            ([("HTTP-Referer", "http://localhost:3000"), ("X-Title", "A")], ("http://localhost:3000/", "A")),
            ([("HTTP-Referer", "http://localhost:3000")], None),
            ([("X-Title", "A")], None),
            ([("Referer", "https://a.example")], None),
            ([("HTTP_Referer", "https://a.example")], None),
            ([("HTTP-Referer", "a.example")], None),
            ([("HTTP-Referer", "https://[")], None),
            ([("HTTP-Referer", "https://a.example"), ("HTTP-Referer", "https://a.example")], None),
        ],
    )
    def test_whom_the_headers_name(self, lines: list[tuple[str, str]], credited: tuple[str, str | None] | None) -> None:
        """A request is credited as OpenRouter documents it."""
        head = Head(b"POST", b"/", tuple((name.encode(), value.encode()) for name, value in lines))

        app = Ledger(0).credit(head)

        assert (app and (app.url, app.title)) == credited

    def test_a_title_renames_the_app_of_its_url(self) -> None:
        """The URL is the app; whoever sends it with another title renames it."""
        ledger = Ledger(0)
        first = ledger.credit(Head(b"", b"", ((b"HTTP-Referer", b"https://a.example"), (b"X-Title", b"A"))))
        again = ledger.credit(Head(b"", b"", ((b"HTTP-Referer", b"https://a.example/"), (b"X-Title", b"B"))))

        assert first is again
        assert [app.title for app in ledger.apps.values()] == ["B"]


class TestParts:
    def test_multipart_fields(self) -> None:
        """A form's parts keep their bytes, names and types."""
        body = (
            b'preamble\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xa9.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n\r\n\x00--b\r\n\r\n--b--\r\nepilogue"
        )
        model, file = parts('multipart/form-data; boundary="b"', body)

        assert (model.name, model.filename, model.content) == ("model", None, b"x")
        assert (file.name, file.filename, file.content_type) == ("file", "é.wav", "audio/wav")
        assert file.content == b"\r\n\x00--b\r\n"

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"type": "string"}, "example"),
            ({"type": "integer"}, 1),
            ({"type": "boolean"}, True),
            ({"type": "null"}, None),
            ({"type": "array", "items": {}}, []),
            ({"enum": [3, 4]}, 3),
            ({"type": ["string", "null"]}, "example"),
            ({"type": "object", "properties": {"a": {"type": "number"}, "b": {}}, "required": ["a"]}, {"a": 1}),
            ({"type": "object", "required": ["a"]}, {"a": "example"}),
            (True, "example"),
        ],
    )
    def test_examples_fit_their_schema(self, schema: object, value: object) -> None:
        """A tool's arguments are the least that its schema takes."""
        assert example(schema) == value
