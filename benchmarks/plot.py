"""The main figures as a picture: one row for each proxy, on a logarithmic scale."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from benchmarks.compare import DIRECT
from benchmarks.measures import Figures
from benchmarks.peers.base import WITH_LOG
from benchmarks.peers.ours import Ours

_Scale = Callable[[float], float]

_WIDTH, _LEFT, _RIGHT = 760, 170, 90
_ROW, _TOP, _BOTTOM = 34, 64, 36
_BLUE, _AMBER = (f'class="{colour}" fill="currentColor"' for colour in ("blue", "amber"))

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.ours { font-weight: 600 }
.grid { stroke: #d1d9e0 }
.blue { color: #0969da }
.amber { color: #bf8700 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .blue { color: #4493f8 }
  .amber { color: #d29922 }
}"""
"""Of all pictures; what is blue or amber is drawn with ``currentColor``."""


def as_svg(all_figures: Mapping[str, Figures]) -> str:
    """CPU for each request and for each event of every proxy that has both or one, cheapest first; "" if none has."""
    rows = [
        (name, figures.get("request_us_32"), figures.get("event_us"))
        for name, figures in all_figures.items()
        if name != DIRECT and not name.endswith(WITH_LOG) and ("request_us_32" in figures or "event_us" in figures)
    ]
    if not rows:
        return ""
    rows.sort(key=lambda row: row[1] or math.inf)
    values = [value for row in rows for value in row[1:] if value]
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values) * 1.01))
    height = _TOP + _ROW * len(rows) + _BOTTOM

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>CPU time of each proxy for a request and for a relayed event</title>",
        f"<style>{STYLE}</style>",
        *_legend(),
        *_grid(range(low, high + 1), x, height),
    ]
    for number, (name, request, event) in enumerate(rows):
        parts += _row(_TOP + _ROW * (number + 0.5), name, [(_BLUE, request), (_AMBER, event)], x)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    return [
        f'<text x="{_LEFT}" y="20">CPU time, µs (logarithmic; less is better):</text>',
        f'<circle {_BLUE} cx="{_LEFT + 300}" cy="16" r="6"/><text x="{_LEFT + 312}" y="20">each request</text>',
        f'<circle {_AMBER} cx="{_LEFT + 410}" cy="16" r="6"/><text x="{_LEFT + 422}" y="20">each event</text>',
    ]


def _grid(decades: Sequence[int], x: _Scale, height: int) -> list[str]:
    parts = []
    for decade in decades:
        at = x(10.0**decade)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 12}" y2="{height - _BOTTOM + 6}"/>')
        parts.append(
            f'<text class="small" x="{at:.1f}" y="{height - 12}" text-anchor="middle">{10**decade:,} µs</text>'
        )
    return parts


def _row(y: float, name: str, marks: Sequence[tuple[str, float | None]], x: _Scale) -> list[str]:
    known = [(colour, value) for colour, value in marks if value]
    ours = ' class="ours"' if name == Ours.name else ""
    parts = [f'<text{ours} x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(name)}</text>']
    ends = [x(value) for _, value in known]
    parts.append(f'<line class="grid" x1="{min(ends):.1f}" x2="{max(ends):.1f}" y1="{y}" y2="{y}" stroke-width="3"/>')
    for colour, value in known:
        right = x(value) == max(ends)
        anchor, away = ("start", 11) if right else ("end", -11)
        parts.append(f'<circle {colour} cx="{x(value):.1f}" cy="{y}" r="6"/>')
        parts.append(
            f'<text class="small" x="{x(value) + away:.1f}" y="{y + 4}" text-anchor="{anchor}">{value:,.0f}</text>'
        )
    return parts
