"""A run ends by itself where it is late or stands still, resumable, and says which and where.

Whoever orders runs has deadlines too, but they stop nobody: KubeRay marks a late job as failed and
leaves its driver at work. So the driver keeps time itself, in a thread that looks now and then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lancemill import figures
from lancemill.engine.meter import Meter
from lancemill.engine.progress import StageTotals
from lancemill.errors import GaveUp

LOOK_S = 1.0
"""How often it is looked, at most; ten times within the shorter limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take; None where there is no limit."""

    deadline_seconds: float | None = None
    """From the guard's start on."""
    stall_seconds: float | None = None
    """Time in which no row goes in or out anywhere, though there are workers."""
    start_seconds: float | None = None
    """Time in which there are none, since they have no room yet."""

    @property
    def shortest(self) -> float | None:
        given = (self.deadline_seconds, self.stall_seconds, self.start_seconds)
        return min((one for one in given if one is not None), default=None)


class Guard:
    """Looks after one run until it is left; `give_up` is called at most once, by its thread."""

    def __init__(
        self,
        limits: Limits,
        meter: Callable[[], Meter | None],
        operations: Mapping[str, str],
        give_up: Callable[[GaveUp], None],
    ) -> None:
        self._limits = limits
        self._meter = meter
        self._operations = operations
        self._give_up = give_up
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Guard:
        self._began = time.monotonic()
        if self._limits.shortest is not None:
            self._thread = threading.Thread(target=self._watch, name="lancemill-guard", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        pause = min(LOOK_S, (self._limits.shortest or LOOK_S) / 10)
        while not self._over.wait(pause):
            error = self._too_late() or self._too_lonely() or self._too_still()
            if error is not None:
                self._give_up(error)
                return

    def _too_late(self) -> GaveUp | None:
        allowed = self._limits.deadline_seconds
        if allowed is None or time.monotonic() - self._began < allowed:
            return None
        return GaveUp(f"the run's time is over: {figures.duration(allowed)} were left to it")

    def _too_lonely(self) -> GaveUp | None:
        allowed, meter = self._limits.start_seconds, self._meter()
        if allowed is None or meter is None or meter.lacking_seconds < allowed:
            return None
        waited = figures.duration(meter.lacking_seconds)
        return GaveUp(
            f"there has been no room for the run's workers for {waited} (spec.run.startTimeout)",
            remedy="add nodes, ask for less, or give it a longer startTimeout",
        )

    def _too_still(self) -> GaveUp | None:
        allowed, meter = self._limits.stall_seconds, self._meter()
        if allowed is None or meter is None:
            return None
        stood = meter.sample().last_progress_seconds
        if stood < allowed:
            return None
        why = stands_still(meter.totals(), self._operations)
        return GaveUp(
            f"no row has moved for {figures.duration(stood)} (spec.run.stallTimeout): {why}",
            remedy="see what it waits for; where a batch may take so long, a smaller batchSize or "
            "a longer stallTimeout",
        )


def stands_still(stages: Sequence[StageTotals], operations: Mapping[str, str]) -> str:
    """Which stage the others wait for, and what it does: the last one that is in a call.

    Those before it wait for room, those behind it for rows; where none is in a call, no rows come.
    """
    at_work = [stage for stage in stages if stage.calls > 0]
    if not at_work:
        return "the source gives no rows, and no stage is at work"
    last = at_work[-1]
    does = operations.get(last.name)
    name = f"stage '{last.name}'" + (f" ({does})" if does else "")
    calls = "a call" if last.calls == 1 else f"{last.calls} calls"
    each = "" if last.calls == 1 else " each"
    mean = figures.duration(last.calls_seconds / last.calls)
    return f"{name} has been in {calls} for {mean}{each}"
