"""The differences, as Markdown: how many, and rows with the same pattern of outcomes together."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from benchmarks.strictness import rows

_STRICT = ("refuses", "closes", "502", "cuts")
_LAX = ("forwards", "relays")


def verdict(ours: str, theirs: str) -> str:
    """How we compare with another on one row."""
    if ours == theirs or (_is(ours, _STRICT) and _is(theirs, _STRICT) and "goes on" not in ours + theirs):
        return "the same"
    if _is(ours, _STRICT) and not _is(theirs, _STRICT):
        return "we are stricter"
    if _is(theirs, _STRICT) and not _is(ours, _STRICT):
        return "we are laxer"
    return "otherwise different"


def _is(outcome: str, kinds: Sequence[str]) -> bool:
    return outcome.startswith(tuple(kinds))


def as_markdown(versions: dict[str, str], outcomes: dict[str, list[str]]) -> str:
    """Two tables; ``outcomes`` are those of all rows in order, for each proxy, ours first."""
    ours, *others = outcomes
    all_rows: list[rows.RequestRow | rows.AnswerRow] = [*rows.requests(), *rows.answers()]
    lines = [
        f"{len(all_rows)} rows.",
        "",
        "| Against | the same | we are stricter | we are laxer | otherwise different |",
    ]
    lines += ["|---|---|---|---|---|"]
    for other in others:
        counts = Counter(verdict(*pair) for pair in zip(outcomes[ours], outcomes[other], strict=True))
        cells = [str(counts[name]) for name in ("the same", "we are stricter", "we are laxer", "otherwise different")]
        lines.append(f"| {' | '.join([f'{other} {versions[other]}', *cells])} |")

    patterns: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for n, row in enumerate(all_rows):
        pattern = tuple(outcomes[name][n] for name in outcomes)
        if any(verdict(pattern[0], theirs) != "the same" for theirs in pattern[1:]):
            patterns[row.family, *pattern].append(row.name)
    lines += ["", f"| Table | {' | '.join(outcomes)} | Rows |", f"|---|{'---|' * len(outcomes)}---|"]
    for (family, mine, *theirs), names in patterns.items():
        shown = [outcome if verdict(mine, outcome) != "the same" else "=" for outcome in theirs]
        listed = ", ".join(name.replace("|", "\\|") for name in names)
        lines.append(f"| {' | '.join([family, mine, *shown, f'{len(names)}: {listed}'])} |")
    return "\n".join(lines)
