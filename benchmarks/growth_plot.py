"""How cost grows with open streams as a picture: a panel for each figure, a line for each proxy."""

import math
from collections.abc import Mapping
from html import escape

from benchmarks.peers.ours import Ours
from benchmarks.plot import STYLE

_PANELS = (
    ("request_us", "a request, µs of CPU"),
    ("event_us", "an event, µs of CPU"),
    ("memory_mb", "the process, MB of memory"),
)
_WIDTH, _LEFT, _GAP, _RIGHT = 760, 44, 52, 14
_TOP, _HEIGHT, _BOTTOM = 58, 150, 44

_Costs = Mapping[str, Mapping[str, Mapping[str, float]]]


def as_svg(found: _Costs) -> str:
    """The costs by proxy and number of streams, which is on a logarithmic scale."""
    width = (_WIDTH - _LEFT - _RIGHT - (len(_PANELS) - 1) * _GAP) / len(_PANELS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP + _HEIGHT + _BOTTOM}" role="img">',
        "<title>CPU for a request and an event, and memory, by the number of open streams</title>",
        f"<style>{STYLE}</style>",
    ]
    for number, name in enumerate(found):
        x = _LEFT + 170 * number
        parts.append(f'<circle class="{_colour(name)}" fill="currentColor" cx="{x}" cy="16" r="5"/>')
        parts.append(f'<text x="{x + 12}" y="20">{escape(name)}</text>')
    for number, (figure, title) in enumerate(_PANELS):
        parts += _panel(_LEFT + number * (width + _GAP), width, figure, title, found)
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: float, width: float, figure: str, title: str, found: _Costs) -> list[str]:
    counts = sorted({int(number) for by_number in found.values() for number in by_number})
    values = [paid[figure] for by_number in found.values() for paid in by_number.values()]
    if not values:
        return []
    top = _rounded_up(max(values))
    widest = math.log10(max(counts)) or 1.0

    def x(count: float) -> float:
        return left + math.log10(count) / widest * width

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (1 - value / top)

    parts = [f'<text x="{left:.1f}" y="{_TOP - 14}">{title}</text>']
    for share in (0, 0.5, 1):
        at = y(top * share)
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{left + width:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="small" x="{left - 5:.1f}" y="{at + 4:.1f}" text-anchor="end">{top * share:,.0f}</text>'
        )
    parts += [
        f'<text class="small" x="{x(count):.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{_short(count)}</text>'
        for count in counts
    ]
    middle = left + width / 2
    parts.append(
        f'<text class="small" x="{middle:.1f}" y="{_TOP + _HEIGHT + 35}" text-anchor="middle">open streams</text>'
    )
    for name, by_number in found.items():
        points = [(x(int(number)), y(paid[figure])) for number, paid in by_number.items()]
        line = " L".join(f"{across:.1f} {down:.1f}" for across, down in points)
        parts.append(f'<path class="{_colour(name)}" fill="none" stroke="currentColor" stroke-width="2" d="M{line}"/>')
        parts += [
            f'<circle class="{_colour(name)}" fill="currentColor" cx="{across:.1f}" cy="{down:.1f}" r="3.5"/>'
            for across, down in points
        ]
    return parts


def _rounded_up(value: float) -> float:
    """A number that reads well, at or above ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if value <= step * power)


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)


def _colour(name: str) -> str:
    return "blue" if name == Ours.name else "amber"
