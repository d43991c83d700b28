"""Command-line tools that need flags or a file. Facts of November 2026; scripts/try-tools runs those that say "run"."""

from proxy.openrouter.tools.model import Arguments, Checked, Kind, Reach, Tool

_OPENAI = (("OPENAI_BASE_URL", "$OAI"), ("OPENAI_API_KEY", "$KEY"))
_CLINE_FILE = """\
{
  "version": 1,
  "lastUsedProvider": "openrouter",
  "providers": {
    "openrouter": {
      "settings": {"provider": "openrouter", "baseUrl": "$OAI", "apiKey": "$KEY", "model": "$MODEL"},
      "updatedAt": "2026-11-01T00:00:00.000Z",
      "tokenSource": "manual"
    }
  }
}
"""
_CONTINUE_FILE = """\
name: OpenRouter
version: 0.0.1
schema: v1
models:
  - name: OpenRouter
    provider: openrouter
    model: $MODEL
    apiBase: $OAI
    apiKey: ${{ secrets.OPENROUTER_API_KEY }}
    roles: [chat, edit, apply]
"""
_PI_FILE = """\
export default function (pi) {
  pi.registerProvider("openrouter", { baseUrl: "$OAI" });
}
"""
_DROID_FILE = """\
{
  "customModels": [
    {
      "id": "custom:$MODEL",
      "model": "$MODEL",
      "displayName": "OpenRouter",
      "baseUrl": "$OAI",
      "apiKey": "${OPENROUTER_API_KEY}",
      "provider": "generic-chat-completion-api",
      "maxOutputTokens": 8192
    }
  ]
}
"""

CODEX = Tool(
    name="Codex CLI",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.169.0", source="openai/codex codex-rs/model-provider-info/src/lib.rs"),
    programs=("codex",),
    packages=("@openai/codex",),
    how="flags, or its file",
    settings="""\
# ~/.codex/config.toml
model = "$MODEL"
model_provider = "openrouter-proxy"

[model_providers.openrouter-proxy]
name = "OpenRouter"
base_url = "$OAI"
env_key = "OPENROUTER_API_KEY"
""",
    arguments=(
        Arguments(
            (
                "-c",
                "model_provider=openrouter-proxy",
                "-c",
                "model_providers.openrouter-proxy.name=OpenRouter",
                "-c",
                "model_providers.openrouter-proxy.base_url=$OAI",
                "-c",
                "model_providers.openrouter-proxy.env_key=OPENROUTER_API_KEY",
            ),
            unless=r"(?:-c=?|--config=)?model_provider=.*|--oss",
        ),
    ),
    traps=(
        "OPENAI_BASE_URL does nothing.",
        "The model must be a slug of OpenRouter's: -m, or `model` in its file.",
        "It warns of unknown model metadata for models that it does not know, and works.",
    ),
    silent="a `model_provider` of your own beats the one that is inserted, and OPENAI_BASE_URL does nothing",
)

QWEN_CODE = Tool(
    name="Qwen Code",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.15.10"),
    programs=("qwen",),
    packages=("@qwen-code/qwen-code",),
    how="variables and a flag",
    variables=(*_OPENAI, ("OPENAI_MODEL", "$MODEL")),
    settings="qwen --auth-type openai",
    # It would call this machine through such a proxy, whatever NO_PROXY says.
    removed=("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    arguments=(Arguments(("--auth-type", "openai"), unless=r"--auth-type(?:=.*)?"),),
    traps=(
        "A saved type of login beats the variables: --auth-type openai is needed then.",
        "OPENROUTER_* alone does nothing.",
        "Where HTTP_PROXY is set it calls even this machine through that proxy, whatever NO_PROXY says: unset it.",
        "Name the model: -m, or OPENAI_MODEL.",
    ),
    silent="--auth-type with another value than openai goes elsewhere",
)

LLM = Tool(
    name="llm",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("run", "0.36"),
    programs=("llm",),
    packages=("llm",),
    how="variables, for its built-in OpenAI models; other slugs need a line in its file",
    variables=_OPENAI,
    settings="""\
# extra-openai-models.yaml in the folder of `llm logs path`, then: llm -m openrouter 'Hello' --key $KEY
- model_id: openrouter
  model_name: $MODEL
  api_base: $OAI
""",
    arguments=(
        Arguments(
            ("--key", "$KEY"),
            # Commands other than the prompt and the chat have no such flag.
            unless=r"--key(?:=.*)?|aliases|collections|embed.*|fragments|install|keys|logs|models|openai|plugins"
            r"|schemas|similar|templates|tools|uninstall|--version|--help|-h",
        ),
    ),
    traps=(
        "A key of `llm keys set openai` beats the variable: --key is needed then.",
        "llm-openrouter (0.7.1) has a fixed address.",
        "A model of extra-openai-models.yaml goes where its api_base says.",
    ),
    key_store="`llm keys set`, which beats the environment",
    silent="only its built-in OpenAI models obey the variables; llm-openrouter has a fixed address",
)

COPILOT = Tool(
    name="Copilot CLI",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "1.0.102", source="copilot help providers"),
    programs=("copilot",),
    packages=("@github/copilot",),
    how="variables of its own",
    variables=(
        ("COPILOT_PROVIDER_BASE_URL", "$OAI"),
        ("COPILOT_PROVIDER_API_KEY", "$KEY"),
        ("COPILOT_MODEL", "$MODEL"),
    ),
    extra=(("COPILOT_PROVIDER_BASE_URL", "$OAI"), ("COPILOT_PROVIDER_API_KEY", "$KEY")),
    removed=("COPILOT_PROVIDER_BEARER_TOKEN", "COPILOT_PROVIDER_API_KEY_COMMAND", "COPILOT_PROVIDER_TYPE"),
    traps=(
        "GitHub's own models are off while COPILOT_PROVIDER_BASE_URL is set.",
        "A model must be named: --model, or COPILOT_MODEL.",
        "For GPT-5 models set COPILOT_PROVIDER_WIRE_API=responses.",
    ),
    silent="a model must be named: --model, or COPILOT_MODEL",
)

CLINE = Tool(
    name="Cline CLI",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "3.0.65", source="cline/cline sdk/packages/shared/src/storage/paths.ts"),
    programs=("cline",),
    packages=("cline",),
    how="a file of settings that a variable names",
    settings='In its settings: API Provider "OpenAI Compatible", Base URL $OAI',
    extra=(
        ("CLINE_PROVIDER_SETTINGS_PATH", "$FOLDER/providers.json"),
        # Its hub is a daemon that outlives the command, and would call the next proxy at this one's address.
        ("CLINE_SESSION_BACKEND_MODE", "local"),
    ),
    files=(("providers.json", _CLINE_FILE),),
    model_flags=("-m", "--model"),
    traps=(
        "It has no variable for the base URL.",
        "Left to itself it starts a hub that outlives it, and that keeps the address of the proxy of its first start.",
    ),
    key_store="its stored provider settings",
    silent="its hub, a daemon, may make the calls: stop it first",
)

CONTINUE = Tool(
    name="Continue CLI",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "1.5.47"),
    programs=("cn",),
    packages=("@continuedev/cli",),
    how="a file of settings that a flag names",
    settings=f"# ~/.continue/config.yaml\n{_CONTINUE_FILE}",
    arguments=(Arguments(("--config", "$FOLDER/config.yaml"), unless=r"--config(?:=.*)?"),),
    files=(("config.yaml", _CONTINUE_FILE),),
    sends="https://www.continue.dev/, Continue, category ide-extension",
    traps=("Under `run` its own configuration is not read: the model is openrouter/auto.",),
    silent="`--config` with a file of your own goes where that file says",
)

PI = Tool(
    name="Pi",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.74.2"),
    programs=("pi",),
    packages=("@earendil-works/pi-coding-agent",),
    how="an extension that a flag names",
    settings=f"// ~/.pi/agent/extensions/openrouter-proxy.js\n{_PI_FILE}",
    arguments=(
        Arguments(("-e", "$FOLDER/openrouter-proxy.js")),
        Arguments(("--api-key", "$KEY"), unless=r"--api-key(?:=.*)?"),
        Arguments(("--provider", "openrouter"), unless=r"--provider(?:=.*)?"),
        Arguments(("--model", "$MODEL"), unless=r"--models?(?:=.*)?"),
    ),
    files=(("openrouter-proxy.js", _PI_FILE),),
    sends="https://pi.dev, pi, category cli-agent",
    traps=("Variables do nothing.", "Its old package, @mariozechner/pi-coding-agent, stays at 0.73."),
    key_store="its auth.json, which beats the environment",
    silent="`--provider` with another name than openrouter goes elsewhere",
)

DROID = Tool(
    name="Factory droid",
    kind=Kind.AGENT,
    reach=Reach.RUN,
    checked=Checked("run", "0.215.0"),
    programs=("droid",),
    packages=("droid", "@factory/cli"),
    how="a file of settings that a flag names, with models named custom:VENDOR/MODEL",
    settings="""\
// ~/.factory/settings.json, then: droid exec -m custom:$MODEL
{"customModels": [{"id": "custom:$MODEL", "model": "$MODEL", "baseUrl": "$OAI",
 "apiKey": "${OPENROUTER_API_KEY}", "provider": "generic-chat-completion-api", "maxOutputTokens": 8192}]}
""",
    arguments=(Arguments(("--settings", "$FOLDER/settings.json"), unless=r"--settings(?:=.*)?"),),
    files=(("settings.json", _DROID_FILE),),
    model_flags=("-m", "--model"),
    model_prefix="custom:",
    traps=("Name models as custom:VENDOR/MODEL; its other models stay Factory's.",),
    silent="only models named custom:VENDOR/MODEL are OpenRouter's: droid exec -m custom:openrouter/auto",
)

KIMI = Tool(
    name="Kimi Code CLI",
    kind=Kind.AGENT,
    reach=Reach.PARTLY,
    checked=Checked("read", when="2026-08", source="ollama/ollama cmd/launch/kimi.go"),
    programs=("kimi",),
    packages=("kimi-cli",),
    how="its flag --config with a provider whose base_url is $OAI",
    sends="not known",
    silent="it takes a base URL from its configuration only: --config",
)
