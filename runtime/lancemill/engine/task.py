"""One step's work on a chunk: the operation, further attempts, what becomes of faulty rows."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lancemill.engine.chunk import Chunk, RowFault
from lancemill.engine.faults import Budget, FaultPolicy, failed_run
from lancemill.engine.meter import Meter, StageCounters
from lancemill.engine.sizing import Gauge
from lancemill.ops.operation import Applied, Bound, Outcome


class StepTask:
    """An opened operation applied to chunks: retries, set-aside rows, counters."""

    def __init__(
        self,
        bound: Bound,
        applied: Applied,
        keep: tuple[str, ...],
        policy: FaultPolicy,
        budget: Budget,
        counters: StageCounters,
        meter: Meter,
    ) -> None:
        self.bound = bound
        self._applied = applied
        self._keep = keep
        self._policy = policy
        self._budget = budget
        self.counters = counters
        self._meter = meter
        self.gauge = Gauge()

    def __call__(self, chunk: Chunk) -> Chunk:
        if chunk.batch.num_rows == 0:
            return replace(chunk, batch=self._narrow(self._empty()))
        with self.counters.working():
            outcome = self._applied(chunk.batch)
            if outcome.faults:
                outcome = self._retry(chunk, outcome)
            result = self._settle(chunk, outcome)
        narrowed = self._narrow(result.batch)
        self.counters.add(
            rows_in=chunk.batch.num_rows,
            rows_out=narrowed.num_rows,
            faults=len(outcome.faults),
            bytes_in=chunk.batch.nbytes,
            bytes_out=narrowed.nbytes,
        )
        if self.bound.bound_by == "io" or self.bound.operation == "fetch":
            made = sum(outcome.rows[name].nbytes for name in self.bound.makes)
            self.gauge.note(chunk.batch.num_rows, made)
            self._meter.advance(bytes_in=made)
        return replace(result, batch=narrowed)

    def _empty(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([], self.bound.schema)

    def _narrow(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch if tuple(batch.schema.names) == self._keep else batch.select(list(self._keep))

    def _retry(self, chunk: Chunk, outcome: Outcome) -> Outcome:
        """Applies the operation again to rows that a rule gives further attempts."""
        if self.bound.shape != "map":
            return outcome
        for attempt in range(1, max((r.attempts for r in self._policy.rules), default=1)):
            again = []
            pause = 0.0
            for fault in outcome.faults:
                rule = self._policy.rule_for(fault)
                if rule.action == "retry" and attempt < rule.attempts:
                    again.append(fault.row)
                    pause = max(pause, rule.backoff * 2 ** (attempt - 1))
            if not again:
                break
            time.sleep(pause)
            outcome = _replaced(outcome, again, self._applied(chunk.batch.take(pa.array(again))))
        return outcome

    def _settle(self, chunk: Chunk, outcome: Outcome) -> Chunk:
        """Decides what becomes of faulty rows: set aside, kept with a null, or the run's end."""
        settled: list[RowFault] = []
        drop: list[int] = []
        for fault in outcome.faults:
            action = self._policy.final_action(self._policy.rule_for(fault))
            if action == "null" and self.bound.shape != "map":
                action = "quarantine"  # which rows it would have given is not known
            key = chunk.key[fault.row].as_py()
            if action == "fail":
                raise failed_run(fault, key)
            position = int(chunk.position[fault.row])
            settled.append(
                RowFault(position, key, fault.stage, fault.reason, fault.message, action)
            )
            if action == "quarantine":
                drop.append(fault.row)
        if settled:
            for fault in outcome.faults:
                self._meter.set_aside(fault.reason, stage=self.bound.stage)
            self._budget.charge(
                [(fault.reason, fault.message) for fault in outcome.faults],
                may_pass=sum(fault.may_pass for fault in outcome.faults),
            )
        return chunk.after(outcome, tuple(settled), drop)


def _replaced(outcome: Outcome, rows: list[int], again: Outcome) -> Outcome:
    """`outcome` with the given rows replaced by what a further attempt made of them."""
    both = pa.Table.from_batches([outcome.rows, again.rows])
    order = np.arange(outcome.rows.num_rows, dtype=np.int64)
    order[rows] = outcome.rows.num_rows + np.arange(len(rows), dtype=np.int64)
    batch = both.take(pa.array(order)).combine_chunks().to_batches()[0]
    tried = set(rows)
    kept = [fault for fault in outcome.faults if fault.row not in tried]
    new = [replace(fault, row=rows[fault.row]) for fault in again.faults]
    return Outcome(batch, tuple(sorted((*kept, *new), key=lambda fault: fault.row)))
