"""The format of ``/messages`` (Anthropic's)."""

import json
from typing import Any

from proxy.imitation.scenes import Fault
from proxy.imitation.turn import Turn, dumps

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _usage(turn: Turn, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": turn.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _block(turn: Turn) -> dict[str, Any]:
    if turn.tool:
        arguments = json.loads(turn.tool.arguments)
        return {"type": "tool_use", "id": turn.tool.id, "name": turn.tool.name, "input": arguments}
    return {"type": "text", "text": turn.text}


def _message(
    turn: Turn, content: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": turn.id,
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop_reason(turn: Turn) -> str:
    return "tool_use" if turn.tool else "end_turn"


def answer(turn: Turn) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    return _message(turn, [_block(turn)], _stop_reason(turn), _usage(turn, turn.completion_tokens))


def events(turn: Turn) -> list[bytes]:
    """The answer as server-sent events, from ``message_start`` to ``message_stop``."""
    if turn.tool:
        opening = {**_block(turn), "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in turn.tool.pieces]
    else:
        opening = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in turn.words]
    return [
        _event("message_start", message=_message(turn, [], None, _usage(turn, 0))),
        _event("content_block_start", index=0, content_block=opening),
        _event("ping"),
        *(_event("content_block_delta", index=0, delta=delta) for delta in deltas),
        _event("content_block_stop", index=0),
        _event(
            "message_delta",
            delta={"stop_reason": _stop_reason(turn), "stop_sequence": None},
            usage=_usage(turn, turn.completion_tokens),
        ),
        _event("message_stop"),
    ]


def failure(_turn: Turn, fault: Fault, _position: int) -> bytes:
    """The event that ends a stream which fails after some events."""
    return _event("error", error=_described(fault))


def error(fault: Fault) -> dict[str, Any]:
    """The JSON body of an error that comes before the first token."""
    return {"type": "error", "error": _described(fault)}


def _described(fault: Fault) -> dict[str, str]:
    return {"type": ERROR_TYPES.get(fault.status, "api_error"), "message": fault.message}


def _event(kind: str, **data: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dumps({"type": kind, **data}) + b"\n\n"
