"""``tools``: which tools can use a proxy on this machine, and the lines that point one of them at it."""

import re
import shlex
from collections.abc import Iterator

from proxy.commands.program import NAME
from proxy.commands.terminal import Style, columns
from proxy.faults import nearest
from proxy.openrouter.tools import TOOLS, BaseUrls, Kind, Reach, Tool, filled, named

MODEL = "openrouter/auto"
"""The slug that examples name: it is one that every account has."""

_KEY_VARIABLE = "OPENROUTER_API_KEY"
_PLAIN = re.compile(r"[\w@%+=:,./\[\]-]*")


class UnknownTool(Exception):
    """No tool has this name; the text is one line that says what to do."""


def listing(style: Style | None = None) -> str:
    """Every tool, a line each."""
    style = style or Style()
    lines: list[str] = []
    for kind in Kind:
        tools = [tool for tool in TOOLS if tool.kind is kind]
        rows = [(tool.slug, _reach(tool, style), _without_names(tool.how)) for tool in tools]
        lines += [style.heading(kind.value), "", *columns(rows), ""]
    lines += [
        "yes: openrouter-proxy run -- TOOL does it all; partly: under the condition that is named.",
        f"{NAME} tools NAME shows the lines to paste for a proxy that runs already, and what goes wrong.",
    ]
    return "\n".join([*lines, ""])


def page(name: str, urls: BaseUrls, style: Style | None = None, *, guarded: bool = False) -> str:
    """What there is to know of one tool, with the addresses of one proxy, which may be ``guarded`` by a token.

    Raises `UnknownTool`.
    """
    style = style or Style()
    tool = named(name)
    if tool is None:
        near = nearest(name.lower(), [tool.slug for tool in TOOLS])
        hint = f"did you mean {near}?" if near else f"{NAME} tools lists all"
        raise UnknownTool(
            f"{name!a} is not a tool that is known here: {hint} "
            f"(the base URL {urls.values['OAI']} fits most tools, {urls.values['ANT']} those with Anthropic's API)"
        )
    return "\n".join([*_parts(tool, urls, style, guarded=guarded), ""])


def _parts(tool: Tool, urls: BaseUrls, style: Style, *, guarded: bool) -> Iterator[str]:
    yield style.heading(tool.name)
    yield ""
    facts = [
        ("uses a local proxy", _reach(tool, style)),
        ("how", _fill(tool.how, urls)),
        ("sends by itself", tool.sends),
    ]
    if tool.key_store:
        facts.append(("a key may come from", tool.key_store))
    yield from columns(
        [*((style.faint(name), text) for name, text in facts), (style.faint("checked"), str(tool.checked))]
    )
    runs = tool.programs and tool.reach in {Reach.RUN, Reach.PARTLY, Reach.UNKNOWN}
    if runs:
        profile = f"--profile {urls.profile} " if urls.profile else ""
        yield from ("", style.heading("With a proxy of its own, which keeps the key from it:"), "")
        yield f"  {NAME} run {profile}-- {tool.programs[0]}"
    if tool.variables or tool.settings:
        yield from ("", style.heading(f"With a proxy that runs at {urls.values['ORIGIN']}:"), "")
        if guarded:
            yield from (
                f"  It asks for its access token: give the tool that, wherever ${_KEY_VARIABLE} stands here.",
                "",
            )
        yield from (f"  {line}" for line in exports(tool, urls))
        if tool.variables and tool.settings:
            yield ""
        yield from (f"  {line}".rstrip() for line in _fill(tool.settings, urls).splitlines())
    if tool.traps:
        yield from ("", style.heading("What goes wrong:"), "")
        yield from (f"  - {_fill(trap, urls)}" for trap in tool.traps)
    if tool.reach is not Reach.NO:
        yield from ("", style.heading("How to see that it arrives:"), "")
        yield "  The proxy prints a line, with a generation id, for each request that reaches it. Then:"
        yield f"  {NAME} verify GENERATION_ID  asks OpenRouter which app it credited"


def exports(tool: Tool, urls: BaseUrls) -> list[str]:
    """The variables of ``tool`` as lines for a shell. The key itself stands in none."""
    lines = []
    for name, template in tool.variables:
        if (name, template) == (_KEY_VARIABLE, "$KEY"):
            lines.append(f"export {name}  # your key, or the proxy's access token")
            continue
        value = filled(template, {**urls.values, "MODEL": MODEL})
        if value == "$KEY":
            lines.append(f'export {name}="${_KEY_VARIABLE}"')
        else:
            lines.append(f"export {name}={value if _PLAIN.fullmatch(value) else shlex.quote(value)}")
    return lines


def _fill(text: str, urls: BaseUrls) -> str:
    return filled(text, {**urls.values, "KEY": f"${_KEY_VARIABLE}", "MODEL": MODEL})


def _without_names(text: str) -> str:
    """For a list, in which no address is meant."""
    return filled(text, {"OAI": ".../api/v1", "ANT": ".../api", "ORIGIN": "..."})


def _reach(tool: Tool, style: Style) -> str:
    colour = {Reach.RUN: style.good, Reach.NO: style.error}.get(tool.reach, style.warning)
    return colour(tool.reach.value)
