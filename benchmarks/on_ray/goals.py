"""What the figures on Ray have to show, computed from the medians of one run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.device import SLOW_RATE
from benchmarks.goals import Goal, Medians, times


def _start_counted(peer: str) -> Callable[[Medians], float]:
    """A peer's time over ours, processes and Ray's start and end in both."""
    return lambda m: m["long", peer].total_seconds / m["long", "lancemill"].total_seconds


def _of_decode(m: Medians) -> float:
    """Two groups over one segment that does the decoding alone and writes, in percent."""
    return 100 * m["groups", "lancemill"].rate / m["groups", "one-segment"].rate


def _of_the_device(m: Medians) -> float:
    return 100 * m["slow", "lancemill"].rate / SLOW_RATE


GOALS = (
    Goal("Daft on Ray", 3.0, times("daft", "daft-tuned", "daft-default")),
    Goal("the same kernel inside Ray Data, start included", 1.3, _start_counted("ray-data")),
    Goal("bare Ray tasks at 10,000 pictures, start included", 0.85, _start_counted("bare")),
    Goal("two groups, of one segment, where decode is slower", 85, _of_decode, "%"),
    Goal("two groups, of what decode alone can do", 90, _of_decode, "%"),
    Goal("two groups, of a device that is slower", 90, _of_the_device, "%"),
)
