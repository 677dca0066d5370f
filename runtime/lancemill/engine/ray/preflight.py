"""Before rows: every worker group says whether it can do its part of the run.

    units of the plan → a task for each of their nodes → what they said → passed, or PreflightFailed

The tasks ask for no CPU, so that they run beside workers which start meanwhile. CPU groups come
first: workers on GPUs that are not there yet are asked for once the other groups have passed, and
their nodes are checked when they come. A group's first nodes are asked, and nobody waits for those
that come when all have passed: nodes of a group are alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lancemill.engine.ray import asked
from lancemill.engine.ray.agreement import RULES, SAME_IMAGE, Problem, Where, differences, lines
from lancemill.engine.ray.brief import Brief
from lancemill.engine.ray.cluster import Node, nodes, slots
from lancemill.engine.ray.opened import Handed
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.streams import where
from lancemill.engine.ray.units import Unit, part_of, units_of
from lancemill.errors import LancemillError, PreflightFailed
from lancemill.plan.step import Plan

LOGS = "its pod's log may tell why"
POLL_S = 0.1
ANSWER_S = 600.0
"""How long a node that is there may take to answer, with the installation of spec.requirements."""
OTHERS_S = 10.0
"""How long the other nodes are waited for once one has said that it cannot: all is told at once."""
NODES = 16
"""Nodes of a group that are asked."""
RETRIES = 2
"""Times that Ray does a check again whose process died."""
NAMES = {rule.name: rule.distributions or (rule.name,) for rule in RULES}


@dataclass(frozen=True, slots=True)
class Task:
    """What a run is about to do."""

    first: int
    """The first row of the source that it will read."""
    ledger: str
    """URI of its ledger."""
    tell: Callable[[str], None]


@dataclass(slots=True, eq=False)
class _Check:
    """A node that was asked."""

    unit: Unit
    task: Any
    node: Node | None
    """None where the task is what makes the autoscaler bring the unit's first node."""
    since: float = field(default_factory=time.monotonic)


class Preflight:
    """All checks of one run. Not for several threads."""

    @classmethod
    def of(cls, brief: Brief, handed: Handed, plan: Plan, task: Task) -> Preflight:
        """Of a run on the nodes that there are now. On a Ray of this machine's own nothing is
        checked: its only node is where the driver has just planned."""
        pools, there = brief.pools, nodes()
        alone = len(there) == 1 and "RAY_ADDRESS" not in os.environ
        units = () if alone and not any(pool.group for pool in pools) else units_of(pools)
        parts = {unit: part_of(unit, pools, plan, task.first, task.ledger) for unit in units}
        return cls(units, parts, pools, handed.where[0], task.tell)

    def __init__(
        self,
        units: Sequence[Unit],
        parts: Mapping[Unit, Mapping[str, Any]],
        pools: Sequence[Pool],
        brief: Any,
        tell: Callable[[str], None],
    ) -> None:
        """`brief`: Ray's reference to it. No units: nothing is checked, and all is well."""
        self._units = tuple(units)
        self._parts = parts
        self._pools = pools
        self._brief = brief
        self._tell = tell
        self._driver = asked.versions(NAMES)
        self._open: list[_Check] = []
        self._seen: set[tuple[Unit, str]] = set()
        self._good: dict[Unit, set[str]] = {unit: set() for unit in self._units}
        self._bad: list[tuple[Where, Problem]] = []
        self._noted: list[tuple[Where, str]] = []
        self._bad_since = 0.0
        self._over = not self._units

    def passed(self, there: Sequence[Node]) -> bool:
        """Whether rows may be done. Asks whom it can, and listens for a moment; PreflightFailed."""
        if self._over:
            return True
        for unit in self._units:
            self._ask(unit, there)
        self._listen()
        self._refuse()
        if not self._open and all(self._good.values()):
            self._over = True
            self._say()
        return self._over

    def may_ask_for_workers(self, there: Sequence[Node]) -> bool:
        """Whether the last pool's workers may be asked for: those that would bring GPU nodes wait
        until the groups without GPUs have passed."""
        last = next((one for one in self._units if len(self._pools) - 1 in one.pools), None)
        if self._over or last is None or not last.device or self._nodes(last, there):
            return True
        return self._others_passed()

    def instead_of(self, error: LancemillError) -> LancemillError:
        """What to raise where a worker has failed before there were rows: what nodes say of
        themselves tells more of it than `error`."""
        deadline = time.monotonic() + OTHERS_S
        while self._asked_of_nodes() and time.monotonic() < deadline:
            self._listen()
        return self._failure() if self._bad else error

    def close(self) -> None:
        """Nobody waits for answers any more."""
        for check in self._open:
            with suppress(RayError):
                ray.cancel(check.task, force=True)
        self._open.clear()

    # -- asking

    def _nodes(self, unit: Unit, there: Sequence[Node]) -> list[Node]:
        pools = [self._pools[number] for number in unit.pools]
        return [node for node in there if any(slots([node], pool) for pool in pools)]

    def _others_passed(self) -> bool:
        others = [unit for unit in self._units if not unit.device]
        waiting = {check.unit for check in self._open}
        return all(self._good[unit] and unit not in waiting for unit in others)

    def _ask(self, unit: Unit, there: Sequence[Node]) -> None:
        fit = self._nodes(unit, there)
        for node in fit[:NODES]:
            if (unit, node.id) not in self._seen:
                self._seen.add((unit, node.id))
                self._open.append(_Check(unit, self._task(unit, node), node))
        asked_for = len(self._pools) - 1 in unit.pools or (unit, "") in self._seen
        if fit or asked_for or (unit.device and not self._others_passed()):
            return
        self._seen.add((unit, ""))
        self._open.append(_Check(unit, self._task(unit, None), None))

    def _task(self, unit: Unit, node: Node | None) -> Any:
        """On `node`; else in the place of one of the unit's workers, so that a node must come."""
        options = where(max((self._pools[one] for one in unit.pools), key=lambda one: one.gpus))
        if node is not None:
            options.pop("label_selector", None)
            pinned = NodeAffinitySchedulingStrategy(node.id, soft=False)
            options.update(num_cpus=0, num_gpus=0, scheduling_strategy=pinned)
        options.update(max_retries=RETRIES, name=f"lancemill preflight {unit.name}")
        ray.cloudpickle.register_pickle_by_value(asked)  # type: ignore[no-untyped-call]
        return (
            ray.remote(asked.answer)
            .options(**options)
            .remote(NAMES, [self._brief], self._parts[unit])
        )

    # -- hearing

    def _listen(self) -> None:
        if not self._open:
            time.sleep(POLL_S)  # a node is on its way
            return
        tasks = {check.task: check for check in self._open}
        ready, _ = ray.wait(list(tasks), num_returns=1, timeout=POLL_S)
        if ready:
            ready, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        for task in ready:
            self._open.remove(tasks[task])
            self._heard(tasks[task])
        self._give_up(time.monotonic() - ANSWER_S)

    def _give_up(self, before: float) -> None:
        """On nodes that were asked before then. Those that have yet to come are waited for."""
        late = Problem(f"no answer for {ANSWER_S:.0f} s", LOGS, final=False)
        for check in self._asked_of_nodes():
            if check.since < before and check.node is not None:
                ray.cancel(check.task, force=True)
                self._open.remove(check)
                self._blame(check, check.node, late)

    def _heard(self, check: _Check) -> None:
        try:
            said = ray.get(check.task)
        except RayError as error:
            self._broken(check, error)
            return
        place = Where(check.unit.group or "", said["address"])
        found = differences(self._driver, said["versions"])
        bad = [*found.problems, *(Problem(*one) for one in said["problems"])]
        if said.get("broken") and not bad:
            bad = [Problem(f"the check itself failed: {said['broken']}", final=False)]
        self._bad += [(place, problem) for problem in bad]
        self._noted += [(place, note) for note in (*found.notes, *said["notes"])]
        if not bad:
            self._good[check.unit].add(said["node"])

    def _broken(self, check: _Check, error: RayError) -> None:
        """No answer will come. A node that is gone is nobody's fault: the next one is asked."""
        if check.node is None:
            self._seen.discard((check.unit, ""))
        elif check.node.id in {node.id for node in nodes()}:
            self._blame(check, check.node, _problem_of(error))

    def _blame(self, check: _Check, node: Node, problem: Problem) -> None:
        self._bad.append((Where(check.unit.group or "", node.address), problem))

    def _refuse(self) -> None:
        """Raise what was found, once everybody has spoken who soon will."""
        if not self._bad:
            return
        self._bad_since = self._bad_since or time.monotonic()
        if self._asked_of_nodes() and time.monotonic() - self._bad_since < OTHERS_S:
            return
        raise self._failure()

    def _asked_of_nodes(self) -> list[_Check]:
        """Answers that will come soon: the nodes are there."""
        return [check for check in self._open if check.node is not None]

    def _failure(self) -> PreflightFailed:
        told = lines((place, str(problem)) for place, problem in self._bad)
        return PreflightFailed(told, final=any(problem.final for _, problem in self._bad))

    def _say(self) -> None:
        for line in lines(self._noted):
            self._tell(line)
        counts = [
            f"{unit.name} {len(self._good[unit])}/{self._there(unit)}" for unit in self._units
        ]
        self._tell(f"preflight passed ({', '.join(counts)})")

    def _there(self, unit: Unit) -> int:
        return len({node for one, node in self._seen if one is unit and node} | self._good[unit])


def _problem_of(error: RayError) -> Problem:
    if isinstance(error, RayTaskError):
        cause = error.cause if isinstance(error.cause, Exception) else error
        first = (str(cause).strip().splitlines() or [""])[0]
        return Problem(f"cannot be asked: {type(cause).__name__}: {first}", SAME_IMAGE)
    message = f"the process that looks what works here dies: {type(error).__name__}"
    return Problem(message, LOGS, final=False)
