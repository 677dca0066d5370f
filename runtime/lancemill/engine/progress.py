"""How far a run is, where its time goes and what holds it up: one structure for all who ask.

The terminal, the JSON lines, the run's page, `GET /progress` and the operator all show the same
frozen `Progress`, whose JSON is `status.progress` of the API. All here is pure: what a `Meter`
counted at two moments, and what it says about the time between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPUTE, DEVICE = "compute", "gpu"
"""Lanes of several stages of one process: its threads that compute, and its GPU."""


@dataclass(frozen=True, slots=True)
class StageTotals:
    """What a stage has done since the run began."""

    name: str
    rows_in: int = 0
    rows_out: int = 0
    faults: int = 0
    busy_seconds: float = 0.0
    """Summed over the stage's workers: two workers busy for one second are two."""
    wait_in_seconds: float = 0.0
    """Waited for input, summed over the workers."""
    blocked_seconds: float = 0.0
    """Waited for room in the queue behind, summed over the workers."""
    bytes_in: int = 0
    bytes_out: int = 0
    queue_depth: int = 0
    """Batches or rows that wait in front of the stage."""
    queue_capacity: int = 0
    workers: int = 1
    worker_seconds: float = 0.0
    """Time for which it had workers, summed over them; 0 where only `workers` is known."""
    pool: str = ""
    """Which workers do it, where there are several kinds of them (worker groups of a cluster)."""
    lane: str = ""
    """Stages of one lane of one pool share their workers' time: they are busy together. Empty: a
    lane of its own."""
    gpus: float = 0.0
    """GPUs that its pool holds now."""
    gpu_seconds: float = 0.0
    """Time for which its pool held GPUs, summed over them."""
    gpu_busy_seconds: float = 0.0
    """That part of it in which the stage worked."""
    gpu_idle_seconds: float | None = None
    """That in which no stage of its pool worked, at the pool's first stage; None where nobody has
    watched them together."""
    batches: int = 0
    """How often rows were taken."""
    calls: int = 0
    """Calls that go on now."""
    calls_seconds: float = 0.0
    """How long those have gone on, summed over them."""
    faults_by_reason: Mapping[str, int] = field(default_factory=dict)
    """Its rows that were set aside."""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """All counters at one moment. Cumulative, so that leaving points out leaves rates true."""

    seconds: float
    """Since the meter was made."""
    rows_done: int
    bytes_in: int
    stages: tuple[StageTotals, ...]


@dataclass(frozen=True, slots=True)
class StageProgress:
    """A stage over the last window, with its totals."""

    name: str
    rows_in: int
    rows_out: int
    rows_per_second: float
    busy_fraction: float
    """Share of its workers' time in which it worked, 0 to 1."""
    queue_depth: int
    queue_capacity: int
    actors: int
    faults: int = 0

    def to_json(self) -> dict[str, Any]:
        """As in `status.progress.stages` of the API."""
        return {
            "name": self.name,
            "rowsIn": self.rows_in,
            "rowsOut": self.rows_out,
            "rowsPerSecond": round(self.rows_per_second, 1),
            "busyFraction": round(self.busy_fraction, 3),
            "queueDepth": self.queue_depth,
            "queueCapacity": self.queue_capacity,
            "actors": self.actors,
            "faults": self.faults,
        }


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that the others wait for."""

    stage: str
    share: float
    """Share of its workers' time in which it worked, 0 to 1."""
    words: str

    def to_json(self) -> dict[str, Any]:
        """As in `status.progress.bottleneck` of the API."""
        return {"stage": self.stage, "share": round(self.share, 3)}


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment."""

    percent: float | None
    """0 to 100; None while the source's size is not known."""
    rows_done: int
    """Rows of the source that are dealt with: written, filtered out or set aside."""
    rows_total: int | None
    rows_per_second: float
    bytes_per_second: float
    """Bytes read from the source's stores."""
    eta_seconds: float | None
    last_progress_seconds: float
    """Since a row last moved anywhere in the run."""
    elapsed_seconds: float
    bottleneck: Bottleneck | None
    stages: tuple[StageProgress, ...]
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows set aside, by reason, the most frequent first."""
    max_fault_rate: float | None = None
    shards_done: int = 0
    shards_total: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As in `status.progress` of the API."""
        return {
            "percent": None if self.percent is None else int(self.percent),
            "rowsDone": self.rows_done,
            "rowsTotal": self.rows_total,
            "rowsPerSecond": round(self.rows_per_second, 1),
            "bytesPerSecond": round(self.bytes_per_second),
            "etaSeconds": None if self.eta_seconds is None else round(self.eta_seconds),
            "lastProgressSeconds": round(self.last_progress_seconds, 1),
            "elapsedSeconds": round(self.elapsed_seconds, 1),
            "bottleneck": self.bottleneck.to_json() if self.bottleneck else None,
            "stages": [stage.to_json() for stage in self.stages],
            "quarantined": dict(self.quarantined),
            "shardsDone": self.shards_done,
            "shardsTotal": self.shards_total,
        }


def gpu_time(stages: Iterable[StageTotals]) -> tuple[float, float]:
    """GPU seconds that were held, and those of them in which no stage worked."""
    times = gpu_time_by_stage(stages).values()
    return sum(held for held, _ in times), sum(idle for _, idle in times)


def gpu_time_by_stage(stages: Iterable[StageTotals]) -> dict[str, tuple[float, float]]:
    """The same, by stage: GPUs that stages of a pool share are those of the first of them."""
    found = {}
    for members in gpu_pools(stages).values():
        watched = [one.gpu_idle_seconds for one in members if one.gpu_idle_seconds is not None]
        held, worked = held_and_worked(members)
        idle = sum(watched) if watched else max(0.0, held - worked)
        found[members[0].name] = (held, idle)
    return found


def gpu_pools(stages: Iterable[StageTotals]) -> dict[str, list[StageTotals]]:
    """Stages that have held GPUs, those together that share them, by a name of their own."""
    pools: dict[str, list[StageTotals]] = {}
    for one in stages:
        if one.gpu_seconds > 0:
            pools.setdefault(one.pool or one.lane or f"\0{one.name}", []).append(one)
    return pools


def held_and_worked(members: Sequence[StageTotals]) -> tuple[float, float]:
    """GPU seconds that stages of one pool have held, and worked; the latter may be more, since
    they may work at once."""
    return max(one.gpu_seconds for one in members), sum(one.gpu_busy_seconds for one in members)


def percent(done: int, total: int | None) -> float | None:
    """How much is done, 0 to 100; an empty source is done at once."""
    if total is None:
        return None
    return 100.0 if total == 0 else min(100.0, 100.0 * done / total)


def stage_progress(base: HistoryPoint, now: HistoryPoint) -> tuple[StageProgress, ...]:
    """Each stage's rate and busy share between two moments."""
    passed = now.seconds - base.seconds
    return tuple(
        StageProgress(
            name=later.name,
            rows_in=later.rows_in,
            rows_out=later.rows_out,
            rows_per_second=per_second(later.rows_in - earlier.rows_in, passed),
            busy_fraction=_busy_fraction(earlier, later, passed),
            queue_depth=later.queue_depth,
            queue_capacity=later.queue_capacity,
            actors=later.workers,
            faults=later.faults,
        )
        for earlier, later in zip(base.stages, now.stages, strict=True)
    )


def find_bottleneck(stages: Sequence[StageProgress]) -> Bottleneck | None:
    """The stage whose workers are busiest, in words too; None while nothing works.

    Of stages that are equally busy the later one: it is what holds up the others.
    """
    working = [stage for stage in stages if stage.busy_fraction > 0]
    if not working:
        return None
    ranked = sorted(enumerate(working), key=lambda one: (one[1].busy_fraction, one[0]))
    first = ranked[-1][1]
    words = f"{first.name} is the bottleneck: busy {first.busy_fraction:.0%} of the time"
    if len(ranked) > 1:
        second = ranked[-2][1]
        words += f", next is {second.name} with {second.busy_fraction:.0%}"
    if first.busy_fraction < 0.5:
        words = (
            f"no stage is busy half of the time, {first.name} most with {first.busy_fraction:.0%}:"
            " the run waits for its source or for the machine"
        )
    return Bottleneck(first.name, first.busy_fraction, words)


def _busy_fraction(earlier: StageTotals, later: StageTotals, passed: float) -> float:
    busy = later.busy_seconds - earlier.busy_seconds
    there = later.worker_seconds - earlier.worker_seconds
    return min(1.0, max(0.0, per_second(busy, there or passed * max(1, later.workers))))


def per_second(amount: float, seconds: float) -> float:
    return amount / seconds if seconds > 0 else 0.0
