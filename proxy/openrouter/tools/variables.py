"""The environment that ``run`` gives to every program: what is set, emptied and taken out, and for whose sake."""

from dataclasses import dataclass

_OPENCODE = '{"provider":{"openrouter":{"options":{"baseURL":"$OAI","apiKey":"$KEY"}}}}'


@dataclass(frozen=True, slots=True)
class Variable:
    """One that is set; `obeyed_by` is for people."""

    name: str
    value: str
    obeyed_by: str


SET = (
    Variable("OPENAI_BASE_URL", "$OAI", "OpenAI's SDKs and what is built on them; not Codex"),
    Variable("OPENAI_API_BASE", "$OAI", "aider, CrewAI, older LiteLLM and LangChain"),
    Variable("OPENROUTER_BASE_URL", "$OAI", "@openrouter/sdk, hermes-agent, CrewAI, tgpt"),
    Variable("OPENROUTER_API_BASE", "$OAI", "LiteLLM and what is built on it, langchain-openrouter, aichat"),
    Variable("OPENROUTER_HOST", "$ORIGIN", "goose"),
    Variable("ANTHROPIC_BASE_URL", "$ANT", "Claude Code, Anthropic's SDKs, LiteLLM"),
    Variable("OPENAI_API_ENDPOINT", "$OAI", "Crush"),
    Variable("ANTHROPIC_API_ENDPOINT", "$ANT", "Crush"),
    Variable("OPENAI_API_KEY", "$KEY", "all that speak OpenAI's API; a key of OpenAI's would be sent to OpenRouter"),
    Variable("OPENROUTER_API_KEY", "$KEY", "all that know OpenRouter"),
    Variable("OPENROUTER_KEY", "$KEY", "llm-openrouter"),
    Variable("ANTHROPIC_AUTH_TOKEN", "$KEY", "Claude Code, Anthropic's SDKs, LiteLLM"),
    Variable("CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1", "Claude Code, so that its settings files do not win"),
    Variable("OPENCODE_CONFIG_CONTENT", _OPENCODE, "opencode; merged into a value that is there"),
    Variable("KILO_CONFIG_CONTENT", _OPENCODE, "Kilo CLI; merged into a value that is there"),
    Variable(
        "AIDER_SET_ENV",
        "[OPENROUTER_API_BASE=$OAI,OPENROUTER_API_KEY=$KEY,OPENAI_API_BASE=$OAI,OPENAI_API_KEY=$KEY]",
        "aider, which otherwise reads .env files over its environment",
    ),
    Variable("NO_PROXY", "127.0.0.1,localhost,::1", "all, where HTTP_PROXY is set; added to a value that is there"),
    Variable("no_proxy", "127.0.0.1,localhost,::1", "the same"),
)

EMPTIED = (
    # Empty rather than gone: a loader of .env files that does not override then leaves it alone.
    Variable("ANTHROPIC_API_KEY", "", "Anthropic's SDKs prefer it to the token; Claude Code asks a question about it"),
)

REMOVED = (
    Variable("ANTHROPIC_API_URL", "", "langchain-anthropic reads it before the base URL"),
    Variable("CLAUDE_CODE_USE_BEDROCK", "", "Claude Code would call another provider; so with the next seven"),
    Variable("CLAUDE_CODE_USE_VERTEX", "", ""),
    Variable("CLAUDE_CODE_USE_FOUNDRY", "", ""),
    Variable("CLAUDE_CODE_USE_MANTLE", "", ""),
    Variable("CLAUDE_CODE_USE_ANTHROPIC_AWS", "", ""),
    Variable("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "", ""),
    Variable("CLAUDE_CODE_USE_GATEWAY", "", ""),
    Variable("ANTHROPIC_UNIX_SOCKET", "", ""),
    Variable("OPENAI_ORG_ID", "", "OpenAI's SDKs and Codex send it as a header; so with the next three"),
    Variable("OPENAI_ORGANIZATION", "", ""),
    Variable("OPENAI_PROJECT_ID", "", ""),
    Variable("OPENAI_PROJECT", "", ""),
)

OWN_SECRETS = r"OPENROUTER_(?:API_KEY_FILE|ACCESS_TOKEN(?:_FILE)?|ENV_FILE|OUTBOUND_PROXY(?:_FILE)?"
OWN_SECRETS += r"|EXTRA_HEADERS(?:_FILE)?|PROFILES__.*)"
"""The proxy's own secrets, where they stand, and what may hold some: a regular expression for whole names."""
