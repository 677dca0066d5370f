"""Counts what a run does, while it does it: cheap for those who work, one picture for who asks.

Workers add to `StageCounters`, once a batch; `Meter.sample()` makes a `Progress` of them. Rates and
busy shares are those of a sliding window; a bounded history of the whole run is kept for its page.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from lancemill.engine.counters import Call, Clock, StageCounters
from lancemill.engine.gpu_idle import GpuIdle
from lancemill.engine.progress import (
    HistoryPoint,
    Progress,
    StageTotals,
    find_bottleneck,
    per_second,
    percent,
    stage_progress,
)

__all__ = ["Call", "Meter", "StageCounters"]

WINDOW_SECONDS = 10.0
"""Rates and busy shares are those of the last ten seconds: long enough to read, short enough to
notice a stage that stands still."""
SHORTEST_STEP = 0.2
"""Samples closer together than this are shown and not kept."""
HISTORY_POINTS = 600


class Meter:
    """Counters of one run, and what they say. All methods may be called from any thread."""

    def __init__(
        self,
        stages: Sequence[str],
        rows_total: int | None,
        clock: Clock = time.monotonic,
        *,
        shards_total: int | None = None,
        max_fault_rate: float | None = None,
    ) -> None:
        self.rows_total = rows_total
        self.shards_total = shards_total
        self.max_fault_rate = max_fault_rate
        self._clock = clock
        self._began = clock()
        self._stages = {name: StageCounters(name, clock=clock) for name in stages}
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._gpu_idle = GpuIdle()
        self._rows_done = self._bytes_in = self._bytes_out = self._shards_done = 0
        self._cpu_elsewhere = 0.0
        self._touched = self._began
        self._resting = False
        self._lacking_since: float | None = None
        self._set_aside: Counter[str] = Counter()
        self._window: deque[HistoryPoint] = deque([self._point()])
        self._history: list[HistoryPoint] = [self._window[0]]
        self._step = SHORTEST_STEP

    def stage(self, name: str) -> StageCounters:
        """The counters of a stage; KeyError when the meter was made without it."""
        return self._stages[name]

    def advance(
        self, rows: int = 0, *, bytes_in: int = 0, bytes_out: int = 0, shards: int = 0
    ) -> None:
        """Count source rows that are dealt with, bytes read from stores and written to the sink,
        and shards that are finished."""
        with self._lock:
            self._rows_done += rows
            self._bytes_in += bytes_in
            self._bytes_out += bytes_out
            self._shards_done += shards

    def resumed(self, rows: int, shards: int) -> None:
        """Count what an earlier attempt finished: done, but nothing that this one's rate may claim.

        To be called before the first row moves.
        """
        self.advance(rows, shards=shards)
        with self._lock:
            self._window = deque([self._point()])
            self._history = [self._window[0]]

    def set_aside(self, reason: str, rows: int = 1, *, stage: str | None = None) -> None:
        """Count rows that went to the quarantine; `stage` where one of ours set them aside."""
        with self._lock:
            self._set_aside[reason] += rows
        if stage in self._stages:
            self._stages[stage].set_aside(reason, rows)

    def spent(self, cpu_seconds: float) -> None:
        """Count CPU time that workers outside of this process and its children have used."""
        with self._lock:
            self._cpu_elsewhere += cpu_seconds

    @property
    def cpu_elsewhere(self) -> float:
        return self._cpu_elsewhere

    def touch(self) -> None:
        """Something happened that is no row: a worker came, a model was loaded."""
        self._touched = self._clock()

    def lacks_workers(self, lacking: bool) -> None:
        """Whether no row can move for want of workers, that are on their way: then nothing stalls.

        How long a run may wait for room is not for `stallTimeout` to say.
        """
        if not lacking and self._lacking_since is not None:
            self.touch()
        self._lacking_since = (self._lacking_since or self._clock()) if lacking else None

    @property
    def lacking_seconds(self) -> float:
        """For how long workers have been on their way; 0 where there are some."""
        since = self._lacking_since
        return 0.0 if since is None else self._clock() - since

    def done_elsewhere(self) -> None:
        """Other processes do all stages, and tell what they count."""
        for stage in self._stages.values():
            stage.done_elsewhere()

    def rest(self) -> None:
        """All rows have come: what follows (checks, the commit) moves none and does not stall."""
        self._resting = True
        for stage in self._stages.values():
            stage.rest()

    @property
    def moving_seconds(self) -> float:
        """From the first row that moved to the last: without starting and loading."""
        moved = [one for one in self._stages.values() if one.moved_first is not None]
        if not moved:
            return 0.0
        return max(one.moved_at for one in moved) - min(one.moved_first or 0.0 for one in moved)

    @property
    def rows_done(self) -> int:
        return self._rows_done

    @property
    def bytes_in(self) -> int:
        return self._bytes_in

    @property
    def bytes_out(self) -> int:
        return self._bytes_out

    def sample(self) -> Progress:
        """The run as it is now."""
        with self._lock:
            now = self._point()
            self._keep(now)
            base = self._window[0]
            return self._progress(base, now)

    def history(self) -> tuple[HistoryPoint, ...]:
        """The run so far, in at most `HISTORY_POINTS` points; the last is now."""
        with self._lock:
            now = self._point()
            last = self._history[-1]
            return (*self._history, now) if now.seconds > last.seconds else tuple(self._history)

    def totals(self) -> tuple[StageTotals, ...]:
        """Every stage's totals, in the order of the stages."""
        with self._looking:
            return self._gpu_idle.seen([stage.totals() for stage in self._stages.values()])

    def _point(self) -> HistoryPoint:
        return HistoryPoint(
            self._clock() - self._began, self._rows_done, self._bytes_in, self.totals()
        )

    def _keep(self, point: HistoryPoint) -> None:
        if point.seconds - self._window[-1].seconds >= SHORTEST_STEP:
            self._window.append(point)
        while len(self._window) > 1 and self._window[1].seconds <= point.seconds - WINDOW_SECONDS:
            self._window.popleft()
        if point.seconds - self._history[-1].seconds < self._step:
            return
        self._history.append(point)
        if len(self._history) >= HISTORY_POINTS:
            self._history = self._history[::2]
            self._step *= 2

    def _progress(self, base: HistoryPoint, now: HistoryPoint) -> Progress:
        passed = now.seconds - base.seconds
        rate = per_second(now.rows_done - base.rows_done, passed)
        stages = stage_progress(base, now)
        left = None if self.rows_total is None else max(0, self.rows_total - now.rows_done)
        moved_at = max(self._touched, *(stage.moved_at for stage in self._stages.values()))
        excused = self._resting or self._lacking_since is not None
        stood = 0.0 if excused else max(0.0, self._began + now.seconds - moved_at)
        return Progress(
            percent=percent(now.rows_done, self.rows_total),
            rows_done=now.rows_done,
            rows_total=self.rows_total,
            rows_per_second=rate,
            bytes_per_second=per_second(now.bytes_in - base.bytes_in, passed),
            eta_seconds=left / rate if left is not None and rate > 0 else None,
            last_progress_seconds=stood,
            elapsed_seconds=now.seconds,
            bottleneck=find_bottleneck(stages),
            stages=stages,
            quarantined=dict(self._set_aside.most_common()),
            max_fault_rate=self.max_fault_rate,
            shards_done=self._shards_done,
            shards_total=self.shards_total,
        )
