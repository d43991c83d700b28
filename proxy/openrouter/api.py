"""OpenRouter's API as far as a proxy must know it: where its paths begin, which manage an account, and what a key is.

Sources: openrouter.ai/docs/api-reference and openrouter.ai/openapi.json, as of November 2026.
"""

import re

VERSIONS = ("v1", "alpha", "beta")
"""Of the API: each is a prefix ``/api/<version>/``."""

ALIAS = b"/v1/"
"""For tools that accept nothing but ``/v1`` after the host: stands for ``/api/v1/``."""

BARE_MESSAGES = b"/api/messages"
"""Stands for ``/api/v1/messages``: `@ai-sdk/anthropic` calls it when its base URL is Claude Code's."""

KEY_MARK = "sk-or-"
"""What every OpenRouter key begins with."""

FOREIGN_KEY_MARKS = (
    *("sk-ant-", "sk-proj-", "sk-svcacct-", "sk-admin-"),  # Anthropic, OpenAI
    *("gsk_", "xai-", "pplx-", "hf_", "AIza", "ghp_", "gho_", "github_pat_"),  # Groq, xAI, Perplexity, …, GitHub
)
"""What begins only other companies' keys."""

# By the name that opens it, how each family's paths begin, below the API's prefix.
MANAGEMENT_FAMILIES = {
    "auth/keys": "auth/",
    "byok": "byok",
    "credits": "credits/",  # buying them; `credits` itself only tells the balance
    "guardrails": "guardrails",
    "keys": "keys",
    "observability": "observability",
    "organization": "organization",
    "scim": "scim",
    "workspaces": "workspaces",
}
"""The paths that manage an account, in place of using it."""

_VERSION = "|".join(VERSIONS).encode()
_PREFIX = re.compile(rb"/(?:api/(?:%b)|v1)/" % _VERSION)
# A prefix that follows a prefix is a base URL set twice (OPENAI_BASE_URL=…/v1 in a tool that appends /v1 itself).
_PREFIX_AGAIN = re.compile(rb"(?:api/(?:%b)|v1)(?:/|$)" % _VERSION)
_LENIENT_PREFIX = re.compile(rb"\A(?:api/)?(?:%b)/" % _VERSION)
_ENDS_AS_A_BASE_URL = re.compile(r"(?:^|/)(?:api|api/v1|v1)$")


def is_forwarded(raw_path: bytes) -> bool:
    """Whether a path is the API's. ``raw_path`` is what stands on the wire, without the query."""
    match = _PREFIX.match(raw_path)
    if match is None:
        return is_bare_messages(raw_path)
    return not _PREFIX_AGAIN.match(raw_path, match.end())


def is_bare_messages(raw_path: bytes) -> bool:
    """Whether a path is `BARE_MESSAGES`, or below it."""
    return raw_path.startswith(BARE_MESSAGES) and raw_path[len(BARE_MESSAGES) :][:1] in (b"", b"/")


def below_prefix(raw_path: bytes) -> bytes:
    """What stands behind the API's prefix in a path that is forwarded."""
    match = _PREFIX.match(raw_path)
    return raw_path.removeprefix(b"/api/") if match is None else raw_path[match.end() :]


def spelled_out(raw_path: bytes) -> bytes:
    """A path of the API as OpenRouter knows it: without the aliases."""
    if raw_path.startswith(ALIAS):
        return b"/api" + raw_path
    return b"/api/v1/" + raw_path.removeprefix(b"/api/") if is_bare_messages(raw_path) else raw_path


def without_prefix(path: bytes) -> bytes:
    """A path in lower case and without its first slash, less the API's prefix as the most obliging server reads it."""
    return _LENIENT_PREFIX.sub(b"", path, count=1)


def ends_as_base_url(path: str) -> bool:
    """Whether a path ends as the base URL of a tool does, whose own paths follow."""
    return _ENDS_AS_A_BASE_URL.search(path) is not None


GENERATION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
"""What may be asked about, or pasted into a shell: the upstream gives the id, and may be none of OpenRouter's."""


def generation_id(value: bytes) -> str | None:
    """The id in an ``X-Generation-Id``; None if it is none, as half of one would be another."""
    text = value.decode("latin-1")
    return text if GENERATION_ID.fullmatch(text) else None
