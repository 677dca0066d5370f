"""The rows of one attempt: the shards that nobody has finished, through a worker, in this process.

Nothing is decided here of what a finished shard is worth: whoever asks for the work is told of each
one, and records it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from lancemill.engine.faults import Budget, policy_of
from lancemill.engine.local import SINK_STAGE, LocalEngine
from lancemill.engine.meter import Meter
from lancemill.engine.request import Request
from lancemill.engine.result import ShardResult
from lancemill.engine.worker import SOURCE_STAGE, Worker
from lancemill.sources.source import Shard, Snapshot

STOP_WITHIN_S = 1.0
"""What a run that is stopped still finishes. What takes longer is done again when it goes on."""


class Work:
    """`resumed` at most once, then `do` at most once; `stop` at any time, also from a signal."""

    def __init__(self, request: Request, shards: Sequence[Shard]) -> None:
        self._prepared = request.prepared
        self._shards = shards
        plan, errors = request.prepared.plan, request.prepared.pipeline.spec.errors
        total = sum(shard.rows for shard in shards)
        # How many rows fail is what a sample is to find out.
        limits = (1.0, None) if request.options.sample else (errors.max_rate, errors.max_rows)
        self._budget = Budget(total, *limits)
        self.meter = Meter(
            [SOURCE_STAGE, *(step.name for step in plan.steps), SINK_STAGE],
            total,
            shards_total=len(shards),
            max_fault_rate=errors.max_rate,
        )
        self._worker: Worker | None = None
        self._stopped = False

    def stop(self) -> None:
        """No further rows; what flows already comes out, if that takes no longer than a moment."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop(STOP_WITHIN_S)

    def resumed(self, finished: Collection[ShardResult]) -> None:
        """Count what earlier attempts have finished; BudgetExceeded where that was too much."""
        self.meter.resumed(sum(result.rows_in for result in finished), len(finished))
        for result in finished:
            for fault in result.faults:
                self.meter.set_aside(fault.reason)
            self._budget.charge([(fault.reason, fault.message) for fault in result.faults])

    def do(
        self,
        finished: Collection[int],
        snapshot: Snapshot,
        base: Any,
        finish: Callable[[ShardResult], None],
    ) -> None:
        """Do the shards whose index is not in `finished`; `finish` is called for each, in order."""
        todo = [shard for shard in self._shards if shard.index not in finished]
        if not todo:
            return  # nothing need be opened, no model be loaded
        plan, sink = self._prepared.plan, self._prepared.sink
        policy = policy_of(self._prepared.pipeline.spec.errors)
        context = self._prepared.context
        with Worker(plan, context, policy, self._budget, self.meter) as self._worker:
            if self._stopped:
                self._worker.stop(STOP_WITHIN_S)
            writer = sink.writer(plan.output, base)
            for result in LocalEngine(self._worker, writer, self.meter).run(snapshot, iter(todo)):
                finish(result)
