"""What each path answers, as values; nothing here knows how they get onto the wire."""

import base64
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from starlette.requests import Request

from proxy.imitation import multipart
from proxy.imitation.exchange import Exchange
from proxy.imitation.ledger import App, Ledger, remember
from proxy.imitation.reply import EVENT_STREAM, HTML, JSON, Answer
from proxy.imitation.scenes import AUTHOR, FAULTS, SCENES, Ending, Fault, Recording, Scene, scene_for
from proxy.imitation.turn import GREETING, ToolCall, Turn, dumps, example, offered_tool

Endpoint = Callable[[Request], Awaitable[Answer]]

COMMENTS = (b": OPENROUTER PROCESSING\n\n", b": \n\n")
WHITE_SPACE = b"\n         \n"
SPEECH = bytes(range(256)) * 64  # 16 KiB in which a decoded, re-encoded or text-mode copy would show
SPEECH_PIECES = 8
LARGEST_FILE = 100_000_000
FILES = 16  # that are kept, the last ones

_LATE_ASKS = 3
_PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body></body></html>"

_WHOLE = frozenset({Ending.CLEAN, Ending.LINGER})


class Dialect(Protocol):
    """The format of one API: the modules `chat`, `messages` and `responses`."""

    def answer(self, turn: Turn, /) -> dict[str, Any]:
        """The whole answer as one JSON object."""

    def events(self, turn: Turn, /) -> list[bytes]:
        """The answer as server-sent events."""

    def failure(self, turn: Turn, fault: Fault, position: int, /) -> bytes:
        """The event that ends a stream which fails after ``position`` events."""

    def error(self, fault: Fault, /) -> dict[str, Any]:
        """The JSON body of an error that comes before the first token."""


class Refused(Exception):
    """The request gets an error of OpenRouter's instead of an answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def exchange_of(request: Request) -> Exchange:
    """The record of this request."""
    return cast("Exchange", request.scope["exchange"])


class Endpoints:
    """The API's endpoints over one ledger and one store of files."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._files: dict[str, multipart.Part] = {}
        self._uploads = 0

    def generation(self, dialect: Dialect) -> Endpoint:
        """The endpoint that lets the model speak in one API's format."""

        async def generate(request: Request) -> Answer:
            body = await _json_body(request)
            model = body.get("model")
            if not isinstance(model, str):
                raise Refused(Fault(400, "model: expected a string"))
            scene = scene_for(model)
            if scene is None:
                raise Refused(Fault(400, f"{model} is not a valid model ID"))
            if scene.mute:
                return await _never(request)
            if scene.page:
                return _page(403)
            streamed = bool(body.get("stream"))
            if scene.fault and not (scene.midway and streamed):
                raise Refused(scene.fault)
            turn = self._turn(exchange_of(request), scene, model, body)
            if streamed:
                return Answer(EVENT_STREAM, [*COMMENTS, *_played(scene, turn, dialect)], ending=scene.ending)
            text = dumps(dialect.answer(turn))
            sent = text if scene.ending in _WHOLE else text[: len(text) // 2]
            return Answer(JSON, [*[WHITE_SPACE] * scene.spaces, sent], ending=scene.ending)

        return generate

    def _turn(self, exchange: Exchange, scene: Scene, model: str, body: dict[str, Any]) -> Turn:
        app = self._ledger.credit(exchange.head)
        tool = offered_tool(body) if model.startswith(AUTHOR) else None  # no agent shall act on invented arguments
        turn = Turn(
            id=self._new_generation(exchange),
            model=model,
            created=int(self._clock()),
            text=_credit_text(app) if scene.credits else GREETING,
            prompt_tokens=max(1, exchange.body_size // 4),
            tool=ToolCall(f"call_{exchange.number}", tool[0], dumps(example(tool[1])).decode()) if tool else None,
        )
        self._ledger.enter(turn, app, now=self._clock(), streamed=bool(body.get("stream")), recording=scene.recording)
        return turn

    def _new_generation(self, exchange: Exchange) -> str:
        unique = hashlib.sha256(b"%d" % exchange.number).hexdigest()[:20]
        exchange.generation_id = f"gen-{int(self._clock())}-{unique}"
        return exchange.generation_id

    async def embeddings(self, request: Request) -> Answer:
        """POST /embeddings."""
        body = await _json_body(request)
        given = body.get("input", "")
        vectors = [_vector(text) for text in (given if isinstance(given, list) else [given])]
        encode: Callable[[list[float]], object] = _base64_floats if body.get("encoding_format") == "base64" else list
        tokens = max(1, exchange_of(request).body_size // 4)
        return _json(
            {
                "id": self._new_generation(exchange_of(request)),
                "object": "list",
                "model": body.get("model"),
                "data": [{"object": "embedding", "index": i, "embedding": encode(v)} for i, v in enumerate(vectors)],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "cost": tokens / 1_000_000},
            }
        )

    async def speech(self, request: Request) -> Answer:
        """POST /audio/speech."""
        body = await _json_body(request)
        self._new_generation(exchange_of(request))
        content_type = b"audio/pcm" if body.get("response_format") == "pcm" else b"audio/mpeg"
        step = len(SPEECH) // SPEECH_PIECES
        return Answer(content_type, [SPEECH[at : at + step] for at in range(0, len(SPEECH), step)])

    async def transcription(self, request: Request) -> Answer:
        """POST /audio/transcriptions, as a form or as JSON with the audio in Base64."""
        if request.headers.get("content-type", "").startswith("application/json"):
            audio = _base64_audio(await _json_body(request))
        else:
            audio = (await _uploaded_file(request)).content
        self._new_generation(exchange_of(request))
        text = f"{len(audio)} bytes of audio, SHA-256 {hashlib.sha256(audio).hexdigest()}"
        return _json({"text": text, "usage": {"seconds": 1, "cost": 0.000001}})

    async def upload(self, request: Request) -> Answer:
        """POST /files."""
        file = await _uploaded_file(request)
        if len(file.content) > LARGEST_FILE:
            raise Refused(Fault(413, "The file is larger than 100 MB."))
        self._uploads += 1
        file_id = f"file-{self._uploads}"
        remember(self._files, file_id, file, FILES)
        return _json(
            {
                "id": file_id,
                "object": "file",
                "type": "file",
                "filename": file.filename,
                "mime_type": file.content_type,
                "bytes": len(file.content),
                "size_bytes": len(file.content),
                "sha256": hashlib.sha256(file.content).hexdigest(),
                "created_at": int(self._clock()),
                "purpose": "user_data",
                "status": "processed",
            }
        )

    async def download(self, request: Request) -> Answer:
        """GET /files/{file_id}/content."""
        file = self._files.get(request.path_params["file_id"])
        if file is None:
            raise Refused(Fault(404, "File not found"))
        filename = (file.filename or "file").encode("ascii", "replace")
        disposition = (b"content-disposition", b'attachment; filename="%b"' % filename)
        return Answer(b"application/octet-stream", [file.content], headers=(disposition,), length=len(file.content))

    async def generation_record(self, request: Request) -> Answer:
        """GET /generation, with the id in the query."""
        generation_id = request.query_params.get("id", "")
        recording, before = self._ledger.asked(generation_id)
        match recording:
            case Recording.REFUSED:
                raise Refused(FAULTS[401])
            case Recording.BUSY if not before:
                raise Refused(FAULTS[429])
            case Recording.PAGE if not before:
                return _page(502)
            case Recording.SLOW if not before:
                return await _never(request)
        record = self._ledger.generation(generation_id, self._clock())
        if record is None or recording is Recording.NEVER or (recording is Recording.LATE and before < _LATE_ASKS):
            raise Refused(Fault(404, f"Generation {generation_id} not found"))
        return _json({"data": record})

    async def models(self, _request: Request) -> Answer:
        """GET /models."""
        models = [_model(slug, scene) for slug, scene in SCENES.items()]
        return _json({"data": models, "links": {"next": None}, "total_count": len(models)})

    async def key(self, _request: Request) -> Answer:
        """GET /key."""
        usage = {"usage": 0, "usage_daily": 0, "usage_weekly": 0, "usage_monthly": 0}
        limits = {"limit": None, "limit_remaining": None, "limit_reset": None, "is_free_tier": False}
        return _json({"data": {"label": "sk-or-v1-imi...tion", **usage, **limits}})

    async def credits(self, _request: Request) -> Answer:
        """GET /credits."""
        return _json({"data": {"total_credits": 10, "total_usage": 0}})


def _page(status: int) -> Answer:
    """What a CDN shows to a browser, in place of the API's answer."""
    return Answer(HTML, [_PAGE], status)


def _json(value: object) -> Answer:
    return Answer(JSON, [dumps(value)])


async def _never(request: Request) -> Answer:
    """Wait until the client has left; what is answered then goes nowhere."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Answer(JSON, [], 499)


def _played(scene: Scene, turn: Turn, dialect: Dialect) -> list[bytes]:
    """The events of a turn as far as the scene lets them come."""
    events = dialect.events(turn)
    half = events[: len(events) // 2]
    if scene.fault:
        return [*half, dialect.failure(turn, scene.fault, len(half))]
    return events if scene.ending in _WHOLE else half


def _credit_text(app: App | None) -> str:
    if app is None:
        return "Credited to nobody: no app was named."
    return f"Credited to {app.title or 'an app without a title'}, {app.url}"


async def _json_body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(Fault(400, "Invalid JSON: expected an object"))
    return body


def _base64_audio(body: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(body["input_audio"]["data"])
    except (LookupError, TypeError, ValueError) as error:
        raise Refused(Fault(400, "input_audio.data: expected Base64")) from error


async def _uploaded_file(request: Request) -> multipart.Part:
    try:
        fields = multipart.parts(request.headers.get("content-type", ""), await request.body())
    except ValueError as error:
        raise Refused(Fault(400, f"Invalid form: {error}")) from error
    for part in fields:
        if part.name == "file":
            return part
    raise Refused(Fault(400, "Invalid form: no field named file"))


def _vector(text: object) -> list[float]:
    """Eight numbers between -1 and 1 that base64's 32-bit floats hold exactly."""
    return [(byte - 128) / 128 for byte in hashlib.sha256(str(text).encode()).digest()[:8]]


def _base64_floats(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _model(slug: str, scene: Scene) -> dict[str, Any]:
    """One entry of the list of models, with every field that OpenRouter's own SDKs insist on."""
    return {
        "id": AUTHOR + slug,
        "canonical_slug": AUTHOR + slug,
        "hugging_face_id": None,
        "name": f"Imitation: {slug}",
        "created": 1767225600,
        "description": scene.summary,
        "context_length": 128000,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": "0.000001", "completion": "0.000001"},
        "top_provider": {"context_length": 128000, "max_completion_tokens": None, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["tools", "tool_choice", "max_tokens"],
        "supported_voices": None,
        "default_parameters": None,
        "expiration_date": None,
        "knowledge_cutoff": None,
        "links": {"details": f"/api/v1/models/{AUTHOR}{slug}/endpoints"},
    }
