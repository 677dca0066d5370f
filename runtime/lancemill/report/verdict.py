"""What holds a run up, in a sentence: from the measured time of its stages, or not at all.

Stages of one pool share their workers, so it is pools that are busy; the pool that is busiest sets
the pace, and the stage that takes most of its time is named. What more workers would bring is
told as far as it follows from what was measured: the pool's work spread over more workers, up to
the pace of whoever is busiest then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lancemill.engine.progress import COMPUTE, StageTotals, gpu_time

BUSY = 0.5
"""A pool that works less than this share of its time holds up nobody."""
LEAST = 0.001
"""A pool that works less has no measured pace."""
MOST = 10
"""So many times the workers and more are not counted out: nobody would believe the number."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What holds up a run."""

    stage: str
    share: float
    """Share of its workers' time in which they worked, 0 to 1."""
    words: str
    gpu_waits: float | None = None
    """Share of the time in which GPUs were held and did not work; None where there were none."""
    more: int | None = None
    """Workers of its pool that would balance the run; None where that does not follow."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Stages that share their workers."""

    stages: tuple[StageTotals, ...]

    @property
    def name(self) -> str:
        return self.stages[0].pool

    @property
    def workers(self) -> int:
        return max(1, *(stage.workers for stage in self.stages))

    @property
    def share(self) -> float:
        """Of its workers' time that they worked in."""
        there = max(stage.worker_seconds for stage in self.stages)
        busy = sum(stage.busy_seconds for stage in self.stages)
        return min(1.0, max(0.0, busy / there)) if there > 0 else 0.0

    @property
    def busiest(self) -> StageTotals:
        """The stage that takes most of its time; of equals the later one."""
        return max(reversed(self.stages), key=lambda stage: stage.busy_seconds)

    @property
    def is_shared(self) -> bool:
        return sum(stage.busy_seconds > 0 for stage in self.stages) > 1

    @property
    def has_gpus(self) -> bool:
        return any(stage.gpu_seconds > 0 for stage in self.stages)


def diagnose(stages: Sequence[StageTotals]) -> Diagnosis | None:
    """What holds up a run with these totals (or differences of totals); None where no time was
    measured."""
    pools = pools_of(stages)
    order = {stage.name: at for at, stage in enumerate(stages)}
    ranked = sorted(pools, key=lambda pool: (pool.share, order[pool.busiest.name]))
    if not ranked or ranked[-1].share <= 0:
        return None
    first, others = ranked[-1], ranked[:-1]
    waits = _gpu_waits(stages)
    more = _more(first, others[-1], waits) if others else None
    words = _words(first, others[-1] if others else None, waits, more)
    return Diagnosis(first.busiest.name, first.share, words, waits, more)


def pools_of(stages: Sequence[StageTotals]) -> list[Pool]:
    """The stages by the workers that they share; a stage without a pool is one by itself."""
    keyed = sorted(((one.pool or f"\0{at}", at) for at, one in enumerate(stages)))
    groups = groupby(keyed, key=lambda pair: pair[0])
    return [Pool(tuple(stages[at] for _, at in members)) for _, members in groups]


def _gpu_waits(stages: Sequence[StageTotals]) -> float | None:
    held, idle = gpu_time(stages)
    return idle / held if held > 0 else None


def _more(first: Pool, second: Pool, waits: float | None) -> int | None:
    """Workers after which the second is as busy as the first."""
    # On one machine all stages share the cores: what more of them bring the others is not known.
    told = first.name and (first.name != COMPUTE or waits is not None)
    if not told or first.share < BUSY or second.share < LEAST:
        return None
    needed = math.ceil(first.workers * first.share / second.share - 1e-9)
    return needed - first.workers or None


def _words(first: Pool, second: Pool | None, waits: float | None, more: int | None) -> str:
    name, share = first.busiest.name, f"{first.share:.0%}"
    if first.share < BUSY:
        idle = f", and the GPU waits {waits:.0%} of it" if waits is not None else ""
        return (
            f"no stage is busy half of the time, {name} most with {share}{idle}:"
            " the run waits for its source or for the machine"
        )
    if first.has_gpus:
        found = f"{name} is the bottleneck: the GPU works {share} of the time"
    elif waits is not None:
        found = f"{name} is the bottleneck: the GPU waits {waits:.0%} of the time"
    else:
        are = "its workers are busy" if first.is_shared else "busy"
        found = f"{name} is the bottleneck: {are} {share} of the time"
    if second is None or second.share <= 0:
        return found
    if more is not None:
        return f"{found}; {_advice(first, second, more, waits)}"
    return f"{found}, next is {second.busiest.name} with {second.share:.0%}"


def _advice(first: Pool, second: Pool, more: int, waits: float | None) -> str:
    if more >= (MOST - 1) * first.workers:
        return f"even {MOST} times the {_unit(first)}s would not balance it"
    plural = "" if more == 1 else "s"
    until = waits is not None and not second.has_gpus and not first.has_gpus
    with_ = f" with {second.busiest.name}" if until else ""
    return f"{more} more {_unit(first)}{plural} would balance it{with_}"


def _unit(pool: Pool) -> str:
    if pool.name == COMPUTE:
        return "CPU core"
    if pool.has_gpus:
        return "GPU worker"
    return "CPU worker" if pool.name == "cpu" else f"{pool.name} worker"
