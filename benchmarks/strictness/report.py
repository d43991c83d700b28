"""The differences, as Markdown: how many there are, and for each group of rows how many each proxy lets pass."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from benchmarks.strictness import rows
from benchmarks.strictness.groups import GROUPS, Group, group_of

_REFUSED = ("refuses", "closes", "502", "cuts")
_PASSED = ("forwards", "relays")
_VERDICTS = ("the same", "we are stricter", "we are laxer", "otherwise different")


def verdict(ours: str, theirs: str) -> str:
    """How we compare with another on one row."""
    if ours == theirs or (_is(ours, _REFUSED) and _is(theirs, _REFUSED) and "goes on" not in ours + theirs):
        return "the same"
    if _is(ours, _REFUSED) and not _is(theirs, _REFUSED):
        return "we are stricter"
    if _is(theirs, _REFUSED) and not _is(ours, _REFUSED):
        return "we are laxer"
    return "otherwise different"


def _is(outcome: str, kinds: Sequence[str]) -> bool:
    return outcome.startswith(tuple(kinds))


def as_markdown(versions: dict[str, str], outcomes: dict[str, list[str]]) -> str:
    """How many rows differ, in which groups, and the rows in which we are not the stricter one.

    ``outcomes`` are those of all rows in order, for each proxy, ours first.
    """
    names = list(outcomes)
    ours, *others = names
    all_rows: list[rows.RequestRow | rows.AnswerRow] = [*rows.requests(), *rows.answers()]
    lines = [
        f"Of {len(all_rows)} rows:",
        "",
        f"| Against | {' | '.join(_VERDICTS)} |",
        f"|---|{'---|' * len(_VERDICTS)}",
    ]
    for other in others:
        counts = Counter(verdict(*pair) for pair in zip(outcomes[ours], outcomes[other], strict=True))
        lines.append(f"| {' | '.join([f'{other} {versions[other]}', *(str(counts[each]) for each in _VERDICTS)])} |")

    by_group: dict[Group, list[int]] = defaultdict(list)
    for n, row in enumerate(all_rows):
        by_group[group_of(row)].append(n)
    lines += [
        "",
        "## By groups",
        "",
        f"| Let pass, of so many rows | {' | '.join(names)} | Why |",
        f"|---|{'---|' * len(names)}---|",
    ]
    for group in GROUPS:
        members = by_group[group]
        if any(verdict(outcomes[ours][n], outcomes[other][n]) != "the same" for n in members for other in others):
            cells = [_passed(outcomes[name][n] for n in members) for name in names]
            lines.append(f"| {' | '.join([f'{group.title}: {len(members)}', *cells, group.reason])} |")

    patterns: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for n, row in enumerate(all_rows):
        pattern = tuple(outcomes[name][n] for name in names)
        if any(verdict(pattern[0], theirs) in _VERDICTS[2:] for theirs in pattern[1:]):
            patterns[pattern].append(row.name)
    lines += [
        "",
        "## Where we are not the stricter one",
        "",
        f"| Rows | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for (mine, *theirs), listed in patterns.items():
        shown = ["=" if verdict(mine, each) == "the same" else each for each in theirs]
        lines.append(f"| {' | '.join([_listed(listed), mine, *shown])} |")
    return "\n".join(lines)


def _passed(outcomes: Iterable[str]) -> str:
    counts = Counter(outcomes)
    passed = sum(count for outcome, count in counts.items() if _is(outcome, _PASSED))
    hidden = counts["forwards the hidden request"]
    hangs = sum(count for outcome, count in counts.items() if "hangs" in outcome)
    more = [f"{hidden} with the request hidden in it"] * bool(hidden) + [f"{hangs} hang"] * bool(hangs)
    return f"{passed}{' (' + ', '.join(more) + ')' if more else ''}"


def _listed(names: list[str]) -> str:
    shown = (f"`{name}`" if "\\" in name or "'" in name else name for name in dict.fromkeys(names))
    return ", ".join(shown).replace("|", "\\|")
