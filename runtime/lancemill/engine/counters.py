"""What one stage does, counted by those who do it: any thread, once a batch.

Totals only grow, so that rates over any stretch of time are differences. Time is summed over the
stage's workers, and so is the time for which it had them: their quotient is the busy share, also
where workers came and went.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lancemill.engine.progress import StageTotals

Clock = Callable[[], float]


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
        self.pool = ""
        """Which workers do it, where there are several kinds of them."""
        self.lane = ""
        """Stages of one lane of one pool share their workers' time."""
        self.queue_capacity = queue_capacity
        self.queue_depth = 0
        """Set by whoever puts or takes; a plain store, the newest wins."""
        self.moved_at = clock()
        """When a row last came in or went out."""
        self.moved_first: float | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._rows_in = self._rows_out = self._faults = self._bytes_in = self._bytes_out = 0
        self._busy = self._wait_in = self._blocked = 0.0
        self._working = 0
        self._began = 0.0
        self._batches = self._calls_elsewhere = 0
        self._called_at = 0.0
        self._reasons: Counter[str] = Counter()
        self._workers, self._gpus = workers, 0.0
        self._worker_seconds = self._gpu_seconds = self._gpu_busy = 0.0
        self._gpu_owed = self._busy_held = 0.0
        self._held_at = clock()
        self._over = self._elsewhere = False

    @property
    def workers(self) -> int:
        """Threads, requests in flight or actors that work at once; may change during the run."""
        return self._workers

    @workers.setter
    def workers(self, number: int) -> None:
        with self._lock:
            self._hold(self._clock())
            self._workers = number

    @property
    def gpus(self) -> float:
        """GPUs that the stage's pool holds; may change during the run."""
        return self._gpus

    @gpus.setter
    def gpus(self, number: float) -> None:
        with self._lock:
            self._hold(self._clock())
            self._gpus = number

    def done_elsewhere(self) -> None:
        """Others do the stage, and tell the time for which it had workers: none of it is counted
        here. To be called before the first row."""
        with self._lock:
            self._elsewhere, self._worker_seconds = True, 0.0

    def rest(self) -> None:
        """No more rows will come: what is held from now on is not the stage's."""
        with self._lock:
            self._hold(self._clock())
            self._gpus = 0.0
            self._over = True

    def _hold(self, now: float) -> None:
        """Account for what was held until now; to be called with the lock."""
        passed = 0.0 if self._over else max(0.0, now - self._held_at)
        workers, held = max(1, self._workers), passed * self._gpus
        if not self._elsewhere:
            self._worker_seconds += passed * workers
        self._gpu_seconds += held
        self._held_at = now
        busy = self._busy + self._working * now - self._began
        # Work that is told late is put to the time that was held since: no counter ever falls.
        owed = self._gpu_owed + (busy - self._busy_held) * self._gpus / workers
        worked = min(held, max(0.0, owed))
        self._gpu_busy += worked
        self._gpu_owed, self._busy_held = owed - worked, busy

    def set_aside(self, reason: str, rows: int) -> None:
        """Count rows that went to the quarantine."""
        with self._lock:
            self._reasons[reason] += rows

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
        worker_seconds: float = 0.0,
        calls: int = 0,
    ) -> None:
        """Add what one batch came to.

        `worker_seconds` and `calls` (that go on there: more, or fewer) where workers elsewhere tell
        them; see `done_elsewhere`.
        """
        now = self._clock()
        with self._lock:
            self._worker_seconds += worker_seconds
            self._calls_elsewhere += calls
            self._called_at = now if calls > 0 else self._called_at
            self._rows_in += rows_in
            self._rows_out += rows_out
            self._faults += faults
            self._busy += busy_seconds
            self._wait_in += wait_in_seconds
            self._blocked += blocked_seconds
            self._bytes_in += bytes_in
            self._bytes_out += bytes_out
            self._batches += rows_in > 0
            if rows_in or rows_out:
                self.moved_at = now
                self.moved_first = self.moved_first or now

    @contextmanager
    def working(self) -> Iterator[Call]:
        """Busy while inside. Counts a call that is still going on too, so that a model's batch of
        half a minute shows as busy while it runs and not when it is over."""
        call = Call(self)
        call.start()
        try:
            yield call
        finally:
            call.stop()

    def call_begins(self) -> float:
        """A call goes on from now; the moment, for `call_ends`."""
        began = self._clock()
        with self._lock:
            self._working += 1
            self._began += began
        return began

    def call_ends(self, began: float) -> None:
        """The call that went on since `began` is over, or pauses."""
        ended = self._clock()
        with self._lock:
            self._working -= 1
            self._began -= began
            self._busy += ended - began

    def totals(self) -> StageTotals:
        """A consistent copy."""
        with self._lock:
            now = self._clock()
            self._hold(now)
            calls_seconds = self._working * now - self._began
            return StageTotals(
                name=self.name,
                rows_in=self._rows_in,
                rows_out=self._rows_out,
                faults=self._faults,
                busy_seconds=self._busy + calls_seconds,
                wait_in_seconds=self._wait_in,
                blocked_seconds=self._blocked,
                bytes_in=self._bytes_in,
                bytes_out=self._bytes_out,
                queue_depth=self.queue_depth,
                queue_capacity=self.queue_capacity,
                workers=self._workers,
                worker_seconds=self._worker_seconds,
                pool=self.pool,
                lane=self.lane,
                gpus=self._gpus,
                gpu_seconds=self._gpu_seconds,
                gpu_busy_seconds=self._gpu_busy,
                batches=self._batches,
                calls=self._working + self._calls_elsewhere,
                # Of those elsewhere it is known for how long none has begun.
                calls_seconds=calls_seconds + self._calls_elsewhere * (now - self._called_at),
                faults_by_reason=dict(self._reasons),
            )


class Call:
    """A call of a stage that goes on, and may pause."""

    def __init__(self, counters: StageCounters) -> None:
        self._counters = counters
        self._began = 0.0

    def start(self) -> None:
        self._began = self._counters.call_begins()

    def stop(self) -> None:
        self._counters.call_ends(self._began)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Waits for input while inside, which is no work."""
        self.stop()
        began = time.monotonic()
        try:
            yield
        finally:
            self._counters.add(wait_in_seconds=time.monotonic() - began)
            self.start()
