"""The dashboard as a picture: what its queries answered, drawn in its places. Pure.

Grafana is not here to draw it. This shows a person the dashboard's shape and that each panel has
something to say; colours, fonts and axes are not Grafana's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from lancemill import figures
from lancemill.report.chart import nice_above

COLUMN, LINE, GAP, HEAD = 52, 27, 8, 46
COLOURS = ("#3b7dd8", "#d9822b", "#2e9e5b", "#a64dc9", "#c23b4b", "#4aa3a2", "#8a8d29", "#6b7280")
MOST_NAMES = 7
LETTER = 5.8
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#334}.t{font-weight:600;fill:#112}"
    ".r{font-size:15px;font-weight:600}.v{font-size:22px;font-weight:600;fill:#112}"
    ".a{font-size:9px;fill:#889}"
)


@dataclass(frozen=True, slots=True)
class Series:
    """What a query answered: a line, of points in time."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def known(self) -> list[tuple[float, float]]:
        return [point for point in self.points if math.isfinite(point[1])]


def picture(
    board: Mapping[str, Any],
    answers: Mapping[int, Sequence[Series]],
    span: tuple[float, float],
    caption: str,
) -> str:
    """The SVG. `answers` are those of each panel, by its id, and `span` is the time they cover."""
    places = [panel["gridPos"] for panel in board["panels"]]
    height = HEAD + LINE * max(place["y"] + place["h"] for place in places)
    panels = [_panel(one, answers.get(one["id"], ()), span) for one in board["panels"]]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}">',
            f"<style>{STYLE}</style>",
            '<rect width="100%" height="100%" fill="#f3f4f7"/>',
            f'<text class="r" x="{GAP}" y="19">{escape(board["title"])}</text>',
            f'<text x="{GAP}" y="37">{escape(caption)}</text>',
            *panels,
            "</svg>",
            "",
        ]
    )


def value(number: float, unit: str) -> str:
    """A figure with the unit that Grafana's name of it means."""
    match unit:
        case "percentunit":
            return figures.share(number)
        case "s":
            return figures.duration(number)
        case "bytes":
            return figures.size(number)
        case "Bps":
            return f"{figures.size(number)}/s"
        case "reqps":
            return f"{number:.2g}/s"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def legend(form: str, labels: Mapping[str, str]) -> str:
    """`{{stage}}` filled in."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda one: labels.get(one[1], ""), form).strip()


def _panel(panel: Mapping[str, Any], found: Sequence[Series], span: tuple[float, float]) -> str:
    at = panel["gridPos"]
    x, y = at["x"] * COLUMN + GAP / 2, HEAD + at["y"] * LINE + GAP / 2
    width, height = at["w"] * COLUMN - GAP, at["h"] * LINE - GAP
    title = escape(panel["title"])
    if panel["type"] == "row":
        return f'<text class="r" x="{x}" y="{y + 15}">{title}</text>'
    inside = _stat if panel["type"] == "stat" else _course
    return (
        f'<g transform="translate({x} {y})">'
        f'<rect width="{width}" height="{height}" rx="4" fill="#fff" stroke="#d5d8e0"/>'
        f'<text class="t" x="8" y="17">{title}</text>'
        f"{inside(panel, found, span, width, height)}</g>"
    )


def _stat(
    panel: Mapping[str, Any],
    found: Sequence[Series],
    span: tuple[float, float],
    width: float,
    height: float,
) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    form = panel["targets"][0]["legendFormat"]
    shown = [
        f"{value(one.known[-1][1], unit)} {legend(form, one.labels)}" for one in found if one.known
    ]
    text = escape(" · ".join(shown) or "no data")
    return f'<text class="v" x="8" y="{height / 2 + 16}">{text}</text>'


def _course(
    panel: Mapping[str, Any],
    found: Sequence[Series],
    span: tuple[float, float],
    width: float,
    height: float,
) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    lines = sorted((one for one in found if one.known), key=_level, reverse=True)
    if not lines:
        return f'<text x="8" y="{height / 2}">no data</text>'
    names = min(MOST_NAMES, len(lines))
    left, top, wide, high = 52.0, 28.0, width - 60, height - 40 - 13 * math.ceil(names / 2)
    most = 1.0 if unit == "percentunit" else nice_above(max(map(_level, lines)))
    began, length = span[0], max(1e-9, span[1] - span[0])

    def place(point: tuple[float, float]) -> str:
        across = left + wide * (point[0] - began) / length
        return f"{across:.1f} {top + high * (1 - min(1.0, point[1] / most)):.1f}"

    parts = [_axis(share, most, unit, left, top, wide, high) for share in (0.0, 0.5, 1.0)]
    form = panel["targets"][0]["legendFormat"]
    for number, one in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(place(point) for point in one.known)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if number < MOST_NAMES:
            x, y = 8 + width / 2 * (number % 2), top + high + 20 + 13 * (number // 2)
            name = _cut(legend(form, one.labels), width / 2 - 70)
            name = escape(f"{name}  {value(one.known[-1][1], unit)}")
            parts.append(
                f'<rect x="{x}" y="{y - 8}" width="9" height="9" fill="{colour}"/>'
                f'<text x="{x + 13}" y="{y}">{name}</text>'
            )
    return "".join(parts)


def _axis(
    share: float, most: float, unit: str, left: float, top: float, wide: float, high: float
) -> str:
    y = top + high * (1 - share)
    return (
        f'<path d="M{left} {y:.1f}h{wide}" stroke="#e6e8ee"/>'
        f'<text class="a" x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">'
        f"{escape(value(most * share, unit))}</text>"
    )


def _cut(name: str, room: float) -> str:
    """The end of a name tells more than its beginning."""
    most = int(room / LETTER)
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _level(one: Series) -> float:
    return max(point[1] for point in one.known)
