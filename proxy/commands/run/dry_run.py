"""``run --dry-run``: the plan as text. Shows no secret: the token, the port and the folder are words."""

import shlex
from collections.abc import Collection, Iterator, Mapping

from proxy.commands.run.plan import Plan
from proxy.commands.terminal import Style, columns

ORIGIN, TOKEN, FOLDER = "http://127.0.0.1:PORT", "TOKEN", "FOLDER"
"""What stands in a plan that is only looked at."""


def report(
    plan: Plan, bare: Mapping[str, str], inherited: Collection[str], facts: Mapping[str, str], style: Style
) -> str:
    """What would be done, in the words of `plan`.

    ``bare`` has the variables' values as they would be in an empty environment: what the user's own ones are joined
    with is theirs, and may be secret. ``inherited`` has the names that are there now.
    """
    return "\n".join([*_parts(plan, bare, inherited, facts, style), ""])


def _parts(
    plan: Plan, bare: Mapping[str, str], inherited: Collection[str], facts: Mapping[str, str], style: Style
) -> Iterator[str]:
    yield style.heading("Would start, beside a proxy of its own:")
    yield ""
    yield f"  {shlex.join(plan.command)}"
    yield ""
    recognised = f"{plan.tool.name} ({plan.tool.reach.value})" if plan.tool else "not a tool that is known here"
    rows = {"recognised as": recognised, "inserted": shlex.join(plan.inserted) or "nothing", **facts}
    yield from columns((style.faint(name), value) for name, value in rows.items())
    yield from (f"  {style.warning(note)}" for note in plan.notes)
    environment = plan.environment
    yield from ("", style.heading("Variables that would be set"), "")
    yield from columns(
        (
            name,
            style.good(bare[name]) if name in bare else f"with {TOKEN} in place of the key",
            _joined(name, bare, plan),
        )
        for name in environment.set
    )
    yield from ("", style.heading("Emptied"), "", *(f"  {name}" for name in environment.emptied))
    gone = [name for name in environment.removed if name in inherited]
    yield from ("", style.heading("Removed"), "", *(f"  {name}" for name in gone or ["(none of them is set)"]))
    if plan.files:
        yield from ("", style.heading(f"Written into a temporary {FOLDER}, and removed at the end"))
        for name, content in plan.files.items():
            yield from ("", f"  {name}", *(f"    {line}".rstrip() for line in content.splitlines()))


def _joined(name: str, bare: Mapping[str, str], plan: Plan) -> str:
    return "(joined with yours)" if name in bare and plan.environment.values[name] != bare[name] else ""
