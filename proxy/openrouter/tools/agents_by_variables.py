"""Command-line tools that obey variables. Facts of November 2026; scripts/try-tools runs those that say "run"."""

from proxy.openrouter.tools.model import Checked, Kind, Reach, Tool

_OPENAI = (("OPENAI_BASE_URL", "$OAI"), ("OPENAI_API_KEY", "$KEY"))
_LITELLM = (("OPENROUTER_API_BASE", "$OAI"), ("OPENROUTER_API_KEY", "$KEY"))
_ANTHROPIC = (("ANTHROPIC_BASE_URL", "$ANT"), ("ANTHROPIC_AUTH_TOKEN", "$KEY"), ("ANTHROPIC_API_KEY", ""))
_OPENCODE = '{"provider":{"openrouter":{"options":{"baseURL":"$OAI","apiKey":"{env:OPENROUTER_API_KEY}"}}}}'
_LITELLM_SENDS = "https://litellm.ai, liteLLM"
_AIDER_FILE = """\
OPENROUTER_API_BASE=$OAI
OPENROUTER_API_KEY=$KEY
OPENAI_API_BASE=$OAI
OPENAI_API_KEY=$KEY
"""

CLAUDE_CODE = Tool(
    name="Claude Code",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "2.1.330"),
    programs=("claude",),
    packages=("@anthropic-ai/claude-code",),
    how="variables",
    variables=_ANTHROPIC,
    traps=(
        "An `env` in its settings (~/.claude/settings.json, .claude/settings.json) beats the environment.",
        "Under `run` it does not: CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST=1 is set.",
        "`--settings '{\"env\":{...}}'` beats that as well.",
        "A base URL without ANTHROPIC_AUTH_TOKEN sends your claude.ai login to the proxy: set both.",
        "Its default model has no vendor prefix; name one with --model or ANTHROPIC_MODEL if OpenRouter refuses it.",
        "Under `run`, a `claude` that it starts by itself (in its Bash tool) says 'Not logged in'.",
    ),
    silent="`--settings` with an `env` of its own beats the environment",
)

AIDER = Tool(
    name="aider",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.86.2", source="Aider-AI/aider aider/main.py"),
    programs=("aider",),
    packages=("aider-chat",),
    how="variables, with models named openrouter/VENDOR/MODEL or openai/VENDOR/MODEL",
    variables=_LITELLM,
    extra=(("AIDER_ENV_FILE", "$FOLDER/aider.env"),),
    files=(("aider.env", _AIDER_FILE),),
    sends="https://aider.chat, Aider",
    traps=(
        "It reads .env of the home, the repository and the folder over its environment. Under `run` that does not win.",
        "Its list of models is fetched from openrouter.ai directly.",
    ),
    key_store=".env in the folder, the repository or the home",
    silent="the model's name must begin with openrouter/ or openai/",
)

OPENCODE = Tool(
    name="opencode",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "1.18.33"),
    programs=("opencode",),
    packages=("opencode-ai",),
    how="a variable with a piece of its configuration; the provider is `openrouter`",
    variables=(("OPENCODE_CONFIG_CONTENT", _OPENCODE),),
    sends="https://opencode.ai/, opencode",
    traps=(
        "Only its provider `openrouter` is redirected: name models openrouter/VENDOR/MODEL.",
        "A second, small model is called as well, for titles.",
    ),
    key_store="`opencode auth login` (auth.json), if the key is not in OPENCODE_CONFIG_CONTENT",
    silent="only its provider openrouter is redirected: -m openrouter/VENDOR/MODEL",
)

GPTME = Tool(
    name="gptme",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("run", "0.35"),
    programs=("gptme",),
    packages=("gptme",),
    how="variables, with -m openai/VENDOR/MODEL (Responses) or -m local/VENDOR/MODEL (Chat)",
    variables=(*_OPENAI, ("OPENAI_API_BASE", "$OAI")),
    removed=("LLM_PROXY_URL",),
    traps=(
        "Models named openrouter/... have a fixed address.",
        "Its background calls use gpt-5-mini, which is not a slug of OpenRouter's.",
    ),
    silent="models named openrouter/... have a fixed address: write -m openai/VENDOR/MODEL or -m local/VENDOR/MODEL",
)

HERMES = Tool(
    name="hermes-agent",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.19"),
    programs=("hermes",),
    packages=("hermes-agent",),
    how="variables",
    variables=(("OPENROUTER_BASE_URL", "$OAI"), ("OPENROUTER_API_KEY", "$KEY")),
    traps=(
        "~/.hermes/.env is read over the environment: take OPENROUTER_* out of it.",
        "It asks for paths that OpenRouter does not have (404 in the log), which is harmless.",
    ),
    key_store="~/.hermes/.env, which beats the environment: take OPENROUTER_* out of it",
    silent="~/.hermes/.env beats the environment: take OPENROUTER_* out of it",
)

MINI_SWE_AGENT = Tool(
    name="mini-swe-agent",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "2.4"),
    programs=("mini", "mini-extra"),
    packages=("mini-swe-agent",),
    how="variables, with models named openrouter/VENDOR/MODEL",
    variables=_LITELLM,
    sends=_LITELLM_SENDS,
    traps=("--model-class openrouter has a fixed address.",),
    silent="--model-class openrouter has a fixed address; leave it out",
)

SHELL_GPT = Tool(
    name="shell-gpt",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "1.5.1", source="sgpt/config.py"),
    programs=("sgpt",),
    packages=("shell-gpt",),
    how="variables",
    variables=(*_OPENAI, ("DEFAULT_MODEL", "$MODEL")),
    traps=("Never set API_BASE_URL: it writes that into its file for good.",),
    silent="an API_BASE_URL in its file (~/.config/shell_gpt/.sgptrc) beats the variable",
)

GOOSE = Tool(
    name="goose",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("read", source="block/goose crates/goose/src/providers/openrouter.rs, config/base.rs"),
    programs=("goose",),
    how="variables, which beat its config.yaml and its keyring",
    variables=(("GOOSE_PROVIDER", "openrouter"), ("OPENROUTER_HOST", "$ORIGIN"), ("OPENROUTER_API_KEY", "$KEY")),
    extra=(("GOOSE_PROVIDER", "openrouter"),),
    sends="https://goose-docs.ai, goose",
)

KILO = Tool(
    name="Kilo CLI",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("read", "7.8", source="Kilo-Org/kilocode packages/opencode/src/flag/flag.ts"),
    programs=("kilo", "kilocode"),
    packages=("@kilocode/cli",),
    how="a variable with a piece of its configuration, as opencode, of which it is a fork",
    variables=(("KILO_CONFIG_CONTENT", _OPENCODE),),
    sends="not known",
    silent="only its provider openrouter is redirected: -m openrouter/VENDOR/MODEL",
)

CRUSH = Tool(
    name="Crush",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("read", "0.96", source="charmbracelet/crush internal/agent/coordinator.go, config/load.go"),
    programs=("crush",),
    packages=("@charmland/crush",),
    how="variables, for its providers `openai` and `anthropic` and their own model names",
    variables=(
        ("OPENAI_API_ENDPOINT", "$OAI"),
        ("OPENAI_API_KEY", "$KEY"),
        ("ANTHROPIC_API_ENDPOINT", "$ANT"),
        ("ANTHROPIC_API_KEY", "$KEY"),
    ),
    settings="""\
# ~/.config/crush/crush.json, for all models
{"providers": {"openrouter-proxy": {"type": "openai-compat", "base_url": "$OAI", "api_key": "$$OPENROUTER_API_KEY",
 "models": [{"id": "$MODEL", "name": "$MODEL", "context_window": 200000, "default_max_tokens": 8192}]}}}
""",
    traps=("Its provider `openrouter` ignores every base URL.",),
    silent="its provider openrouter ignores every base URL: use its provider openai, or one of its own file",
)

AICHAT = Tool(
    name="aichat",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("read", "0.30", source="sigoden/aichat src/client/macros.rs"),
    programs=("aichat",),
    how="variables, which beat its file",
    variables=(*_LITELLM, ("AICHAT_PLATFORM", "openrouter")),
    sends="not known",
    traps=("The variables are named after the client's name in your file: OPENROUTER_... fits one named openrouter.",),
    silent="only a client that is named openrouter in its file obeys OPENROUTER_API_BASE",
)

TGPT = Tool(
    name="tgpt",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("read", when="2026-08", source="aandrew-me/tgpt src/providers/openrouter"),
    programs=("tgpt",),
    how="variables, with --provider openrouter",
    variables=(("OPENROUTER_BASE_URL", "$OAI"), ("OPENROUTER_API_KEY", "$KEY")),
    sends="not known",
    silent="it needs --provider openrouter",
)

SWE_AGENT = Tool(
    name="SWE-agent",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("read"),
    programs=("sweagent",),
    packages=("sweagent",),
    how="variables, as LiteLLM; or --agent.model.api_base $OAI",
    variables=_LITELLM,
    sends=_LITELLM_SENDS,
)

OPEN_INTERPRETER = Tool(
    name="Open Interpreter",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("read", "0.4.3"),
    programs=("interpreter",),
    packages=("open-interpreter",),
    how="variables, as LiteLLM; or --api_base $OAI",
    variables=_LITELLM,
    sends=_LITELLM_SENDS,
)

OPENHANDS = Tool(
    name="OpenHands CLI",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("read"),
    programs=("openhands",),
    packages=("openhands",),
    how="variables, if it is started with --override-with-envs",
    variables=(("LLM_MODEL", "openrouter/$MODEL"), ("LLM_BASE_URL", "$OAI"), ("LLM_API_KEY", "$KEY")),
    extra=(("LLM_BASE_URL", "$OAI"), ("LLM_API_KEY", "$KEY")),
    sends=_LITELLM_SENDS,
    silent="it ignores the environment without --override-with-envs",
)

ORI = Tool(
    name="Ori Harness",
    kind=Kind.AGENT,
    reach=Reach.UNKNOWN,
    checked=Checked("unsure", when="2026-10", source="OpenRouter's guides ori/harness.mdx, ori/env-vars.mdx"),
    programs=("ori",),
    how="variables; what it passes on to the tool that it starts is not documented",
    variables=(
        ("ORI_OPENROUTER_BASE_URL", "$OAI"),
        ("OPENROUTER_API_KEY", "$KEY"),
        ("ORI_FORCE_OPENROUTER_API_KEY", "1"),
    ),
    extra=(("ORI_OPENROUTER_BASE_URL", "$OAI"), ("ORI_FORCE_OPENROUTER_API_KEY", "1")),
    sends="not known",
)
