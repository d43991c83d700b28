"""Command-line tools that ``run`` cannot point anywhere. Facts of 2026, from their code and documentation."""

from proxy.openrouter.tools.model import Checked, Kind, Reach, Tool

_NO_ADDRESS = "it has no setting for the address that it calls"

MODS = Tool(
    name="mods",
    kind=Kind.AGENT,
    reach=Reach.SETTINGS,
    checked=Checked("read", when="2026-03"),
    programs=("mods",),
    how="no variable; an API with its base-url in its own file. Its project has ended",
    silent="it takes its address from its own file only",
)

OPENCLAW = Tool(
    name="OpenClaw",
    kind=Kind.AGENT,
    reach=Reach.SETTINGS,
    checked=Checked("read", source="extensions/openrouter/openrouter-config.ts"),
    programs=("openclaw",),
    packages=("openclaw",),
    how="models.providers.openrouter.baseUrl in its file",
    settings='{"models": {"providers": {"openrouter": {"baseUrl": "$OAI"}}}}',
    traps=("A gateway, which is a daemon, makes its calls and outlives the command: `run` is not for it.",),
    silent="its gateway, a daemon, makes the calls: set the address of a proxy that stays in its file",
)

ROO_CODE = Tool(
    name="Roo Code CLI",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read", when="2026-04", source="RooCodeInc/Roo-Code apps/cli"),
    programs=("roo",),
    how="no way was found: a flag for the key, none for the address. The extension in VS Code has one",
    sends="its own pair",
    silent=_NO_ADDRESS,
)

PLANDEX = Tool(
    name="plandex",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read", when="2025-07"),
    programs=("plandex", "pdx"),
    how="its server makes the calls",
    silent="its server makes the calls",
)

GEMINI = Tool(
    name="Gemini CLI",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read"),
    programs=("gemini",),
    packages=("@google/gemini-cli",),
    how="it speaks Gemini's API, which OpenRouter does not serve",
    silent="it speaks Gemini's API, which OpenRouter does not serve",
)

AMP = Tool(
    name="Amp",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read"),
    programs=("amp",),
    packages=("@sourcegraph/amp",),
    how="its maker's servers call the models",
    silent="its maker's servers call the models",
)

CURSOR = Tool(
    name="Cursor",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read"),
    programs=("cursor-agent", "cursor"),
    how="its maker's servers call the models, and refuse private addresses; so too in its editor",
    silent="its maker's servers call the models",
)

WARP = Tool(
    name="Warp",
    kind=Kind.AGENT,
    reach=Reach.NO,
    checked=Checked("read", source="docs.warp.dev"),
    programs=("warp", "oz"),
    how="its maker's servers call the models, and refuse localhost",
    silent="its maker's servers call the models",
)
