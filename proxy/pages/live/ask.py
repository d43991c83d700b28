"""Asking OpenRouter to whom a request that the page shows was credited (``GET /api/v1/generation``).

The question goes through the proxy itself, as a request like any other: guarded, stamped, with the key of the
request's profile, and with a line in the log. Of the answer nothing is passed on but the app.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message

from proxy.errors import ForeignPage
from proxy.headers import HeaderList, values
from proxy.observe.feed import Feed
from proxy.observe.record import Record
from proxy.openrouter.api import GENERATION_ID
from proxy.openrouter.identity import stored_form
from proxy.pages.visitors import own_origins
from proxy.settings.model import Settings

_LONGEST_QUESTION = 1000  # bytes
_LONGEST_ANSWER = 1 << 20  # bytes; a record has some kilobytes
_TOOL = b"openrouter-proxy-page"

Answer = Mapping[str, str]  # `kind` (good, bad, later), and what to say: `bold`, `text`

LATER: Answer = {"kind": "later", "bold": "Not known yet.", "text": " The record appears after seconds, or minutes."}


class Ask:
    """The endpoint ``POST /live/ask``, with ``{"generation": "gen-…"}`` of a request that is on the page."""

    def __init__(self, feed: Feed, settings: Settings, proxy: ASGIApp) -> None:
        self.feed = feed
        self.settings = settings
        self.proxy = proxy

    async def __call__(self, request: Request) -> Response:
        headers = request.scope["headers"]
        # It makes something happen: so, beyond what all pages here ask for, a browser has to say that it is this page.
        if not set(values(headers, b"origin")) & own_origins(headers):
            raise ForeignPage
        record = self._asked_about(await _body(request))
        if record is None or record.generation_id is None or self._is_guarded_from_visitors(record):
            return JSONResponse({"kind": "bad", "bold": "Not on this page any more.", "text": ""}, 404)
        status, body = await _get(self.proxy, request.scope, self._target(record), self._headers(record, headers))
        return JSONResponse(judged(status, body, self._expected(record)))

    def _asked_about(self, body: bytes) -> Record | None:
        try:
            generation = json.loads(body)["generation"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        known = isinstance(generation, str) and GENERATION_ID.fullmatch(generation)
        return self.feed.find(generation) if known else None

    def _target(self, record: Record) -> tuple[bytes, bytes]:
        prefix = f"/{record.profile}" if record.profile else ""
        return f"{prefix}/api/v1/generation".encode("ascii"), f"id={record.generation_id}".encode("ascii")

    def _settings_of(self, record: Record) -> Settings:
        return self.settings.profiles.get(record.profile or "", self.settings)

    def _is_guarded_from_visitors(self, record: Record) -> bool:
        """Whether the request's profile asks for a token that this page has not asked for."""
        return self._settings_of(record).access_token not in (None, self.settings.access_token)

    def _headers(self, record: Record, visitor: HeaderList) -> HeaderList:
        token = self._settings_of(record).access_token
        credentials = [(b"authorization", b"Bearer " + token.get_secret_value().encode("ascii"))] if token else []
        return [(b"host", values(visitor, b"host")[0]), (b"user-agent", _TOOL), *credentials]

    def _expected(self, record: Record) -> str | None:
        """The app that is to be credited, as OpenRouter writes it: ours or, where the tool's counts, the tool's."""
        if record.attribution == "stamped":
            identity = self._settings_of(record).attribution
            return stored_form(identity.referer) if identity else None
        referers = [value for name, value in record.claimed or () if name.lower() == b"http-referer"]
        return stored_form(referers[0].decode("latin-1")) if referers else None


def judged(status: int, body: bytes, expected: str | None) -> Answer:
    """What OpenRouter's answer says of the credit (its fields as observed, November 2026)."""
    if status == 404:
        return LATER
    if status != 200:
        return {"kind": "bad", "bold": f"OpenRouter says {status}.", "text": " It does not tell who was credited."}
    try:
        data = json.loads(body)["data"]
        app_id, origin = data["app_id"], data["origin"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {"kind": "bad", "bold": "The answer cannot be understood.", "text": ""}
    if not isinstance(app_id, int) or not isinstance(origin, str) or not origin:
        kind = "bad" if expected else "good"
        return {"kind": kind, "bold": "Nobody.", "text": " OpenRouter has credited no app with this generation."}
    credited = f" OpenRouter credits {origin[:200]} (app {app_id})"
    if origin == expected:
        return {"kind": "good", "bold": "As it was sent:", "text": f"{credited}."}
    return {"kind": "bad", "bold": "Another app:", "text": f"{credited}, and not {expected or 'nobody'}."}


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_QUESTION:
            return b""
    return body


async def _get(
    app: ASGIApp, scope: Any, target: tuple[bytes, bytes], headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """Status and body of ``app``'s answer to a GET."""
    path, query = target
    status, body = 502, bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif len(body) < _LONGEST_ANSWER:
            body.extend(message.get("body", b""))

    asked = {"method": "GET", "path": path.decode("ascii"), "raw_path": path, "query_string": query, "headers": headers}
    kept = {
        name: scope[name]
        for name in ("type", "asgi", "http_version", "scheme", "client", "server", "extensions")
        if name in scope
    }
    await app({**kept, **asked, "root_path": "", "state": {}}, receive, send)
    return status, bytes(body)
