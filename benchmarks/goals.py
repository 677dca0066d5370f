"""What the figures have to show, computed from the medians of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.case import DEVICE_RATE


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of one case."""

    rows: int
    seconds: float
    total_seconds: float
    cpu_seconds: float
    peak_rss_mb: float

    @property
    def rate(self) -> float:
        """Images a second, start-up apart."""
        return self.rows / self.seconds


Medians = Mapping[tuple[str, str], Figures]
"""By group and case."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A sentence, the figure that was wanted, and how to compute the one that was found."""

    text: str
    wanted: float
    found: Callable[[Medians], float]
    unit: str = "x"
    at_most: bool = False

    def holds(self, found: float) -> bool:
        """Whether the figure is good enough."""
        return found <= self.wanted if self.at_most else found >= self.wanted


def times(group: str, *peers: str) -> Callable[[Medians], float]:
    """Lancemill's rate over that of the fastest of `peers`."""
    return lambda m: m[group, "lancemill"].rate / max(m[group, peer].rate for peer in peers)


def _less_time(peer: str) -> Callable[[Medians], float]:
    """Share of the time of a staged workflow that is saved, with the start of every process."""
    return lambda m: 100 * (1 - m["staged", "lancemill"].total_seconds / m["staged", peer].seconds)


def _of_device(m: Medians) -> float:
    """Share of the device's rate, or of decode's own where that is lower."""
    reachable = min(DEVICE_RATE, m["lance", "lancemill"].rate)
    return 100 * m["device", "lancemill"].rate / reachable


def _growth(m: Medians) -> float:
    """By how much ten times the pictures raise the peak."""
    once, ten = (m["memory", case].peak_rss_mb for case in ("lancemill", "lancemill-x10"))
    return 100 * abs(ten - once) / once


GOALS = (
    Goal("Daft, tuned", 3.0, times("lance", "daft-tuned", "daft-default")),
    Goal("Ray Data, its own read_images", 3.0, times("lance", "ray-images")),
    Goal("Ray Data, a map with Pillow", 3.0, times("lance", "ray-pillow")),
    Goal(
        "of the JPEG entropy-decode limit",
        55,
        lambda m: 100 * m["limit", "lancemill"].rate / m["limit", "limit"].rate,
        "%",
    ),
    Goal("of the device's or decode's rate", 80, _of_device, "%"),
    Goal("less time than 3 steps with LMDB, 2 processes each", 70, _less_time("staged-pool"), "%"),
    Goal("less time than 3 steps with LMDB, as in the field", 70, _less_time("staged-single"), "%"),
    Goal(
        "less time than 4 steps with tensors in LMDB, 2 processes each",
        70,
        _less_time("tensors-pool"),
        "%",
    ),
    Goal(
        "less time than 4 steps with tensors in LMDB, as in the field",
        70,
        _less_time("tensors-single"),
        "%",
    ),
    Goal("Daft over HTTP", 2.5, times("http", "daft-tuned", "daft-default")),
    Goal("more memory for ten times the pictures", 10, _growth, "%", at_most=True),
)
