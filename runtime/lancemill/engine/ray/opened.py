"""What a worker process makes of a brief: plan, source, sink and operations, each opened once.

Operations stay open from shard to shard: a model is loaded once a process, not once a shard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import ray

from lancemill.code.provide import Provided, provide
from lancemill.engine.context import usable_cores
from lancemill.engine.faults import FaultPolicy, policy_of
from lancemill.engine.local import SINK_STAGE
from lancemill.engine.meter import Meter
from lancemill.engine.ray.brief import Brief
from lancemill.engine.ray.counts import CpuClock
from lancemill.engine.ray.models import on_this_node
from lancemill.engine.ray.pools import Pool
from lancemill.engine.worker import SOURCE_STAGE
from lancemill.ops.operation import Applied, Bound, Outcome, WorkerContext
from lancemill.plan.build import build
from lancemill.plan.step import Plan, Step
from lancemill.sinks import open_sink
from lancemill.sinks.sink import ShardWriter, Sink
from lancemill.sources import open_source
from lancemill.sources.source import Snapshot

cpu_clock = CpuClock()
"""This process's; whoever reports next tells of it."""


class Opened:
    """A brief, opened in this process. May be used by several threads."""

    def __init__(self, brief: Brief, number: int) -> None:
        pipeline = brief.pipeline
        self.brief = brief
        self.number = number
        self.pool = brief.pools[number]
        """The pool that this process is of."""
        sink = open_sink(pipeline.spec.sink, brief.datasets, base=brief.base)
        source = open_source(
            pipeline.spec.source,
            base=brief.base,
            with_row_id=sink.needs_row_id,
            ledger_storage=sink.storage,
            only_missing=sink.only_missing,
        )
        plan = build(pipeline, brief.source, brief.resolved, always_keep=sink.needs_columns)
        mine = _stages(plan, self.pool)
        self.code = Provided()
        """The user's, where this process calls it."""
        if any(stage.udf is not None and stage.name in mine for stage in pipeline.spec.stages):
            self.code = provide(pipeline.spec, brief.base, brief.code_sha256)
        resolved = {k: on_this_node(v) if k in mine else v for k, v in brief.resolved.items()}
        if resolved != brief.resolved:
            plan = build(pipeline, brief.source, resolved, always_keep=sink.needs_columns)
        self._kept = [_Kept(step.done) for step in plan.steps]
        steps = zip(plan.steps, self._kept, strict=True)
        self.plan: Plan = replace(plan, steps=tuple(_step(step, kept) for step, kept in steps))
        self.snapshot: Snapshot = source.open_snapshot(dict(brief.snapshot))
        self.policy: FaultPolicy = policy_of(pipeline.spec.errors)
        self._storage = pipeline.spec.source.given[1].storage
        self._sink: Sink = sink
        self._writer: ShardWriter | None = None
        self._lock = threading.Lock()

    @property
    def writer(self) -> ShardWriter:
        with self._lock:
            if self._writer is None:
                self._writer = self._sink.writer(self.plan.output, self.brief.sink_base)
            return self._writer

    def meter(self, *, alone: bool = False) -> Meter:
        """A meter with all stages of the run; this process does its pool's, `alone` all of them."""
        stages = [SOURCE_STAGE, *(step.name for step in self.plan.steps), SINK_STAGE]
        made = Meter(stages, None)
        if alone:
            return made
        first = self.pool.first + 1 if self.number else 0
        last = len(stages) if self.pool is self.brief.pools[-1] else self.pool.last + 1
        for name in (*stages[:first], *stages[last:]):
            made.stage(name).done_elsewhere()
        return made

    @property
    def context(self) -> WorkerContext:
        """What this process gives to its operations."""
        cores = self.pool.threads or usable_cores()
        return WorkerContext(
            cores=cores,
            base=self.brief.base,
            storage=self._storage,
            code=self.code.folder,
            code_sha256=self.code.sha256,
        )

    def between(self, number: int) -> pa.Schema:
        """The columns that leave pool `number`."""
        last = self.brief.pools[number].last
        made = self.plan.steps[last - 1].done.schema if last else self.plan.source
        return pa.schema([made.field(name) for name in self.plan.keeps[last]])

    def close(self) -> None:
        """Close the operations that were opened."""
        for kept in self._kept:
            kept.close()


def _stages(plan: Plan, pool: Pool) -> set[str]:
    """The manifest's stages that the pool does."""
    return {part.place.stage for step in plan.steps[pool.first : pool.last] for part in step.parts}


def _step(step: Step, kept: _Kept) -> Step:
    return replace(step, bound=replace(step.done, open=kept))


class _Kept:
    """Opens an operation once; who closes it lets it be for the next one."""

    def __init__(self, bound: Bound) -> None:
        self._open: Callable[[WorkerContext], Applied] = bound.open
        self._turn = threading.Lock() if bound.serial else None
        self._applied: Applied | None = None
        self._lock = threading.Lock()

    def __call__(self, context: WorkerContext) -> Applied:
        with self._lock:
            if self._applied is None:
                self._applied = self._open(context)
            return _Shared(self._applied, self._turn)

    def close(self) -> None:
        with self._lock:
            applied, self._applied = self._applied, None
        if applied is not None:
            applied.close()


class _Shared:
    """An operation that several shards use: one behind the other where it is serial."""

    def __init__(self, applied: Applied, turn: threading.Lock | None) -> None:
        self._applied = applied
        self._turn = turn

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        if self._turn is None:
            return self._applied(batch)
        with self._turn:
            return self._applied(batch)

    def close(self) -> None:
        """Nothing: the next shard uses it."""


_opened: dict[tuple[str, int], Opened] = {}
_opening = threading.Lock()


def opened(key: str, number: int, brief: Callable[[], Brief]) -> Opened:
    """What this process has opened of run `key` for its pool; `brief` is asked once."""
    with _opening:
        found = _opened.get((key, number))
        if found is None:
            # Ray uses a process again: for another pool of the run, or for a later run.
            for other in [one for one in _opened if one[0] != key]:
                _opened.pop(other).close()
            found = _opened[key, number] = Opened(brief(), number)
        return found


@dataclass(frozen=True, slots=True)
class Handed:
    """A brief on its way: processes that have it already do not fetch it again."""

    key: str
    where: tuple[ray.ObjectRef[Brief]]

    def open(self, number: int) -> Opened:
        """What this process, of pool `number`, has opened."""
        return opened(self.key, number, self.brief)

    def brief(self) -> Brief:
        """The brief itself."""
        return ray.get(self.where[0])
