"""The real Python clients of OpenAI and Anthropic, unmodified but for the base URL, through the proxy.

Each test does the same calls twice: directly against the imitation of OpenRouter, and through the proxy. The results
must be equal, and so must the requests that arrived, but for the attribution.
"""

import asyncio
import re
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import anthropic
import anyio
import openai
import pytest

from proxy.headers import folded
from proxy.imitation import Exchange, Imitation, create_imitation, serving
from proxy.imitation.endpoints import SPEECH
from proxy.openrouter.attribution import ATTRIBUTION_HEADERS
from tests.support.footprint import Footprint
from tests.support.proxies import STAMP, Proxy, in_process

pytestmark = pytest.mark.integration

KEY = "sk-or-v1-canary"
MODEL = "imitation/hello"
CHAT: list[Any] = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
ANTHROPIC_TOOLS: list[Any] = [{"name": "weather", "input_schema": SCHEMA}]
FILE = ("audio \u20ac.wav", SPEECH, "audio/wav")

Call = Callable[[str], Awaitable[Any]]
"""Calls that an SDK makes to an origin such as ``http://127.0.0.1:1234``, and what they returned, to be compared."""


class Ways:
    """Makes calls directly and through the proxy, each against an imitation of its own."""

    def __init__(self) -> None:
        self.imitation: Imitation
        self.proxy: Proxy

    async def directly(self, call: Call) -> tuple[Any, list[Exchange]]:
        imitation = create_imitation(clock=lambda: 1_780_000_000.0, record_delay=0)
        async with serving(imitation) as origin:
            result = await call(origin)
            return result, await _ended(imitation)

    async def through_the_proxy(self, call: Call) -> tuple[Any, list[Exchange]]:
        imitation = create_imitation(clock=lambda: 1_780_000_000.0, record_delay=0)
        async with serving(imitation) as origin, in_process(origin) as self.proxy:
            result = await call(f"http://{self.proxy.host}:{self.proxy.port}")
            return result, await _ended(imitation)

    async def same(self, call: Call, *, direct: Call | None = None) -> Any:
        """The result of both ways, once it is certain that they do not differ. ``direct`` may have another base URL."""
        expected, without = await self.directly(direct or call)
        result, arrived = await self.through_the_proxy(call)

        assert result == expected
        assert len(arrived) == len(without) > 0
        for here, there in zip(arrived, without, strict=True):
            assert _attribution(here) == STAMP
            assert _attribution(there) == []
            assert _seen(here) == _seen(there)
            credentials = here.head.values(b"authorization") + here.head.values(b"x-api-key")
            assert {value.removeprefix(b"Bearer ") for value in credentials} == {KEY.encode()}
        return result


async def _ended(imitation: Imitation) -> list[Exchange]:
    async with asyncio.timeout(5):
        for exchange in imitation.exchanges:
            await exchange.ended.wait()
    return imitation.exchanges


def _attribution(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [line for line in exchange.head.headers if folded(line[0]) in ATTRIBUTION_HEADERS]


def _seen(exchange: Exchange) -> tuple[object, ...]:
    """All that OpenRouter sees of a request, less what differs of necessity: the hop's headers, a form's boundary."""
    lines = [(name.lower(), value) for name, value in exchange.head.headers]
    boundary = next((found[1] for _, value in lines if (found := re.search(rb"; ?boundary=(\S+)", value))), None)
    headers = [
        (name, value.replace(boundary, b"-") if boundary else value)
        for name, value in lines
        if name not in {b"host", b"connection"} and folded(name) not in ATTRIBUTION_HEADERS
    ]
    digest = None if boundary else exchange.body_sha256
    return exchange.head.method, exchange.head.target, headers, exchange.body_size, exchange.body_complete, digest


@pytest.fixture
def ways(footprint: Footprint) -> Ways:
    return Ways()


def openai_client(origin: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{origin}/api/v1", api_key=KEY, **{"max_retries": 0, **options})


def anthropic_client(origin: str, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"{origin}/api", api_key=KEY, **{"max_retries": 0, **options})


class TestOpenAI:
    async def test_chat(self, ways: Ways) -> None:
        """A chat's answer, with its generation id and OpenRouter's own fields."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                answer = await client.chat.completions.with_raw_response.create(model=MODEL, messages=CHAT)
                return answer.headers["x-generation-id"], answer.parse().model_dump()

        generation_id, answer = await ways.same(call)
        assert answer["id"] == generation_id
        assert answer["choices"][0]["message"]["content"].startswith("Hello from")

    async def test_streaming(self, ways: Ways) -> None:
        """A chat's stream, chunk by chunk."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                stream = await client.chat.completions.create(model=MODEL, messages=CHAT, stream=True)
                return [chunk.model_dump() async for chunk in stream]

        chunks = await ways.same(call)
        assert chunks[-1]["usage"]["total_tokens"] > 0
        assert ways.proxy.records[0].attribution == "stamped"

    async def test_slow_json(self, ways: Ways) -> None:
        """JSON after white space."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                return (await client.chat.completions.create(model="imitation/slow-json", messages=CHAT)).model_dump()

        await ways.same(call)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_tools(self, ways: Ways, *, stream: bool) -> None:
        """A tool call and the answer to its result: two requests of one client, over one connection."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                if not stream:
                    asked = await client.chat.completions.create(model=MODEL, messages=CHAT, tools=OPENAI_TOOLS)
                    message = asked.choices[0].message
                else:
                    async with client.chat.completions.stream(model=MODEL, messages=CHAT, tools=OPENAI_TOOLS) as events:
                        message = (await events.get_final_completion()).choices[0].message
                assert message.tool_calls
                result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "20"}
                history = [*CHAT, message.model_dump(exclude_none=True), result]
                answer = await client.chat.completions.create(model=MODEL, messages=history, tools=OPENAI_TOOLS)
                return message.model_dump(), answer.model_dump()

        message, answer = await ways.same(call)
        assert message["tool_calls"][0]["function"]["arguments"] == '{"city":"example"}'
        assert answer["choices"][0]["finish_reason"] == "stop"

    async def test_responses(self, ways: Ways) -> None:
        """The Responses API, whole and event by event."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                whole = await client.responses.create(model=MODEL, input="Hi")
                stream = await client.responses.create(model=MODEL, input="Hi", stream=True)
                events = [event.model_dump() async for event in stream]
                return whole.model_dump(), events

        whole, events = await ways.same(call)
        assert whole["output"][0]["content"][0]["text"].startswith("Hello from")
        assert events[-1]["type"] == "response.completed"

    async def test_embeddings(self, ways: Ways) -> None:
        """Embeddings, which the client asks for in Base64."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                return (await client.embeddings.create(model=MODEL, input=["one", "two"])).model_dump()

        assert len((await ways.same(call))["data"][1]["embedding"]) == 8

    async def test_files_and_audio(self, ways: Ways) -> None:
        """Uploads as forms, and binary downloads, whole and streamed."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                made = await client.files.create(file=FILE, purpose="user_data")
                content = await client.files.content(made.id)
                heard = await client.audio.transcriptions.create(file=FILE, model=MODEL)
                async with client.audio.speech.with_streaming_response.create(
                    model=MODEL, input="Hi", voice="alloy"
                ) as speech:
                    spoken = b"".join([piece async for piece in speech.iter_bytes()])
                return made.model_dump(), content.content, heard.model_dump(), spoken

        made, content, heard, spoken = await ways.same(call)
        assert made["bytes"] == len(SPEECH)
        assert content == spoken == SPEECH
        assert made["sha256"] in heard["text"]

    async def test_models(self, ways: Ways) -> None:
        """The list of models: a GET is stamped too."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                return [model.model_dump() async for model in client.models.list()]

        assert len(await ways.same(call)) > 10

    async def test_synchronous_client(self, ways: Ways) -> None:
        """The client without asyncio, whole and streamed."""

        def call(origin: str) -> Any:
            with openai.OpenAI(base_url=f"{origin}/api/v1", api_key=KEY) as client:
                whole = client.chat.completions.create(model=MODEL, messages=CHAT)
                stream = client.chat.completions.create(model=MODEL, messages=CHAT, stream=True)
                return whole.model_dump(), [chunk.model_dump() for chunk in stream]

        await ways.same(lambda origin: asyncio.to_thread(call, origin))

    async def test_base_url_without_api(self, ways: Ways) -> None:
        """The alias ``/v1``: what arrives is as if the whole base URL had been given."""

        def with_base(path: str) -> Call:
            async def call(origin: str) -> Any:
                async with openai.AsyncOpenAI(base_url=origin + path, api_key=KEY) as client:
                    return (await client.chat.completions.create(model=MODEL, messages=CHAT)).model_dump()

            return call

        await ways.same(with_base("/v1"), direct=with_base("/api/v1"))

    # In a compressed stream the proxy does not see [DONE], so a hang-up before the body's end looks like any other.
    @pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("gzip", 499)])
    async def test_hangs_up_at_done(self, ways: Ways, coding: str, status: int) -> None:
        """The client leaves at [DONE], before the body's end: OpenRouter is left too, and the log calls it no error."""

        async def call(origin: str) -> Any:
            async with openai_client(origin, default_headers={"Accept-Encoding": coding}) as client:
                stream = await client.chat.completions.create(model="imitation/lingering", messages=CHAT, stream=True)
                return [chunk.model_dump() async for chunk in stream]

        await ways.same(call)

        record = await ways.proxy.record()
        assert (record.ended_by, record.error, record.status) == ("client", None, status)


class TestOpenAIErrors:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529])
    async def test_before_the_first_token(self, ways: Ways, status: int, *, stream: bool) -> None:
        """The same exception with the same status, body and headers."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                with pytest.raises(openai.APIStatusError) as caught:
                    await client.chat.completions.create(
                        model=f"imitation/error-{status}", messages=CHAT, stream=stream
                    )
                return _told(caught.value)

        assert (await ways.same(call))[1] == status

    async def test_after_the_first_token(self, ways: Ways) -> None:
        """The same exception in the middle of a stream, after the same chunks."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                stream = await client.chat.completions.create(
                    model="imitation/error-mid-stream", messages=CHAT, stream=True
                )
                chunks: list[Any] = []
                with pytest.raises(openai.APIError) as caught:
                    await _collect(stream, chunks)
                return chunks, type(caught.value), str(caught.value), caught.value.body

        assert (await ways.same(call))[2] == "Provider disconnected unexpectedly"

    @pytest.mark.parametrize("status", [429, 503])
    async def test_retries(self, ways: Ways, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        """The client retries as often as it would without a proxy, and waits as long as OpenRouter says."""
        waits: list[float] = []

        async def note(seconds: float) -> None:
            waits.append(seconds)

        monkeypatch.setattr(anyio, "sleep", note)

        async def call(origin: str) -> Any:
            waits.clear()
            async with openai_client(origin, max_retries=2) as client:
                with pytest.raises(openai.APIStatusError) as caught:
                    await client.chat.completions.create(model=f"imitation/error-{status}", messages=CHAT)
                return _told(caught.value), list(waits)

        _, waited = await ways.same(call)
        assert waited == [1.0, 1.0]

    async def test_cut_answer(self, ways: Ways) -> None:
        """An answer that breaks off is an error, never half an answer."""

        async def call(origin: str) -> Any:
            async with openai_client(origin) as client:
                with pytest.raises(openai.APIConnectionError):
                    await client.chat.completions.create(model="imitation/cut", messages=CHAT)
                stream = await client.chat.completions.create(model="imitation/cut", messages=CHAT, stream=True)
                chunks: list[Any] = []
                with pytest.raises(openai.APIConnectionError):
                    await _collect(stream, chunks)
                assert chunks

        await ways.same(call)

    async def test_timeout(self, ways: Ways) -> None:
        """A client that waits no longer leaves, and so does the proxy."""

        async def call(origin: str) -> Any:
            async with openai_client(origin, timeout=0.3) as client:
                with pytest.raises(openai.APITimeoutError):
                    await client.chat.completions.create(model="imitation/silent", messages=CHAT)

        await ways.same(call)
        record = await ways.proxy.record()
        assert (record.status, record.ended_by) == (499, "client")


class TestAnthropic:
    async def test_messages(self, ways: Ways) -> None:
        """A message, whole and streamed."""

        async def call(origin: str) -> Any:
            async with anthropic_client(origin) as client:
                whole = await client.messages.create(model=MODEL, messages=CHAT, max_tokens=50)
                async with client.messages.stream(model=MODEL, messages=CHAT, max_tokens=50) as stream:
                    events = [event.model_dump() async for event in stream]
                return whole.model_dump(), events

        whole, events = await ways.same(call)
        assert whole["content"][0]["text"].startswith("Hello from")
        assert events[-1]["type"] == "message_stop"

    @pytest.mark.parametrize("stream", [False, True])
    async def test_tools(self, ways: Ways, *, stream: bool) -> None:
        """A tool call, and the answer to its result."""

        async def call(origin: str) -> Any:
            async with anthropic_client(origin) as client:
                request: dict[str, Any] = {"model": MODEL, "max_tokens": 50, "tools": ANTHROPIC_TOOLS}
                if stream:
                    async with client.messages.stream(messages=CHAT, **request) as events:
                        asked = await events.get_final_message()
                else:
                    asked = await client.messages.create(messages=CHAT, **request)
                use = asked.content[0]
                assert isinstance(use, anthropic.types.ToolUseBlock)
                result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "20"}]}
                history: list[Any] = [*CHAT, {"role": "assistant", "content": asked.content}, result]
                answer = await client.messages.create(messages=history, **request)
                return asked.model_dump(), answer.model_dump()

        asked, answer = await ways.same(call)
        assert asked["content"][0]["input"] == {"city": "example"}
        assert answer["stop_reason"] == "end_turn"

    @pytest.mark.parametrize("base", ["/api", ""])
    async def test_as_claude_code_calls(self, ways: Ways, base: str) -> None:
        """Claude Code's requests: beta query, big bodies, every coding offered, a browser's flag; either base URL."""

        def with_base(path: str) -> Call:
            async def call(origin: str) -> Any:
                async with anthropic.AsyncAnthropic(
                    base_url=origin + path,
                    auth_token=KEY,
                    max_retries=0,
                    default_headers={
                        "Accept-Encoding": "gzip, deflate, br, zstd",
                        "anthropic-dangerous-direct-browser-access": "true",
                        "x-app": "cli",
                    },
                ) as client:
                    async with client.beta.messages.stream(
                        model="anthropic/claude-sonnet-4.5",
                        max_tokens=50,
                        system="You are an agent. " * 3_000,
                        messages=CHAT,
                        tools=ANTHROPIC_TOOLS,
                        betas=["interleaved-thinking-2025-05-14"],
                    ) as stream:
                        message = await stream.get_final_message()
                    with pytest.raises(anthropic.NotFoundError) as caught:
                        await client.beta.messages.count_tokens(model=MODEL, messages=CHAT)
                    return message.model_dump(), _told(caught.value)

            return call

        message, _ = await ways.same(with_base(base), direct=with_base("/api"))
        assert message["stop_reason"] == "end_turn"

    async def test_synchronous_client(self, ways: Ways) -> None:
        """The client without asyncio."""

        def call(origin: str) -> Any:
            request: dict[str, Any] = {"model": MODEL, "max_tokens": 50, "messages": CHAT}
            with (
                anthropic.Anthropic(base_url=f"{origin}/api", api_key=KEY) as client,
                client.messages.stream(**request) as stream,
            ):
                return [event.model_dump() for event in stream]

        await ways.same(lambda origin: asyncio.to_thread(call, origin))

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 429, 500, 503, 529])
    async def test_errors(self, ways: Ways, status: int) -> None:
        """The same exception with the same status, body and headers."""

        async def call(origin: str) -> Any:
            async with anthropic_client(origin) as client:
                with pytest.raises(anthropic.APIStatusError) as caught:
                    await client.messages.create(model=f"imitation/error-{status}", messages=CHAT, max_tokens=50)
                return _told(caught.value)

        assert (await ways.same(call))[1] == status

    async def test_error_in_the_middle(self, ways: Ways) -> None:
        """The same exception in the middle of a stream."""

        async def call(origin: str) -> Any:
            async with anthropic_client(origin) as client:
                events: list[Any] = []
                stream = await client.messages.create(
                    model="imitation/error-mid-stream", messages=CHAT, max_tokens=50, stream=True
                )
                with pytest.raises(anthropic.APIStatusError) as caught:
                    await _collect(stream, events)
                return events, type(caught.value), caught.value.body

        events, *_ = await ways.same(call)
        assert events

    async def test_hangs_up_early(self, ways: Ways) -> None:
        """A caller that has seen enough leaves in the middle; OpenRouter is left too."""

        async def call(origin: str) -> Any:
            request: dict[str, Any] = {"model": "imitation/silent-stream", "max_tokens": 50, "messages": CHAT}
            async with anthropic_client(origin) as client, client.messages.stream(**request) as stream:
                return await anext(aiter(stream.text_stream))

        assert await ways.same(call) == "Hello"
        record = await ways.proxy.record()
        assert (record.ended_by, record.error) == ("client", None)


async def _collect(stream: AsyncIterable[Any], into: list[Any]) -> None:
    """Fill a list that outlives the stream's failure."""
    async for event in stream:
        into.append(event.model_dump())  # noqa: PERF401 - `extend` would lose all when the stream fails


def _told(error: openai.APIStatusError | anthropic.APIStatusError) -> tuple[Any, ...]:
    """What a caller can learn from an exception."""
    headers = error.response.headers
    told = {name: headers.get_list(name) for name in headers if name.startswith(("retry-", "x-ratelimit-"))}
    return type(error), error.status_code, error.body, str(error), told
