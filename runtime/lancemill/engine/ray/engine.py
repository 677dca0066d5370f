"""The driver's side of a run on Ray: leases shards, hears what comes of them, counts and charges.

    todo → lease → reports … → result → finish
              ↘ worker died → the same shard again → after two deaths: with care

A death is counted for the shards that the worker had, unless its node went with it. What became of
a shard is told by whoever had the lease last; what an earlier holder of it still writes, nobody
ever commits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import ray

from lancemill.engine.faults import Budget
from lancemill.engine.meter import Meter
from lancemill.engine.prepare import Prepared
from lancemill.engine.ray import balance
from lancemill.engine.ray.brief import brief_of
from lancemill.engine.ray.cluster import Node, Stopped, is_grouped, joined, nodes, slots
from lancemill.engine.ray.counts import add_new, take_back
from lancemill.engine.ray.crew import Crew, Died, Lease
from lancemill.engine.ray.opened import Handed
from lancemill.engine.ray.owner import Hello
from lancemill.engine.ray.places import Places
from lancemill.engine.ray.pools import Pool, pools_of
from lancemill.engine.ray.preflight import Preflight, Task
from lancemill.engine.ray.report import Report
from lancemill.engine.ray.shards import CAREFUL_DEATHS, DEATHS, Shards
from lancemill.engine.ray.told import error_of
from lancemill.engine.result import ShardResult
from lancemill.errors import RunError
from lancemill.sources.source import Shard, Snapshot

POLL_S = 0.2
LOOK_S = 2.0
"""How often the driver looks which nodes there are."""
PATIENCE_S = 20.0
"""How long there may be no room for a stage before that is said: nodes take time to come."""
STARTS = 3
"""Workers that may die before they are ready, one after the other."""

Tell = Callable[[str], None]


class RayEngine:
    """Does shards on Ray. `run` at most once; `stop` at any time, also from a signal."""

    def __init__(
        self, prepared: Prepared, budget: Budget, meter: Meter, tell: Tell, ledger: str
    ) -> None:
        """`ledger`: the URI of the run's."""
        self.prepared = prepared
        self._ledger = ledger
        self.budget = budget
        self.meter = meter
        self.tell = tell
        self._stopping = threading.Event()
        self._deadline: float | None = None

    def stop(self, within: float) -> None:
        """Lease no further shard; what is not finished in so many seconds is given up."""
        if self._deadline is None:
            self._deadline = time.monotonic() + within
        self._stopping.set()

    def run(
        self,
        snapshot: Snapshot,
        todo: Sequence[Shard],
        sink_base: object,
        finish: Callable[[ShardResult], None],
    ) -> None:
        """Do the shards; `finish` gets each result as it comes, in no order."""
        plan = self.prepared.plan
        alone = pools_of(plan, grouped=False)
        gpus = max(pool.gpus for pool in alone)
        self.meter.lacks_workers(True)
        self.meter.done_elsewhere()
        with ExitStack() as ends:
            try:
                told = ends.enter_context(joined(gpus, streamed=len(alone) > 1))
            except Stopped:
                return
            if told:
                self.tell(told)
            pools = pools_of(plan, grouped=is_grouped(nodes()))
            brief = brief_of(self.prepared, snapshot, sink_base, pools)
            handed = Handed(brief.key, (ray.put(brief),))
            task = Task(todo[0].start, self._ledger, self.tell)
            preflight = Preflight.of(brief, handed, plan, task)
            driver = _Driver(self, handed, pools, Shards(todo), finish, preflight)
            driver.run()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def overdue(self) -> bool:
        """Whether it was told to stop, and the time for that is over."""
        return self._deadline is not None and time.monotonic() > self._deadline


class _Driver:
    """The loop."""

    def __init__(
        self,
        engine: RayEngine,
        handed: Handed,
        pools: tuple[Pool, ...],
        shards: Shards,
        finish: Callable[[ShardResult], None],
        preflight: Preflight,
    ) -> None:
        self._engine = engine
        self._preflight = preflight
        self._meter = engine.meter
        self._pools = pools
        self._shards = shards
        self._finish = finish
        self._crew = Crew(handed, pools[-1], len(pools) - 1)
        self._nodes: list[Node] = []
        self._places = Places()
        self._looked = 0.0
        self._failed_starts = 0
        self._waited: dict[int, float] = {}
        """Since when there has been no room for a pool; for ever once that was said."""

    def run(self) -> None:
        try:
            while self._shards.unfinished and not self._engine.overdue:
                if self._engine.stopping and not self._crew.leases:
                    return
                if not self._engine.stopping:
                    self._lease()
                for lease, event in self._crew.events(POLL_S):
                    self._heard(lease, event)
        finally:
            self._preflight.close()
            self._crew.dismiss()

    # -- who does what

    def _lease(self) -> None:
        self._look()
        passed = self._preflight.passed(self._nodes)
        lacking = not passed or self._places.lacking(self._pools, self._nodes, self._crew)
        self._meter.lacks_workers(lacking)
        if not self._preflight.may_ask_for_workers(self._nodes):
            return
        last = self._pools[-1]
        there = slots(self._nodes, last)
        while (shard := self._shards.next_careful()) is not None:
            self._crew.give_alone(shard)
        alone = len(self._crew.alone)
        most, left = self._most(last, there), self._shards.unfinished
        number = balance.workers(there, most, left, alone)
        self._crew.resize(number)
        if not passed or len(self._crew.members) > number:
            return  # who is at work comes to an end first, and makes room
        streams = self._streams()
        for member in self._crew.ready:
            # A second one only while there is enough for everybody.
            most = 2 if self._shards.waiting > len(self._crew.members) else 1
            if len(member.leases) < most and (shard := self._shards.next()) is not None:
                self._crew.give(member, shard, streams)

    def _look(self) -> None:
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._nodes = nodes()
            self._show()
            self._say_who_is_waited_for()

    def _say_who_is_waited_for(self) -> None:
        """Once for each pool: Ray itself waits for a node without a word, and for ever."""
        for number, pool in enumerate(self._pools):
            if slots(self._nodes, pool):
                self._waited.pop(number, None)
            elif time.monotonic() - self._waited.setdefault(number, time.monotonic()) > PATIENCE_S:
                self._waited[number] = float("inf")
                place = f"group '{pool.group}'" if pool.group is not None else "the cluster"
                self._engine.tell(f"no node of {place} has room for stage {pool.name} yet: waiting")

    def _most(self, pool: Pool, there: int) -> int:
        """Workers of `pool` when its group has grown as far as it may."""
        spec = self._engine.prepared.pipeline.spec
        groups = spec.cluster.worker_groups if spec.cluster is not None else ()
        if pool.group is None or not any(one.name == pool.group for one in groups):
            return there
        (group,) = (one for one in groups if one.name == pool.group)
        gpus = int(group.resources.gpu / pool.gpus) if pool.gpus else None
        return max(there, group.max_replicas * (gpus if gpus is not None else 1))

    def _streams(self) -> int:
        if len(self._pools) == 1:
            return 0
        return balance.fair_share(slots(self._nodes, self._pools[-2]), len(self._crew.members))

    # -- what is heard

    def _heard(self, lease: Lease | None, event: Report | Died | Hello) -> None:
        if isinstance(event, Hello):
            self._failed_starts = 0
            self._looked = 0.0  # its node may be new
            self._meter.touch()
            if event.told is not None:
                raise self._preflight.instead_of(error_of(event.told))
            for note in event.notes:
                self._engine.tell(f"worker on node {event.node[:8]}: {note}")
        elif isinstance(event, Died):
            self._died(lease, event)
        else:
            assert lease is not None, "a report is of a shard"
            self._reported(lease, event)

    def _reported(self, lease: Lease, report: Report) -> None:
        add_new(self._meter, lease.counts, report.counts)
        self._meter.spent(report.cpu_seconds)
        lease.counts, lease.streams = report.counts, report.streams
        new = self._shards.new_charges(lease.shard, lease.charged, report.charges)
        lease.charged += len(report.charges)
        if new:
            self._engine.budget.charge(
                [(one.reason, one.message) for one in new],
                may_pass=sum(one.may_pass for one in new),
            )
        if report.result is not None:
            self._crew.over(lease)
            self._shards.finished(lease.shard)
            self._meter.advance(shards=1)
            self._finish(report.result)
        elif report.lost:
            self._crew.over(lease)
            self._again(lease, blamed=2, words=report.told.message if report.told else "")
        elif report.told is not None and not self._engine.overdue:
            raise error_of(report.told)
        self._show()

    def _died(self, lease: Lease | None, died: Died) -> None:
        if lease is None:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                words = f"workers die before they are ready: {_short(died.error)}"
                raise self._preflight.instead_of(RunError(words))
            return
        self._looked = 0.0
        self._nodes = nodes()
        blamed = 0 if self._node_is_gone(died) else 1
        lost = [lease] if died.member is None else self._crew.forget(died.member)
        if died.member is None:
            self._crew.over(lease)
        for one in lost:
            self._again(one, blamed=blamed, words=_short(died.error))

    def _node_is_gone(self, died: Died) -> bool:
        if getattr(died.error, "preempted", False):
            return True
        if died.member is None or died.member.hello is None:
            return False
        return died.member.hello.node not in {node.id for node in self._nodes}

    def _again(self, lease: Lease, *, blamed: int, words: str) -> None:
        """The shard was not finished: somebody else does it, from its first row."""
        take_back(self._meter, lease.counts)
        deaths = self._shards.lost(lease.shard, blamed=blamed)
        if deaths >= DEATHS + CAREFUL_DEATHS:
            shard = lease.shard
            raise RunError(
                f"{deaths} workers died over rows {shard.start:,} to {shard.stop:,} of the source "
                f"({words}), and no single row is to blame",
                remedy="give workers more memory, or make shards smaller: --shard-bytes",
            )

    def _show(self) -> None:
        """Who is at work, in the run's progress."""
        plan = self._engine.prepared.plan
        leases = self._crew.leases
        owners = len([one for one in self._crew.members if one.hello is not None])
        last = self._pools[-1]
        for number, pool in enumerate(self._pools):
            workers = owners if pool is last else sum(one.streams for one in leases)
            for step in plan.steps[pool.first : pool.last]:
                counters = self._meter.stage(step.name)
                counters.pool = f"pool{number}" if len(self._pools) > 1 or pool.gpus else ""
                counters.workers = max(1, workers)
                counters.gpus = pool.gpus * workers


def _short(error: BaseException) -> str:
    return type(error).__name__
