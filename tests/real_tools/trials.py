"""The tools that are tried, in which versions, by which command, and what would lead each of them astray."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MODEL = "anthropic/claude-sonnet-4.5"
REAL, OTHER = "sk-or-v1-real-0123456789abcdef", "sk-or-v1-other-fedcba9876543210"


@dataclass
class Place:
    """Where one try happens: an empty home and folder, and the address of the server that must get nothing."""

    home: Path
    folder: Path
    elsewhere: str
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, content: object) -> None:
        """``path`` begins with ``~/`` for the home, else it is below the folder."""
        file = self.home / path[2:] if path.startswith("~/") else self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))


@dataclass(frozen=True)
class Trial:
    """One tool: its packages with their versions, the command, and what would lead it astray."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    astray: Callable[[Place], None]
    variables: tuple[tuple[str, str], ...] = ()
    told: str = ""  # what `run` says if the tool cannot be kept from going astray
    seconds: float = 90


def dotenv(place: Place) -> None:
    """What most tools and many programs read from the folder."""
    lines = {
        "OPENROUTER_API_KEY": OTHER,
        "OPENROUTER_API_BASE": f"{place.elsewhere}/api/v1",
        "OPENROUTER_BASE_URL": f"{place.elsewhere}/api/v1",
        "OPENAI_API_KEY": OTHER,
        "OPENAI_BASE_URL": f"{place.elsewhere}/api/v1",
        "OPENAI_API_BASE": f"{place.elsewhere}/api/v1",
        "ANTHROPIC_BASE_URL": f"{place.elsewhere}/api",
        "ANTHROPIC_API_KEY": OTHER,
    }
    place.write(".env", "".join(f"{name}={value}\n" for name, value in lines.items()))
    place.variables |= {**lines, "OPENAI_ORG_ID": "org-other", "OPENAI_PROJECT_ID": "proj-other"}
    del place.variables["OPENROUTER_API_KEY"]


def claude(place: Place) -> None:
    dotenv(place)
    env = {
        "ANTHROPIC_BASE_URL": f"{place.elsewhere}/api",
        "ANTHROPIC_AUTH_TOKEN": OTHER,
        "CLAUDE_CODE_USE_BEDROCK": "1",
    }
    place.write("~/.claude/settings.json", {"env": env, "apiKeyHelper": f"echo {OTHER}"})
    place.write(".claude/settings.local.json", {"env": env})
    place.variables["CLAUDE_CODE_USE_BEDROCK"] = "1"


def codex(place: Place) -> None:
    dotenv(place)
    provider = f'[model_providers.other]\nname = "Other"\nbase_url = "{place.elsewhere}/api/v1"\nenv_key = "OTHER"\n'
    place.write("~/.codex/config.toml", f'model_provider = "other"\nmodel = "other/model"\n\n{provider}')
    place.write("~/.codex/auth.json", {"OPENAI_API_KEY": OTHER})


def opencode(place: Place) -> None:
    dotenv(place)
    options = {"baseURL": f"{place.elsewhere}/api/v1", "apiKey": OTHER}
    place.write("opencode.json", {"provider": {"openrouter": {"options": options}}})
    place.write("~/.local/share/opencode/auth.json", {"openrouter": {"type": "api", "key": OTHER}})


def qwen(place: Place) -> None:
    dotenv(place)
    env = {"OPENAI_BASE_URL": f"{place.elsewhere}/api/v1", "OPENAI_API_KEY": OTHER}
    place.write("~/.qwen/settings.json", {"security": {"auth": {"selectedType": "qwen-oauth"}}, "env": env})


def llm(place: Place) -> None:
    dotenv(place)
    place.write("~/.config/io.datasette.llm/keys.json", {"openai": OTHER})


def copilot(place: Place) -> None:
    dotenv(place)
    place.variables |= {
        "COPILOT_PROVIDER_BASE_URL": f"{place.elsewhere}/api/v1",
        "COPILOT_PROVIDER_BEARER_TOKEN": OTHER,
        "COPILOT_PROVIDER_TYPE": "anthropic",
    }


def cline(place: Place) -> None:
    dotenv(place)
    settings = {
        "provider": "openrouter",
        "baseUrl": f"{place.elsewhere}/api/v1",
        "apiKey": OTHER,
        "model": "other/model",
    }
    stored = {"settings": settings, "updatedAt": "2026-11-01T00:00:00.000Z", "tokenSource": "manual"}
    file = {"version": 1, "lastUsedProvider": "openrouter", "providers": {"openrouter": stored}}
    place.write("~/.cline/data/settings/providers.json", file)


def continue_(place: Place) -> None:
    dotenv(place)
    model: dict[str, object] = {"name": "Other", "provider": "openrouter", "model": "other/model", "apiKey": OTHER}
    model |= {"apiBase": f"{place.elsewhere}/api/v1", "roles": ["chat"]}
    place.write("~/.continue/config.yaml", {"name": "O", "version": "0.0.1", "schema": "v1", "models": [model]})


def pi(place: Place) -> None:
    dotenv(place)
    place.write("~/.pi/agent/auth.json", {"openrouter": {"type": "api_key", "key": OTHER}})
    place.write("~/.pi/agent/models.json", {"providers": {"openrouter": {"baseUrl": f"{place.elsewhere}/api/v1"}}})


def droid(place: Place) -> None:
    dotenv(place)
    model: dict[str, object] = {
        "id": f"custom:{MODEL}",
        "model": "other/model",
        "baseUrl": f"{place.elsewhere}/api/v1",
    }
    model |= {"apiKey": OTHER, "provider": "generic-chat-completion-api", "maxOutputTokens": 100}
    place.write("~/.factory/settings.json", {"customModels": [model]})


def gptme(place: Place) -> None:
    dotenv(place)
    place.write(
        "~/.config/gptme/config.toml", f'[env]\nOPENAI_API_KEY = "{OTHER}"\nOPENAI_BASE_URL = "{place.elsewhere}"\n'
    )
    place.variables["LLM_PROXY_URL"] = f"{place.elsewhere}/api/v1"


def mini(place: Place) -> None:
    dotenv(place)
    place.write(
        "~/.config/mini-swe-agent/.env", f"OPENROUTER_API_KEY={OTHER}\nOPENROUTER_API_BASE={place.elsewhere}/api/v1\n"
    )


def hermes(place: Place) -> None:
    dotenv(place)
    place.write("~/.hermes/.env", f"OPENROUTER_API_KEY={OTHER}\n")


def python(code: str) -> tuple[str, ...]:
    """A program for the Python of the installation."""
    return ("python", "-c", code)


def node(code: str) -> tuple[str, ...]:
    """A program for Node, as a module beside the packages."""
    return ("node", code)


TRIALS = (
    Trial("Claude Code", ("npm:@anthropic-ai/claude-code@2.1.330",), ("claude", "-p", "hi", "--model", MODEL), claude),
    Trial(
        "Codex CLI",
        ("npm:@openai/codex@0.169.0",),
        ("codex", "exec", "--skip-git-repo-check", "-m", MODEL, "hi"),
        codex,
    ),
    Trial(
        "aider",
        ("pypi:aider-chat==0.86.2",),
        ("aider", "--model", f"openrouter/{MODEL}", "--no-git", "--yes-always", "--no-check-update", "--message", "hi"),
        dotenv,
    ),
    Trial("opencode", ("npm:opencode-ai@1.18.33",), ("opencode", "run", "-m", f"openrouter/{MODEL}", "hi"), opencode),
    Trial("Qwen Code", ("npm:@qwen-code/qwen-code@0.15.10",), ("qwen", "-m", MODEL, "-p", "hi"), qwen),
    Trial("llm", ("pypi:llm==0.36",), ("llm", "-m", "gpt-4o-mini", "hi"), llm),
    Trial("Copilot CLI", ("npm:@github/copilot@1.0.102",), ("copilot", "--model", MODEL, "-p", "hi"), copilot),
    Trial("Cline CLI", ("npm:cline@3.0.65",), ("cline", "-m", MODEL, "say hi"), cline),
    Trial("Continue CLI", ("npm:@continuedev/cli@1.5.47",), ("cn", "-p", "hi"), continue_),
    Trial("Pi", ("npm:@earendil-works/pi-coding-agent@0.74.2",), ("pi", "--model", MODEL, "-p", "hi"), pi),
    Trial("Factory droid", ("npm:droid@0.215.0",), ("droid", "exec", "-m", f"custom:{MODEL}", "hi"), droid),
    Trial("gptme", ("pypi:gptme==0.35.1",), ("gptme", "--non-interactive", "-m", f"local/{MODEL}", "hi"), gptme),
    Trial(
        "mini-swe-agent",
        ("pypi:mini-swe-agent==2.4.6",),
        (
            "mini",
            "-m",
            f"openrouter/{MODEL}",
            "-t",
            "hi",
            "-y",
            "--exit-immediately",
            "-c",
            "mini.yaml",
            "-c",
            "agent.step_limit=2",
        ),
        mini,
        variables=(("MSWEA_CONFIGURED", "true"),),  # else it asks, at its first start
    ),
    Trial(
        "hermes-agent",
        ("pypi:hermes-agent==0.19.0",),
        ("hermes", "chat", "-q", "hi", "-m", MODEL, "--provider", "openrouter"),
        hermes,
        told="it takes one from ~/.hermes/.env",
    ),
    Trial(
        "LiteLLM",
        ("pypi:litellm==1.110.2",),
        python(
            f"import litellm; litellm.completion('openrouter/{MODEL}', messages=[{{'role': 'user', 'content': 'hi'}}])"
        ),
        dotenv,
    ),
    Trial(
        "OpenAI SDK (Python)",
        ("pypi:openai==3.54.0",),
        python(
            f"import openai; openai.OpenAI().chat.completions.create(model='{MODEL}', "
            "messages=[{'role': 'user', 'content': 'hi'}])"
        ),
        dotenv,
    ),
    Trial(
        "Anthropic SDK (Python)",
        ("pypi:anthropic==2.14.0",),
        python(
            f"import anthropic; anthropic.Anthropic().messages.create(model='{MODEL}', max_tokens=9, "
            "messages=[{'role': 'user', 'content': 'hi'}])"
        ),
        dotenv,
    ),
    Trial(
        "OpenAI SDK (Node)",
        ("npm:openai@7.57.0",),
        node(
            "import OpenAI from 'openai'; await new OpenAI().chat.completions.create("
            f"{{model: '{MODEL}', messages: [{{role: 'user', content: 'hi'}}]}});"
        ),
        dotenv,
    ),
    Trial(
        "Anthropic SDK (Node)",
        ("npm:@anthropic-ai/sdk@1.14.0",),
        node(
            "import Anthropic from '@anthropic-ai/sdk'; await new Anthropic().messages.create("
            f"{{model: '{MODEL}', max_tokens: 9, messages: [{{role: 'user', content: 'hi'}}]}});"
        ),
        dotenv,
    ),
    Trial(
        "@openrouter/sdk",
        ("npm:@openrouter/sdk@1.3.19",),
        node(
            "import { OpenRouter } from '@openrouter/sdk'; const client = new OpenRouter({apiKey: "
            "process.env.OPENROUTER_API_KEY}); await client.chat.send({chatRequest: "
            f"{{model: '{MODEL}', messages: [{{role: 'user', content: 'hi'}}]}}}});"
        ),
        dotenv,
    ),
    Trial(
        "langchain-openai",
        ("pypi:langchain-openai==1.7.4",),
        python(f"from langchain_openai import ChatOpenAI; ChatOpenAI(model='{MODEL}').invoke('hi')"),
        dotenv,
    ),
    Trial(
        "langchain-openrouter",
        ("pypi:langchain-openrouter==0.2.9",),
        python(f"from langchain_openrouter import ChatOpenRouter; ChatOpenRouter(model='{MODEL}').invoke('hi')"),
        dotenv,
    ),
    Trial(
        "langchain-anthropic",
        ("pypi:langchain-anthropic==1.7.10",),
        python(
            "import os; from langchain_anthropic import ChatAnthropic; "
            f"ChatAnthropic(model='{MODEL}', api_key=os.environ['ANTHROPIC_AUTH_TOKEN']).invoke('hi')"
        ),
        dotenv,
    ),
)
