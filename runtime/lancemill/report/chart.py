"""The course of a run as shapes: each stage's rows/s over time, and when it held up the others.

Pure: the meter's history in, coordinates out. One lane a stage, because stages of one stream have
almost the same rate and their lines would lie on each other. All lanes share both axes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lancemill import figures
from lancemill.engine.progress import HistoryPoint, StageProgress, find_bottleneck, stage_progress
from lancemill.report.verdict import BUSY

WIDTH, HEIGHT = 1000, 100
"""Units of the drawing; the page stretches it."""
MOST_STEPS = 120
FEWEST_STEPS = 4
"""A course of fewer steps says nothing that the table does not."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in units of the drawing."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One stage's course."""

    name: str
    line: str
    """SVG path of its rate, in steps: each step is the mean over its time."""
    area: str
    mean: float
    peak: float
    held_up: tuple[Span, ...]
    """When it was the bottleneck: the busiest, and busy enough to hold up anybody."""
    held_up_share: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis."""

    percent: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All lanes, on common axes."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    top: float
    """Rows/s at the upper edge of each lane."""


def draw(history: Sequence[HistoryPoint]) -> Chart | None:
    """The chart; None where the run was too short to have a course."""
    points = thin(history)
    if len(points) <= FEWEST_STEPS or not points[0].stages:
        return None
    began, length = points[0].seconds, points[-1].seconds - points[0].seconds
    edges = [WIDTH * (point.seconds - began) / length for point in points]
    steps = [stage_progress(before, after) for before, after in pairwise(points)]
    top = nice_above(max(stage.rows_per_second for step in steps for stage in step))
    whole = stage_progress(points[0], points[-1])
    lanes = tuple(
        _lane(stage, [step[at] for step in steps], steps, edges, top)
        for at, stage in enumerate(whole)
    )
    return Chart(lanes, time_ticks(length), top)


def thin(history: Sequence[HistoryPoint], most: int = MOST_STEPS) -> list[HistoryPoint]:
    """At most `most` + 1 points, spread evenly over time; counters are cumulative, so that the
    rates between the points that stay are true."""
    if len(history) <= most + 1:
        return list(history)
    times = [point.seconds for point in history]
    began, length = times[0], times[-1] - times[0]
    wanted = (began + length * step / most for step in range(most + 1))
    places = dict.fromkeys(min(bisect_left(times, at), len(times) - 1) for at in wanted)
    return [history[place] for place in places]


def nice_above(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next(step * power for step in steps if step * power >= value * 0.999)


def time_ticks(seconds: float, most: int = 6) -> tuple[Tick, ...]:
    """Marks at round times, the first at 0."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((step for step in steps if seconds / step <= most), seconds / most)
    marks = range(int(seconds / step + 1e-9) + 1)
    return tuple(Tick(100 * mark * step / seconds, _time(mark * step)) for mark in marks)


def _lane(
    whole: StageProgress,
    course: Sequence[StageProgress],
    steps: Sequence[Sequence[StageProgress]],
    edges: Sequence[float],
    top: float,
) -> Lane:
    heights = [HEIGHT * (1 - stage.rows_per_second / top) for stage in course]
    line = f"M{edges[0]:.1f} {heights[0]:.1f}" + "".join(
        f"V{height:.1f}H{edge:.1f}" for height, edge in zip(heights, edges[1:], strict=True)
    )
    found = [find_bottleneck(step) for step in steps]
    holds = [one is not None and one.stage == whole.name and one.share >= BUSY for one in found]
    spans = _spans(holds, edges)
    return Lane(
        name=whole.name,
        line=line,
        area=f"{line}V{HEIGHT}H{edges[0]:.1f}Z",
        mean=whole.rows_per_second,
        peak=max(stage.rows_per_second for stage in course),
        held_up=spans,
        held_up_share=sum(span.width for span in spans) / WIDTH,
    )


def _spans(holds: Sequence[bool], edges: Sequence[float]) -> tuple[Span, ...]:
    """Neighbouring steps joined."""
    spans: list[Span] = []
    for held, left, right in zip(holds, edges, edges[1:], strict=False):
        if not held:
            continue
        if spans and math.isclose(spans[-1].x + spans[-1].width, left):
            spans[-1] = Span(spans[-1].x, right - spans[-1].x)
        else:
            spans.append(Span(left, right - left))
    return tuple(spans)


def _time(seconds: float) -> str:
    return "0" if seconds == 0 else figures.duration(seconds).replace(".0 s", " s")
