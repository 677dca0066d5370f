"""The rows of one attempt: the shards that nobody has finished, through workers here or on Ray.

Nothing is decided here of what a finished shard is worth: whoever asks for the work is told of each
one, and records it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from lancemill.code.provide import packages
from lancemill.engine.faults import Budget, policy_of
from lancemill.engine.local import SINK_STAGE, LocalEngine
from lancemill.engine.meter import Meter
from lancemill.engine.request import Request
from lancemill.engine.result import ShardResult
from lancemill.engine.worker import SOURCE_STAGE, Worker
from lancemill.errors import ManifestError, Mistake
from lancemill.sources.source import Shard, Snapshot

STOP_WITHIN_S = 1.0
"""What a run that is stopped still finishes. What takes longer is done again when it goes on."""
ENGINES = ("local", "ray")


def require(engine: str) -> None:
    """ManifestError where there is no such engine, or it is not installed."""
    if engine not in ENGINES:
        message = f"'{engine}' is none, expected one of: {', '.join(ENGINES)}"
        raise ManifestError([Mistake("engine", message)], "lancemill run")
    if engine == "ray" and find_spec("ray") is None:
        message = "ray is not installed: pip install 'lancemill[ray]'"
        raise ManifestError([Mistake("engine", message)], "lancemill run")


class Stoppable(Protocol):
    """What does the rows."""

    def stop(self, within: float) -> None: ...


class Work:
    """`resumed` at most once, then `do` at most once; `stop` at any time, also from a signal."""

    def __init__(
        self, request: Request, shards: Sequence[Shard], tell: Callable[[str], None]
    ) -> None:
        """`tell`: where to say in words what a reader should know."""
        self._prepared = request.prepared
        self._engine = request.options.engine
        self._ledger = request.ledger().folder.uri
        self._shards = shards
        self._tell = tell
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
        self._worker: Stoppable | None = None
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
        """Do the shards whose index is not in `finished`; `finish` is called for each, as it
        comes."""
        todo = [shard for shard in self._shards if shard.index not in finished]
        if not todo:
            return  # nothing need be opened, no model be loaded
        if self._engine == "ray":
            self._do_on_ray(todo, snapshot, base, finish)
        else:
            self._do_here(todo, snapshot, base, finish)

    def _do_here(
        self,
        todo: Sequence[Shard],
        snapshot: Snapshot,
        base: Any,
        finish: Callable[[ShardResult], None],
    ) -> None:
        plan, sink = self._prepared.plan, self._prepared.sink
        policy = policy_of(self._prepared.pipeline.spec.errors)
        context = self._prepared.context
        for note in packages(self._prepared.pipeline.spec):
            self._tell(note)
        with Worker(plan, context, policy, self._budget, self.meter) as worker:
            self._watch(worker)
            writer = sink.writer(plan.output, base)
            for result in LocalEngine(worker, writer, self.meter).run(snapshot, iter(todo)):
                finish(result)

    def _do_on_ray(
        self,
        todo: Sequence[Shard],
        snapshot: Snapshot,
        base: Any,
        finish: Callable[[ShardResult], None],
    ) -> None:
        from lancemill.engine.ray.engine import RayEngine

        engine = RayEngine(self._prepared, self._budget, self.meter, self._tell, self._ledger)
        self._watch(engine)
        engine.run(snapshot, todo, base, finish)

    def _watch(self, worker: Stoppable) -> None:
        """Whoever does the rows is told to stop, also where that was said before."""
        self._worker = worker
        if self._stopped:
            worker.stop(STOP_WITHIN_S)
