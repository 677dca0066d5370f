"""Counts what a run does, while it does it: cheap for those who work, one picture for who asks.

Workers add to `StageCounters`, once a batch; `Meter.sample()` makes a `Progress` of them. Rates and
busy shares are those of a sliding window; a bounded history of the whole run is kept for its page.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lancemill.engine.progress import (
    HistoryPoint,
    Progress,
    StageTotals,
    find_bottleneck,
    per_second,
    percent,
    stage_progress,
)

Clock = Callable[[], float]

WINDOW_SECONDS = 10.0
"""Rates and busy shares are those of the last ten seconds: long enough to read, short enough to
notice a stage that stands still."""
SHORTEST_STEP = 0.2
"""Samples closer together than this are shown and not kept."""
HISTORY_POINTS = 600


class StageCounters:
    """A stage's counters; any thread may add. One short lock a batch, never one a row."""

    def __init__(
        self,
        name: str,
        *,
        workers: int = 1,
        queue_capacity: int = 0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self.workers = workers
        """Threads, requests in flight or actors that work at once; may change during the run."""
        self.queue_capacity = queue_capacity
        self.queue_depth = 0
        """Set by whoever puts or takes; a plain store, the newest wins."""
        self.moved_at = clock()
        """When a row last came in or went out."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rows_in = self._rows_out = self._faults = self._bytes_in = self._bytes_out = 0
        self._busy = self._wait_in = self._blocked = 0.0
        self._working = 0
        self._began = 0.0

    def add(
        self,
        *,
        rows_in: int = 0,
        rows_out: int = 0,
        faults: int = 0,
        busy_seconds: float = 0.0,
        wait_in_seconds: float = 0.0,
        blocked_seconds: float = 0.0,
        bytes_in: int = 0,
        bytes_out: int = 0,
    ) -> None:
        """Add what one batch came to."""
        now = self._clock()
        with self._lock:
            self._rows_in += rows_in
            self._rows_out += rows_out
            self._faults += faults
            self._busy += busy_seconds
            self._wait_in += wait_in_seconds
            self._blocked += blocked_seconds
            self._bytes_in += bytes_in
            self._bytes_out += bytes_out
            if rows_in or rows_out:
                self.moved_at = now

    @contextmanager
    def working(self) -> Iterator[None]:
        """Busy while inside. Counts a call that is still going on too, so that a model's batch of
        half a minute shows as busy while it runs and not when it is over."""
        began = self._clock()
        with self._lock:
            self._working += 1
            self._began += began
        try:
            yield
        finally:
            ended = self._clock()
            with self._lock:
                self._working -= 1
                self._began -= began
                self._busy += ended - began

    def totals(self) -> StageTotals:
        """A consistent copy."""
        with self._lock:
            now = self._clock()
            return StageTotals(
                name=self.name,
                rows_in=self._rows_in,
                rows_out=self._rows_out,
                faults=self._faults,
                busy_seconds=self._busy + self._working * now - self._began,
                wait_in_seconds=self._wait_in,
                blocked_seconds=self._blocked,
                bytes_in=self._bytes_in,
                bytes_out=self._bytes_out,
                queue_depth=self.queue_depth,
                queue_capacity=self.queue_capacity,
                workers=self.workers,
            )


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
        self._rows_done = self._bytes_in = self._bytes_out = self._shards_done = 0
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

    def set_aside(self, reason: str, rows: int = 1) -> None:
        """Count rows that went to the quarantine."""
        with self._lock:
            self._set_aside[reason] += rows

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
        return tuple(stage.totals() for stage in self._stages.values())

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
        moved_at = max((stage.moved_at for stage in self._stages.values()), default=self._began)
        return Progress(
            percent=percent(now.rows_done, self.rows_total),
            rows_done=now.rows_done,
            rows_total=self.rows_total,
            rows_per_second=rate,
            bytes_per_second=per_second(now.bytes_in - base.bytes_in, passed),
            eta_seconds=left / rate if left is not None and rate > 0 else None,
            last_progress_seconds=max(0.0, self._began + now.seconds - moved_at),
            elapsed_seconds=now.seconds,
            bottleneck=find_bottleneck(stages),
            stages=stages,
            quarantined=dict(self._set_aside.most_common()),
            max_fault_rate=self.max_fault_rate,
            shards_done=self._shards_done,
            shards_total=self.shards_total,
        )
