"""The endpoints of OpenRouter's API: those that endpoints.tsv lists, and what else its users call."""

import re
from collections import defaultdict
from importlib.resources import files

# Not in OpenRouter's OpenAPI file, and harmless: a documented endpoint that tools still use; and one that Claude Code
# asks, whose 404 it takes well.
_MORE = (("POST", "/completions"), ("POST", "/messages/count_tokens"))


def _read() -> tuple[tuple[str, str], ...]:
    table = files("proxy.openrouter").joinpath("endpoints.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return (*((row[0], row[1]) for row in rows), *_MORE)


# Read when the process starts: a request may come when no file can be opened.
ENDPOINTS = _read()
"""Method and path of each, the path below the API's prefix; ``{name}`` stands for one segment."""


def _patterns() -> dict[str, re.Pattern[bytes]]:
    paths = defaultdict(list)
    for method, path in ENDPOINTS:
        paths[method].append(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.removeprefix("/"))))
    return {method: re.compile(f"(?:{'|'.join(found)})/?".encode()) for method, found in paths.items()}


def _pasted() -> re.Pattern[bytes]:
    whole = sorted({path.removeprefix("/") for _, path in ENDPOINTS if "{" not in path}, key=len, reverse=True)
    called = {path.removeprefix("/") for method, path in ENDPOINTS if method == "POST"}
    first, then = "|".join(each for each in whole if each in called), "|".join(whole)
    return re.compile(f"(?:{first})/(?:api/)?(?:v1/)?(?:{then})(?:/.*)?".encode(), re.DOTALL)


_PATTERNS = _patterns()  # one for each method
_PASTED = _pasted()


def is_endpoint(method: str, below: bytes) -> bool:
    """Whether a path below the API's prefix is an endpoint with that method, spelled as it is listed."""
    pattern = _PATTERNS.get(method)
    return pattern is not None and pattern.fullmatch(below) is not None


def is_pasted(below: bytes) -> bool:
    """Whether a path is one endpoint behind another: a whole endpoint was pasted where a tool wants its base URL."""
    return _PASTED.fullmatch(below) is not None and not any(each.fullmatch(below) for each in _PATTERNS.values())
