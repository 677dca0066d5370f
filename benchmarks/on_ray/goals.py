"""What the figures on Ray have to show, computed from the medians of one run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.device import SLOW_RATE
from benchmarks.goals import Goal, Medians, times


def _start_counted(m: Medians) -> float:
    """Time of bare tasks over ours, processes and Ray's start in both, in percent."""
    return 100 * m["long", "bare"].total_seconds / m["long", "lancemill"].total_seconds


def _of_decode(m: Medians) -> float:
    """Two groups over one segment that does the decoding alone, in percent."""
    return 100 * m["groups", "lancemill"].rate / m["groups", "one-segment"].rate


def _of_the_device(m: Medians) -> float:
    return 100 * m["slow", "lancemill"].rate / SLOW_RATE


def _ratio(*peers: str) -> Callable[[Medians], float]:
    return times("ray", *peers)


GOALS = (
    Goal("Daft on Ray", 3.0, _ratio("daft-tuned", "daft-default")),
    Goal("the same kernel inside Ray Data", 1.3, _ratio("ray-fast")),
    Goal("of bare Ray tasks at 10,000 pictures, start included", 85, _start_counted, "%"),
    Goal("two groups, of decode alone, which is slower", 90, _of_decode, "%"),
    Goal("two groups, of a device that is slower", 90, _of_the_device, "%"),
)
