"""What the imitated model says, before any API's format is put on it."""

import json
import re
from dataclasses import dataclass
from typing import Any

GREETING = "Hello from the imitation of OpenRouter: each token leaves as soon as it is made."


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool that the client offered; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str

    @property
    def pieces(self) -> tuple[str, ...]:
        """The arguments cut in two, as a model that streams them would."""
        middle = (len(self.arguments) + 1) // 2
        return self.arguments[:middle], self.arguments[middle:]


@dataclass(frozen=True)
class Turn:
    """One answer of the model: text, or a tool call instead of it. Times are Unix seconds."""

    id: str
    model: str
    created: int
    text: str
    prompt_tokens: int
    tool: ToolCall | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The text cut into its "tokens", each with the blank before it."""
        return tuple(re.findall(r"\s*\S+", self.text))

    @property
    def completion_tokens(self) -> int:
        """How many pieces a stream of this turn has."""
        return len(self.tool.pieces) if self.tool else len(self.words)

    @property
    def cost(self) -> float:
        """Dollars: a made-up price of one dollar for a million tokens."""
        return (self.prompt_tokens + self.completion_tokens) / 1_000_000


def offered_tool(body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and JSON schema of the first function that the request offers and has not yet had answered.

    Understands the three spellings: chat completions (``function``/``parameters``), responses (``parameters``)
    and messages (``input_schema``).
    """
    tools = body.get("tools")
    if not isinstance(tools, list) or body.get("tool_choice") == "none" or _answers_a_tool(body):
        return None
    for tool in tools:
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        name, schema = function.get("name"), function.get("parameters", function.get("input_schema"))
        if isinstance(name, str) and isinstance(schema, dict):
            return name, schema
    return None


def _answers_a_tool(body: dict[str, Any]) -> bool:
    """Whether a tool has been called already. Once is enough: an agent would go on as long as there are calls."""
    history = body.get("messages", body.get("input"))
    return isinstance(history, list) and any(_is_tool_result(entry) for entry in history)


def _is_tool_result(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    content = entry.get("content")
    blocks = content if isinstance(content, list) else []
    return (
        entry.get("role") == "tool"
        or str(entry.get("type")).endswith("_call_output")
        or any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
    )


_EXAMPLES = {"array": [], "integer": 1, "number": 1, "boolean": True, "null": None}


def example(schema: object) -> object:
    """The smallest value that fits a JSON schema of the kind that tools declare."""
    if not isinstance(schema, dict):
        return "example"
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: example(properties.get(name)) for name in schema.get("required", [])}
    return _EXAMPLES.get(str(schema.get("type")), "example")


def dumps(value: object) -> bytes:
    """JSON as OpenRouter sends it: no blanks, UTF-8 unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
