"""The format of ``/responses`` (OpenAI's)."""

from typing import Any

from proxy.imitation import chat
from proxy.imitation.scenes import Fault
from proxy.imitation.turn import Turn, dumps


def _item(turn: Turn, *, complete: bool) -> dict[str, Any]:
    """The one output item: as it is announced, or as it is in the end."""
    status = "completed" if complete else "in_progress"
    if turn.tool:
        return {
            "type": "function_call",
            "id": f"fc_{turn.id}",
            "call_id": turn.tool.id,
            "name": turn.tool.name,
            "arguments": turn.tool.arguments if complete else "",
            "status": status,
        }
    content = [_part(turn.text)] if complete else []
    return {"type": "message", "id": f"msg_{turn.id}", "role": "assistant", "status": status, "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(turn: Turn, status: str, **changes: object) -> dict[str, Any]:
    return {
        "id": turn.id,
        "object": "response",
        "created_at": turn.created,
        "model": turn.model,
        "status": status,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1,
        "usage": None,
        **changes,
    }


def answer(turn: Turn) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    usage = {
        "input_tokens": turn.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": turn.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": turn.prompt_tokens + turn.completion_tokens,
        "cost": turn.cost,
    }
    return _response(turn, "completed", output=[_item(turn, complete=True)], usage=usage)


def events(turn: Turn) -> list[bytes]:
    """The answer as server-sent events, from ``response.created`` to ``response.completed``."""
    place = {"output_index": 0, "item_id": _item(turn, complete=False)["id"]}
    within = {**place, "content_index": 0}
    middle: list[tuple[str, dict[str, Any]]]
    if turn.tool:
        arguments = "response.function_call_arguments"
        middle = [
            *((f"{arguments}.delta", {**place, "delta": piece}) for piece in turn.tool.pieces),
            (f"{arguments}.done", {**place, "name": turn.tool.name, "arguments": turn.tool.arguments}),
        ]
    else:
        text = "response.output_text"
        middle = [
            ("response.content_part.added", {**within, "part": _part("")}),
            *((f"{text}.delta", {**within, "delta": word, "logprobs": []}) for word in turn.words),
            (f"{text}.done", {**within, "text": turn.text, "logprobs": []}),
            ("response.content_part.done", {**within, "part": _part(turn.text)}),
        ]
    script: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _response(turn, "in_progress")}),
        ("response.in_progress", {"response": _response(turn, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": _item(turn, complete=False)}),
        *middle,
        ("response.output_item.done", {"output_index": 0, "item": _item(turn, complete=True)}),
        ("response.completed", {"response": answer(turn)}),
    ]
    return [_event(kind, number, data) for number, (kind, data) in enumerate(script)]


def failure(turn: Turn, fault: Fault, position: int) -> bytes:
    """The event that ends a stream which fails after ``position`` events."""
    response = _response(turn, "failed", error={"code": "server_error", "message": fault.message})
    return _event("response.failed", position, {"response": response})


error = chat.error


def _event(kind: str, number: int, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps({"type": kind, "sequence_number": number, **data}))
