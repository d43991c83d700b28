"""The format of ``/chat/completions`` (OpenAI's, with OpenRouter's additions)."""

from typing import Any

from proxy.imitation.scenes import Fault
from proxy.imitation.turn import Turn, dumps


def _usage(turn: Turn) -> dict[str, Any]:
    return {
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
        "total_tokens": turn.prompt_tokens + turn.completion_tokens,
        "cost": turn.cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": None},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _finish(turn: Turn) -> dict[str, str | None]:
    reason = "tool_calls" if turn.tool else "stop"
    return {"finish_reason": reason, "native_finish_reason": reason}


def answer(turn: Turn) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text, "refusal": None, "reasoning": None}
    if turn.tool:
        function = {"name": turn.tool.name, "arguments": turn.tool.arguments}
        message["content"] = None
        message["tool_calls"] = [{"index": 0, "id": turn.tool.id, "type": "function", "function": function}]
    return {
        "id": turn.id,
        "provider": "Imitation",
        "model": turn.model,
        "object": "chat.completion",
        "created": turn.created,
        "system_fingerprint": None,  # langchain-openrouter insists on it here, and on its absence in a chunk
        "choices": [{"index": 0, "logprobs": None, **_finish(turn), "message": message}],
        "usage": _usage(turn),
    }


def events(turn: Turn) -> list[bytes]:
    """The answer as server-sent events: deltas, the finish, a usage chunk, ``[DONE]``."""
    envelope = {
        "id": turn.id,
        "provider": "Imitation",
        "model": turn.model,
        "object": "chat.completion.chunk",
        "created": turn.created,
    }

    def chunk(delta: dict[str, Any], finish: dict[str, str | None] | None = None) -> bytes:
        ending = finish or dict.fromkeys(("finish_reason", "native_finish_reason"))
        return _event({**envelope, "choices": [{"index": 0, "delta": delta, **ending, "logprobs": None}]})

    usage = _event({**envelope, "choices": [], "usage": _usage(turn)})
    finish = chunk({"role": "assistant", "content": ""}, _finish(turn))
    return [*map(chunk, _deltas(turn)), finish, usage, b"data: [DONE]\n\n"]


def _deltas(turn: Turn) -> list[dict[str, Any]]:
    if turn.tool is None:
        return [{"role": "assistant", "content": word} for word in turn.words]
    opening = {
        "index": 0,
        "id": turn.tool.id,
        "type": "function",
        "function": {"name": turn.tool.name, "arguments": ""},
    }
    pieces = [{"index": 0, "type": "function", "function": {"arguments": piece}} for piece in turn.tool.pieces]
    return [{"role": "assistant", "content": None, "tool_calls": [call]} for call in (opening, *pieces)]


def failure(turn: Turn, fault: Fault, _position: int) -> bytes:
    """The event that ends a stream which fails after some events."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    return _event(
        {
            "id": turn.id,
            "provider": "Imitation",
            "model": turn.model,
            "object": "chat.completion.chunk",
            "created": turn.created,
            "error": {"code": fault.status, "message": fault.message},
            "choices": [choice],
        }
    )


def error(fault: Fault) -> dict[str, Any]:
    """The JSON body of an error that comes before the first token."""
    described = {"message": fault.message, "code": fault.status, "metadata": fault.metadata}
    return {"error": described, "user_id": "user_imitation"}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + dumps(data) + b"\n\n"
