"""What is sent in a benchmark, and what is answered: the sizes and shapes of a chat with a model.

The model that a request names says what the stub upstream does with it, so the stub keeps no state, and a proxy that
rewrites all the rest of a request (LiteLLM does) still gets what a measurement asks for:

=================  =====================================================
``answer``         a chat completion of the usual size, at once
``headed``         the same, under the header lines that OpenRouter's answers have
``slow22``         the same, after 22 ms
``events5``        a stream of events, one every 5 ms
``echo``           the request's header lines, as the content of an answer
``download1000``   1,000 bytes
``cut``            half an answer, then the connection's end
``reset``          no answer, but a reset connection
``garbage``        something that is not HTTP
``leave``          an answer, then the end of a connection that was to be kept
=================  =====================================================
"""

import json
import re
import time

STAMP = [
    ("HTTP-Referer", "https://app.example"),
    ("X-OpenRouter-Title", "Example App"),
    ("X-Title", "Example App"),
    ("X-OpenRouter-Categories", "cli-agent,programming-app"),
]
"""What every proxy is configured to put in the place of the client's."""

TOOLS_OWN = [("HTTP-Referer", "https://tool.example"), ("X-Title", "Some Tool"), ("X-OpenRouter-Title", "Some Tool")]
"""What the client sends of these."""

REQUEST_BODY = 550  # bytes
ANSWER_BODY = 1100
EVENT = 250

MODEL = re.compile(rb'"model":\s*"(?:openai/)?([a-z]+)(\d*)"')
SENT_AT = re.compile(rb"@(\d{19})@")
"""In an event: the nanoseconds of `time.monotonic_ns` at which the stub sent it."""

_HEADERS = [
    ("Host", "localhost"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "OpenAI/Python 3.54.0"),
    ("X-Stainless-Lang", "python"),
    ("X-Stainless-Package-Version", "3.54.0"),
    ("X-Stainless-OS", "Linux"),
    ("X-Stainless-Arch", "x64"),
    ("X-Stainless-Runtime", "CPython"),
    ("X-Stainless-Retry-Count", "0"),
    ("Authorization", "Bearer sk-or-v1-0000000000000000000000000000000000000000000000000000000000000000"),
    *TOOLS_OWN,
]


def request(model: str, path: str) -> bytes:
    """A chat request, head and body, as the official Python client would send it."""
    body = _chat(model)
    return request_head(path, len(body)) + body


def request_head(path: str, length: int) -> bytes:
    """The request's head for a body of ``length`` bytes."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in _HEADERS), f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _chat(model: str) -> bytes:
    def chat(content: str) -> bytes:
        messages = [{"role": "user", "content": content}]
        return json.dumps({"model": model, "stream": model.startswith("events"), "messages": messages}).encode("ascii")

    return chat("x" * (REQUEST_BODY - len(chat(""))))


_FRONT = [
    "Date: Sun, 29 Nov 2026 12:00:00 GMT",
    "Connection: keep-alive",
    "Vary: Accept-Encoding",
    "X-Generation-Id: gen-1764417600-AbCdEfGhIjKlMnOpQrSt",
    "Access-Control-Allow-Origin: *",
    "Set-Cookie: __cf_bm=0123456789abcdef0123456789abcdef; HttpOnly; Secure; Path=/; Domain=openrouter.ai",
    "Server: cloudflare",
    "CF-RAY: 0123456789abcdef-FRA",
    "CF-Cache-Status: DYNAMIC",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    'Alt-Svc: h3=":443"; ma=86400',
    "Permissions-Policy: payment=(self)",
    "Referrer-Policy: no-referrer, strict-origin-when-cross-origin",
    "X-Content-Type-Options: nosniff",
]
"""What OpenRouter, and Cloudflare in front of it, add to an answer."""

UPLOAD_START = b'{"model":"answer","messages":[{"role":"user","content":"'
UPLOAD_END = b'"}]}'


def answer(content: str | None = None, *, headed: bool = False) -> bytes:
    """A whole chat completion, head and body; by default one of the usual size, under two header lines."""
    message = {"role": "assistant", "content": content or ""}
    completion = {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 1,
        "model": "answer",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300},
    }
    if content is None:
        message["content"] = "x" * (ANSWER_BODY - len(json.dumps(completion)))
    body = json.dumps(completion).encode("ascii")
    lines = ["Content-Type: application/json", f"Content-Length: {len(body)}", *(_FRONT if headed else [])]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("ascii") + body


def bulk_head(length: int) -> bytes:
    """The head of an answer of so many bytes."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % length


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event_frame() -> tuple[bytes, bytes]:
    """What stands before and behind the 19 digits of an event of the usual size, in one chunk."""
    before = (
        b'data: {"id":"gen-1","object":"chat.completion.chunk","created":1,"model":"events",'
        b'"choices":[{"index":0,"delta":{"role":"assistant","content":"@'
    )
    behind = b'"},"finish_reason":null}]}\n\n'
    padding = b"x" * (EVENT - len(before) - 19 - 1 - len(behind))
    return b"%x\r\n%b" % (EVENT, before), b"@%b%b\r\n" % (padding, behind)


_BEFORE, _BEHIND = _event_frame()


def event() -> bytes:
    """One event that carries the present time, as a chunk."""
    return b"%b%019d%b" % (_BEFORE, time.monotonic_ns(), _BEHIND)
