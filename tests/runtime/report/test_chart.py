"""Shapes of a run's course."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill import figures
from lancemill.engine.meter import Meter
from lancemill.engine.progress import HistoryPoint, StageTotals
from lancemill.report.chart import MOST_STEPS, draw, nice_above, thin, time_ticks


def even_course(points: int, share: float = 0.5) -> list[HistoryPoint]:
    def totals(at: int) -> StageTotals:
        return StageTotals("decode", 10 * at, busy_seconds=at * share)

    return [HistoryPoint(float(at), 10 * at, 0, (totals(at),)) for at in range(points)]


def test_a_run_too_short_to_have_a_course_has_no_chart() -> None:
    assert draw(Meter(["decode"], 1).history()) is None
    assert draw(even_course(3)) is None
    assert draw([]) is None


def test_a_steady_stage_is_a_level_line_at_its_rate() -> None:
    chart = draw(even_course(50))
    assert chart is not None
    (lane,) = chart.lanes
    assert (lane.mean, lane.peak, chart.top) == (10, 10, 10)
    assert set(re.findall(r"V([\d.]+)", lane.line)) == {"0.0"}
    assert lane.line.startswith("M0.0 0.0")
    assert lane.line.endswith("H1000.0")
    assert lane.held_up_share == pytest.approx(1)
    assert len(lane.held_up) == 1


def test_a_long_history_is_thinned_without_changing_the_mean() -> None:
    history = even_course(600)
    points = thin(history)
    assert len(points) <= MOST_STEPS + 1
    assert (points[0], points[-1]) == (history[0], history[-1])
    chart = draw(history)
    assert chart is not None
    assert chart.lanes[0].mean == pytest.approx(10)
    assert chart.lanes[0].peak == pytest.approx(10)


def test_a_stage_that_does_nothing_is_drawn_on_the_ground() -> None:
    idle = [HistoryPoint(float(at), 0, 0, (StageTotals("decode"),)) for at in range(10)]
    chart = draw(idle)
    assert chart is not None
    assert chart.lanes[0].held_up == ()
    assert set(re.findall(r"V([\d.]+)H", chart.lanes[0].line)) == {"100.0"}


def test_a_stage_that_works_less_than_half_of_the_time_is_not_drawn_as_the_bottleneck() -> None:
    chart = draw(even_course(50, share=0.4))
    assert chart is not None
    assert (chart.lanes[0].held_up, chart.lanes[0].held_up_share) == ((), 0)


@given(st.floats(1e-6, 1e12))
def test_the_upper_edge_is_round_and_not_far_above_the_peak(value: float) -> None:
    assert value * 0.999 <= nice_above(value) <= value * 2.001


@given(st.floats(0.5, 10**6))
def test_the_time_axis_has_few_marks_none_beyond_the_end(seconds: float) -> None:
    ticks = time_ticks(seconds)
    assert 1 < len(ticks) <= 8
    assert ticks[0].label == "0"
    assert all(0 <= tick.percent <= 100.001 for tick in ticks)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (figures.share(0.0135), "1.35%"),
        (figures.share(0.00006), "0.006%"),
        (figures.share(0.9999), "99.9%"),
        (figures.share(1), "100%"),
        (figures.share(0), "0%"),
        (figures.size(999), "999 B"),
        (figures.size(999_600), "1.0 MB"),
        (figures.size(66_000_000), "66 MB"),
        (figures.duration(0), "0 s"),
        (figures.duration(0.04), "40 ms"),
        (figures.duration(0.9), "0.9 s"),
        (figures.duration(59.6), "1 min"),
        (figures.duration(125), "2 min 5 s"),
        (figures.duration(4321), "1 h 12 min"),
        (figures.rate(2.44), "2.4 rows/s"),
        (figures.rows(1), "1 row"),
        (figures.reason_words("HttpStatus"), "HTTP status"),
    ],
)
def test_figures_read_as_people_write_them(found: str, expected: str) -> None:
    assert found == expected
