"""What holds a run up, in a sentence: from the measured time of its stages, or not at all.

Stages of one lane share their workers' time, so it is lanes that are busy; the lane that is busiest
sets the pace, and the stage that takes most of its time is named. What more workers of its pool
would bring is told as far as it follows from what was measured: the lane's work spread over more
workers, up to the pace of whichever other pool is busiest then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lancemill.engine.progress import COMPUTE, StageTotals, gpu_time

BUSY = 0.5
"""A lane that works less than this share of its time holds up nobody."""
NEXT = 0.005
"""A lane that works less is not told as the next one."""
LEAST = 0.001
"""A lane that works less has no measured pace."""
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
class Lane:
    """Stages that share their workers' time."""

    stages: tuple[StageTotals, ...]

    @property
    def pool(self) -> str:
        """Whose workers do it."""
        return self.stages[0].pool

    @property
    def computes(self) -> bool:
        """Whether it is what the cores of one machine do."""
        return not self.pool and self.stages[0].lane == COMPUTE

    @property
    def asks_others(self) -> bool:
        """Whether its calls may wait for a store or a service, which more workers do not make any
        faster."""
        return self.stages[0].lane != COMPUTE and not self.has_gpus

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
    order = {stage.name: at for at, stage in enumerate(stages)}
    ranked = sorted(lanes_of(stages), key=lambda lane: (lane.share, order[lane.busiest.name]))
    if not ranked or ranked[-1].share <= 0:
        return None
    first, others = ranked[-1], ranked[:-1]
    # Who gets more workers of a pool gets more of all its lanes.
    apart = [lane for lane in others if not first.pool or lane.pool != first.pool]
    waits = _gpu_waits(stages)
    more = _more(first, apart[-1], waits) if apart else None
    second = apart[-1] if more is not None else others[-1] if others else None
    words = _words(first, second, waits, more)
    return Diagnosis(first.busiest.name, first.share, words, waits, more)


def lanes_of(stages: Sequence[StageTotals]) -> list[Lane]:
    """The stages by the workers whose time they share; one without a lane is a lane by itself."""
    keyed = sorted((one.pool, one.lane or f"\0{at}", at) for at, one in enumerate(stages))
    groups = groupby(keyed, key=lambda key: key[:2])
    return [Lane(tuple(stages[at] for *_, at in members)) for _, members in groups]


def _gpu_waits(stages: Sequence[StageTotals]) -> float | None:
    held, idle = gpu_time(stages)
    return idle / held if held > 0 else None


def _more(first: Lane, second: Lane, waits: float | None) -> int | None:
    """Workers after which the second is as busy as the first."""
    # On one machine all stages share the cores: what more of them bring the others is not known.
    told = first.pool or (first.computes and waits is not None)
    if not told or first.share < BUSY or second.share < LEAST:
        return None
    needed = math.ceil(first.workers * first.share / second.share - 1e-9)
    return needed - first.workers or None


def _words(first: Lane, second: Lane | None, waits: float | None, more: int | None) -> str:
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
    if second is None or second.share < NEXT:
        return found
    if more is not None:
        return f"{found}; {_advice(first, second, more, waits)}"
    return f"{found}, next is {second.busiest.name} with {second.share:.0%}"


def _advice(first: Lane, second: Lane, more: int, waits: float | None) -> str:
    if more >= (MOST - 1) * first.workers:
        return f"even {MOST} times the {_unit(first)}s would not balance it"
    plural = "" if more == 1 else "s"
    until = waits is not None and not second.has_gpus and not first.has_gpus
    with_ = f" with {second.busiest.name}" if until else ""
    provided = f", if what {first.busiest.name} waits for keeps up" if first.asks_others else ""
    return f"{more} more {_unit(first)}{plural} would balance it{with_}{provided}"


def _unit(lane: Lane) -> str:
    if lane.computes:
        return "CPU core"
    return "GPU worker" if lane.has_gpus else "CPU worker"
