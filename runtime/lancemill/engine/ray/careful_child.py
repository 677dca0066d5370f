"""The child of careful.py: one shard, a few rows after the other, each announced before it is done.

Here nothing overlaps: rows go through all stages and come out before the next ones are read, so
that a death can have one cause only.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.engine.chunk import Chunk
from lancemill.engine.local import SINK_STAGE, LocalEngine
from lancemill.engine.ray.blocks import end_of
from lancemill.engine.ray.careful import AtStage, Done, Order, Trying, with_blamed
from lancemill.engine.ray.counts import NOTHING, Tally, counts_of
from lancemill.engine.ray.opened import Opened, cpu_clock
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.report import Report
from lancemill.engine.ray.told import tell
from lancemill.engine.worker import Worker
from lancemill.ops.operation import Applied, Bound, Outcome, WorkerContext
from lancemill.plan.step import Plan
from lancemill.sources.source import Shard


def main(descriptor: int) -> None:
    """Do the order that comes, and say what came of it."""
    with suppress(OSError):  # where memory ends, this process is the one to go
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    parent = Connection(descriptor)
    order: Order = pickle.loads(parent.recv_bytes())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        report = _Careful(order, parent).done()
    except Exception as error:
        report = Report(NOTHING, told=tell(error))
    parent.send_bytes(pickle.dumps(Done(report)))


def _end_with(parent: Connection) -> None:
    """End this process when nobody listens any more."""
    with suppress(EOFError, OSError):
        parent.recv_bytes()
    os._exit(1)


class _Careful:
    """The shard's way through all stages."""

    def __init__(self, order: Order, parent: Connection) -> None:
        whole = Pool("careful", 0, len(order.brief.pools) and order.brief.pools[-1].last)
        self._order = order
        self._opened = Opened(replace(order.brief, pools=(whole,)), 0)
        self._parent = parent
        self._saying = threading.Lock()
        self._out = threading.Semaphore(0)

    def done(self) -> Report:
        opened, order = self._opened, self._order
        meter, tally = opened.meter(alone=True), Tally()
        plan = _announced(opened.plan, self._say)
        with Worker(plan, opened.context, opened.policy, tally, meter) as worker:
            chunks = self._one_shard(worker.stream(opened.snapshot, self._spans()))
            engine = LocalEngine(worker, opened.writer, meter)
            result = engine.write_shard(next(chunks), chunks)
        for one in order.blamed:
            meter.set_aside(one.reason, stage=one.stage if one.stage else SINK_STAGE)
        meter.advance(len(order.blamed))
        report = Report(counts_of(meter), tally.take(), cpu_clock.take(), result=result)
        return with_blamed(report, self._keys(), order.blamed, opened.policy)

    def _spans(self) -> Iterator[Shard]:
        """Parts of the shard, each when the one before has come out."""
        for index, (start, stop) in enumerate(self._order.spans):
            if index:
                self._out.acquire()
            self._say(Trying(start, stop))
            yield replace(self._order.shard, start=start, stop=stop)

    def _one_shard(self, stream: Iterator[Chunk]) -> Iterator[Chunk]:
        """The parts' chunks as those of the whole shard."""
        left = len(self._order.spans)
        shard = self._order.shard
        last: Chunk | None = None
        for chunk in stream:
            if chunk.last:
                left -= 1
                self._out.release()
                last = chunk
                continue
            yield replace(chunk, shard=shard)
            if not left:
                break
        if left:
            return
        empty = pa.RecordBatch.from_pylist([], self._opened.plan.output)
        if last is None:
            yield end_of(shard, empty)
        else:
            yield replace(last, shard=shard)

    def _keys(self) -> dict[int, str]:
        """What the blamed rows are called."""
        key = self._opened.plan.key
        keys: dict[int, str] = {}
        for one in self._order.blamed:
            keys[one.position] = str(one.position)
            if key is not None:
                row = replace(self._order.shard, start=one.position, stop=one.position + 1)
                for batch in self._opened.snapshot.read(row, [key], 1, 1 << 20):
                    keys[one.position] = str(batch.column(key)[0].as_py())
        return keys

    def _say(self, what: Trying | AtStage) -> None:
        with self._saying:
            self._parent.send_bytes(pickle.dumps(what))


def _announced(plan: Plan, say: Any) -> Plan:
    """The plan, whose stages say when they begin."""
    steps = tuple(replace(step, bound=_said(step.done, say)) for step in plan.steps)
    return replace(plan, steps=steps)


def _said(bound: Bound, say: Any) -> Bound:
    def open_(context: WorkerContext) -> Applied:
        return _Announced(bound.open(context), bound.stage, say)

    return replace(bound, open=open_)


class _Announced:
    def __init__(self, applied: Applied, stage: str, say: Any) -> None:
        self._applied = applied
        self._stage = stage
        self._say = say

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        self._say(AtStage(self._stage))
        return self._applied(batch)

    def close(self) -> None:
        self._applied.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
