"""Counters on their way to the driver: what a worker's meter has, and what is new of it.

A worker counts each shard by a meter of its own, so that what was counted for a shard that was
lost with its worker can be taken back whole: in the end the totals are those of the rows.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from lancemill.engine.faults import Budget
from lancemill.engine.meter import Meter
from lancemill.engine.progress import StageTotals


@dataclass(frozen=True, slots=True)
class Counts:
    """What a meter has counted."""

    rows: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    stages: Mapping[str, StageTotals] = field(default_factory=dict)


NOTHING = Counts()


def counts_of(meter: Meter) -> Counts:
    """What `meter` has counted so far."""
    stages = {one.name: one for one in meter.totals()}
    return Counts(meter.rows_done, meter.bytes_in, meter.bytes_out, stages)


def add_new(meter: Meter, before: Counts, now: Counts) -> None:
    """Count in `meter` what came between `before` and `now`."""
    meter.advance(
        now.rows - before.rows,
        bytes_in=now.bytes_in - before.bytes_in,
        bytes_out=now.bytes_out - before.bytes_out,
    )
    for name, later in now.stages.items():
        _add_stage(meter, before.stages.get(name, StageTotals(name)), later)


def take_back(meter: Meter, counted: Counts) -> None:
    """Uncount rows that will come again. The time that they took was spent all the same."""
    meter.advance(-counted.rows, bytes_in=-counted.bytes_in, bytes_out=-counted.bytes_out)
    for name, one in counted.stages.items():
        stage = meter.stage(name)
        stage.add(
            rows_in=-one.rows_in,
            rows_out=-one.rows_out,
            faults=-one.faults,
            bytes_in=-one.bytes_in,
            bytes_out=-one.bytes_out,
            calls=-one.calls,
        )
        for reason, rows in one.faults_by_reason.items():
            meter.set_aside(reason, -rows, stage=name)


def _add_stage(meter: Meter, before: StageTotals, now: StageTotals) -> None:
    meter.stage(now.name).add(
        rows_in=now.rows_in - before.rows_in,
        rows_out=now.rows_out - before.rows_out,
        faults=now.faults - before.faults,
        busy_seconds=now.busy_seconds - before.busy_seconds,
        wait_in_seconds=now.wait_in_seconds - before.wait_in_seconds,
        blocked_seconds=now.blocked_seconds - before.blocked_seconds,
        bytes_in=now.bytes_in - before.bytes_in,
        bytes_out=now.bytes_out - before.bytes_out,
        worker_seconds=now.worker_seconds - before.worker_seconds,
        calls=now.calls - before.calls,
    )
    meter.stage(now.name).lane = now.lane
    for reason, rows in now.faults_by_reason.items():
        new = rows - before.faults_by_reason.get(reason, 0)
        if new:
            meter.set_aside(reason, new, stage=now.name)


@dataclass(frozen=True, slots=True)
class Charge:
    """A failed row, for the run's budget."""

    reason: str
    message: str
    may_pass: bool = False


class Tally(Budget):
    """A worker's budget: it has no limit, and remembers what the driver is to charge."""

    def __init__(self) -> None:
        super().__init__(0, 1.0, None)
        self._charges: list[Charge] = []
        self._guard = threading.Lock()

    def charge(self, faults: list[tuple[str, str]], may_pass: int = 0) -> None:  # type: ignore[override]
        with self._guard:
            self._charges += [
                Charge(reason, message, index < may_pass)
                for index, (reason, message) in enumerate(faults)
            ]

    def add(self, charges: tuple[Charge, ...]) -> None:
        """What a worker of the segment before has remembered."""
        with self._guard:
            self._charges += charges

    def take(self) -> tuple[Charge, ...]:
        """What was remembered since this was last asked."""
        with self._guard:
            taken, self._charges = tuple(self._charges), []
            return taken


class CpuClock:
    """CPU time of this process and its children that nobody has been told of."""

    def __init__(self) -> None:
        self._told = _cpu_seconds()
        self._lock = threading.Lock()

    def take(self) -> float:
        with self._lock:
            before, self._told = self._told, _cpu_seconds()
            return self._told - before


def _cpu_seconds() -> float:
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
