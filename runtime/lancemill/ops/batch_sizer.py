"""How many rows a model should get at once, found by measuring.

On a GPU larger batches are faster; on a CPU they often are not (567 images/s at 1, 286 at 32 for
one common classifier). So sizes 1, 2, 4, … are tried upwards for as long as they help, the best is
kept, and its neighbours are tried again now and then. Pure: it is told what was measured, and says
what to do next. Sizes change only how fast rows come, never which.
"""

from __future__ import annotations

TRIALS = 3
"""Measurements of a size before it is judged; the first call of a shape also plans its memory."""
CLEARLY = 1.03
"""A size must be this much faster to be preferred: less is noise."""
PATIENCE = 2
"""Sizes in a row without gain, after which larger ones are not tried."""
STEADY_CALLS = 512
"""Calls at the best size before its neighbours are tried again."""


class BatchSizer:
    """Ask `size()`, run that many rows, tell `record(...)`."""

    def __init__(self, most: int) -> None:
        self._sizes = _powers(most)
        self._rates: dict[int, float] = {}
        self._best = 0
        self._trying: list[int] = list(range(len(self._sizes)))
        self._measured: list[float] = []
        self._without_gain = 0
        self._calls = 0

    def size(self) -> int:
        """Rows for the next call."""
        return self._sizes[self._trying[0] if self._trying else self._best]

    @property
    def best(self) -> int:
        """The fastest size so far."""
        return self._sizes[self._best]

    def record(self, rows: int, seconds: float) -> None:
        """Note a call. Calls of another size than asked for (a batch's rest) say nothing."""
        if rows != self.size() or len(self._sizes) == 1:
            return
        if not self._trying:
            self._calls += 1
            if self._calls >= STEADY_CALLS:
                self._look_around()
            return
        self._measured.append(rows / max(seconds, 1e-9))
        if len(self._measured) == TRIALS:
            self._judge(self._trying.pop(0), max(self._measured[1:]))
            self._measured = []

    def _judge(self, index: int, rate: float) -> None:
        self._rates[index] = rate
        if index == self._best:
            return
        if rate > self._rates.get(self._best, 0.0) * CLEARLY:
            self._best = index
            self._without_gain = 0
        else:
            self._without_gain += 1
            if self._without_gain >= PATIENCE:
                self._trying = []

    def _look_around(self) -> None:
        """Measure the best size and its neighbours anew: other work may have come or gone."""
        self._calls = 0
        self._without_gain = 0
        around = (self._best, self._best - 1, self._best + 1)
        self._trying = [index for index in around if 0 <= index < len(self._sizes)]


def _powers(most: int) -> list[int]:
    sizes = [1]
    while sizes[-1] * 2 < most:
        sizes.append(sizes[-1] * 2)
    return [*sizes, most] if most > sizes[-1] else sizes
