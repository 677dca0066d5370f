"""The streaming worker: runs a segment's steps over shards, everything at once, bounded, in order.

    snapshot → source lane → step lane → step lane → … → whoever writes

Rows of several shards flow through without a pause between them; a chunk that is `last` marks a
shard's end. The worker knows nothing of sinks, ledgers or engines: `engine/local.py` runs one in
this process, and a Ray engine runs the same one on its nodes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lancemill.engine.chunk import Chunk
from lancemill.engine.faults import Budget, FaultPolicy
from lancemill.engine.heap import keep_freed_memory
from lancemill.engine.lane import lane
from lancemill.engine.meter import Meter, StageCounters
from lancemill.engine.progress import COMPUTE, DEVICE
from lancemill.engine.sizing import portions, regroup
from lancemill.engine.task import StepTask
from lancemill.ops.operation import Applied, Bound, WorkerContext
from lancemill.plan.step import Plan
from lancemill.sources.source import Shard, Snapshot

log = logging.getLogger(__name__)

IO_CALLS = 8
"""Calls of an IO-bound operation that run at once; the operation itself bounds its requests."""
SOURCE_STAGE = "source"


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of the source travels together."""

    rows: int
    bytes: int = 8 << 20


def pace_of(plan: Plan) -> Pace:
    """Small chunks where rows are pictures, large ones where they are text and numbers."""
    heavy = {"fetch", "decode", "infer", "udf"}
    if any(part.operation in heavy for step in plan.steps for part in step.parts):
        return Pace(rows=24 if plan.local_uris is None else 32)
    return Pace(rows=2048, bytes=32 << 20)


class Worker:
    """Runs a plan's steps over shards. A context manager: closing ends all of its threads."""

    def __init__(
        self,
        plan: Plan,
        context: WorkerContext,
        policy: FaultPolicy,
        budget: Budget,
        meter: Meter,
    ) -> None:
        self._plan = plan
        self._context = context
        self._policy = policy
        self._budget = budget
        self._meter = meter
        self._pace = pace_of(plan)
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._deadline: float | None = None

    def __enter__(self) -> Worker:
        keep_freed_memory()
        self._cpu = self._pool(self._context.cores, "compute")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.overdue:
            self._stack.pop_all()  # what still waits for an answer ends by itself, unheard
        else:
            self._stack.close()

    def stop(self, within: float | None = None) -> None:
        """Take no further rows; what flows already comes out, but for what takes longer than
        `within` seconds."""
        if within is not None and self._deadline is None:
            self._deadline = time.monotonic() + within
        self._stopping.set()

    @property
    def overdue(self) -> bool:
        """Whether it has been told to stop, and the time for that is over."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def stream(self, snapshot: Snapshot, shards: Iterator[Shard]) -> Iterator[Chunk]:
        """The shards' rows after all steps, in order."""
        return self.through(self.read(snapshot, shards))

    def read(self, snapshot: Snapshot, shards: Iterator[Shard]) -> Generator[Chunk, None, None]:
        """The shards' rows before any step, in order."""
        source = self._meter.stage(SOURCE_STAGE)
        chunks = lane(self._read(snapshot, shards, source), _same, self._pool(1, "read"), 2, source)
        self._stack.callback(chunks.close)
        return chunks

    def through(
        self, chunks: Iterator[Chunk], first: int = 0, last: int | None = None
    ) -> Iterator[Chunk]:
        """`chunks` after the steps from `first` to before `last`, in order."""
        steps, keeps = self._plan.steps[first:last], self._plan.keeps[first + 1 :]
        for together in lanes_of([step.done for step in steps]):
            tasks = [self._task(steps[at].done, keeps[at]) for at in together]
            made = self._lane(chunks, tasks)
            self._stack.callback(made.close)
            chunks = made
        return chunks

    def _pool(self, threads: int, name: str) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(threads, thread_name_prefix=f"lancemill-{name}")
        self._stack.callback(pool.shutdown, cancel_futures=True)
        return pool

    def _read(
        self, snapshot: Snapshot, shards: Iterator[Shard], counters: StageCounters
    ) -> Iterator[Chunk]:
        plan = self._plan
        columns = list(plan.reads)
        if plan.key is not None and plan.key not in columns:
            columns.append(plan.key)
        for shard in shards:
            at = shard.start
            began = time.monotonic()
            for batch in snapshot.read(shard, columns, self._pace.rows, self._pace.bytes):
                if self._stopping.is_set():
                    return
                counters.add(
                    rows_in=batch.num_rows,
                    rows_out=batch.num_rows,
                    busy_seconds=time.monotonic() - began,
                    bytes_out=batch.nbytes,
                )
                self._meter.advance(bytes_in=batch.nbytes)
                yield self._chunk(shard, batch, at)
                at += batch.num_rows
                began = time.monotonic()
            yield self._shard_end(shard)

    def _chunk(self, shard: Shard, batch: pa.RecordBatch, start: int) -> Chunk:
        position = np.arange(start, start + batch.num_rows, dtype=np.int64)
        key = self._plan.key
        keys = batch.column(key) if key is not None else pa.array(position)
        return Chunk(
            shard=shard,
            batch=batch.select(list(self._plan.reads)),
            position=position,
            key=_texts(keys),
            rows_in=batch.num_rows,
        )

    def _shard_end(self, shard: Shard) -> Chunk:
        plan = self._plan
        empty = pa.RecordBatch.from_pylist([], plan.source).select(list(plan.reads))
        nothing = np.empty(0, np.int64)
        return Chunk(shard, empty, nothing, pa.array([], pa.string()), last=True)

    def _task(self, bound: Bound, keep: Sequence[str]) -> StepTask:
        applied = bound.open(self._context)
        self._stack.callback(_close, applied, bound.stage)
        counters = self._meter.stage(bound.stage)
        counters.gpus = getattr(applied, "gpus", 0.0)
        return StepTask(
            bound, applied, tuple(keep), self._policy, self._budget, counters, self._meter
        )

    def _lane(
        self, chunks: Iterator[Chunk], tasks: Sequence[StepTask]
    ) -> Generator[Chunk, None, None]:
        first, bound = tasks[0], tasks[0].bound
        pool: Executor
        if bound.serial:
            workers, window, pool = 1, 2, self._pool(1, bound.stage)
        elif bound.bound_by == "io":
            workers, window, pool = IO_CALLS, IO_CALLS, self._pool(IO_CALLS, bound.stage)
        else:
            workers, window, pool = self._context.cores, self._context.cores + 1, self._cpu
        for task in tasks:
            task.counters.workers = workers
            if pool is self._cpu:
                task.counters.lane = COMPUTE
            elif task.counters.gpus:
                task.counters.lane = DEVICE
        first.counters.queue_capacity = window
        if bound.batch_rows is not None:
            chunks = regroup(chunks, bound.batch_rows)
        if bound.bound_by == "io":
            chunks = portions(chunks, first.gauge)
        return lane(chunks, partial(_in_turn, tasks), pool, window, first.counters)


def _texts(keys: pa.Array) -> pa.Array:
    """What rows are called, whatever their keys are: bytes that are no UTF-8 and lists, too."""
    try:
        return pc.cast(keys, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([_text(value) for value in keys.to_pylist()], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return None if value is None else str(value)


def lanes_of(bounds: Sequence[Bound]) -> list[list[int]]:
    """Which steps share a lane: neighbours that compute, one behind the other in one thread.

    What one step made is still in the core's cache when the next one reads it.
    """
    lanes: list[list[int]] = []
    for index, bound in enumerate(bounds):
        joins = lanes and all(_computes(one) for one in (bounds[index - 1], bound))
        if joins and bound.batch_rows is None:
            lanes[-1].append(index)
        else:
            lanes.append([index])
    return lanes


def _computes(bound: Bound) -> bool:
    return bound.bound_by == "cpu" and not bound.serial


def _in_turn(tasks: Sequence[StepTask], chunk: Chunk) -> Chunk:
    for task in tasks:
        chunk = task(chunk)
    return chunk


def _same(chunk: Chunk) -> Chunk:
    return chunk


def _close(applied: Applied, stage: str) -> None:
    """Close an operation. Its rows are all done or given up: what fails here changes neither, and
    must not hide why a run ended."""
    try:
        applied.close()
    except Exception as error:
        log.warning("stage '%s' could not be closed: %s: %s", stage, type(error).__name__, error)
