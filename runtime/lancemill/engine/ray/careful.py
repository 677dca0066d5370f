"""A shard that has killed its workers: done in a process of its own, until the row is found.

The child says which rows it is about to do and at which stage it is. Dies it over several rows, the
next child does those one by one; dies it over a single row, twice, that row is set aside, and the
next child leaves it out. All other rows of the shard are written as always.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

from lancemill.engine.chunk import RowFault
from lancemill.engine.faults import FaultPolicy, failed_run, policy_of
from lancemill.engine.ray.brief import Brief
from lancemill.engine.ray.counts import NOTHING, Charge
from lancemill.engine.ray.memory import Appetite, killed_for_memory
from lancemill.engine.ray.opened import Handed
from lancemill.engine.ray.report import REPORT_S, Report
from lancemill.engine.ray.told import tell
from lancemill.errors import RunError
from lancemill.ops.operation import Fault
from lancemill.sources.source import Shard

STEP_ROWS = 16
"""Rows that a child does at once, as long as none of them is suspected."""
DEATHS_OF_A_ROW = 2
"""Children that must die over one and the same row: a machine kills at random, a row each time."""
CHILDREN = 400
"""Children for one shard; each finds something out."""
LOOK_S = 0.05
"""How often it is looked how much memory a child takes."""
TOO_MUCH = "WorkerOutOfMemory", "the row needs more memory than there is"


@dataclass(frozen=True, slots=True)
class Blamed:
    """A row that ends the process that does it."""

    position: int
    stage: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to do."""

    brief: Brief
    shard: Shard
    spans: tuple[tuple[int, int], ...]
    """Rows that are done together, in order; what lies between them is left out."""
    blamed: tuple[Blamed, ...]


@dataclass(frozen=True, slots=True)
class Trying:
    """The child begins with these rows."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class AtStage:
    """The child gives them to this stage."""

    stage: str


@dataclass(frozen=True, slots=True)
class Done:
    """The child's last word: how the shard ended."""

    report: Report


@dataclass(slots=True)
class Search:
    """What is known of a shard's rows. Pure."""

    shard: Shard
    suspects: set[int] = field(default_factory=set)
    """Rows to be done one by one."""
    deaths: dict[int, int] = field(default_factory=dict)
    blamed: dict[int, Blamed] = field(default_factory=dict)

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Rows that are done together: suspects alone, blamed ones not at all."""
        spans: list[tuple[int, int]] = []
        open_ = False
        for row in range(self.shard.start, self.shard.stop):
            if row in self.blamed:
                open_ = False
            elif row in self.suspects:
                spans.append((row, row + 1))
                open_ = False
            elif open_ and row - spans[-1][0] < STEP_ROWS:
                spans[-1] = (spans[-1][0], row + 1)
            else:
                spans.append((row, row + 1))
                open_ = True
        return tuple(spans)

    def died(self, trying: Trying | None, stage: str, reason: str, message: str) -> Blamed | None:
        """A child died over these rows; the row that is to blame, once that is sure."""
        if trying is None:
            return None
        if trying.stop - trying.start > 1:
            self.suspects.update(range(trying.start, trying.stop))
            return None
        row = trying.start
        self.deaths[row] = self.deaths.get(row, 0) + 1
        if self.deaths[row] < DEATHS_OF_A_ROW:
            return None
        self.blamed[row] = Blamed(row, stage, reason, message)
        return self.blamed[row]


def do_carefully(handed: Handed, shard: Shard) -> Iterator[Report]:
    """A task of Ray's: the shard's reports, as an owner gives them."""
    try:
        brief = handed.brief()
        yield from _done(brief, shard)
    except Exception as error:
        yield Report(NOTHING, told=tell(error))


def _done(brief: Brief, shard: Shard) -> Iterator[Report]:
    search, policy = Search(shard), policy_of(brief.pipeline.spec.errors)
    in_vain = 0
    for _ in range(CHILDREN):
        known = (len(search.suspects), sum(search.deaths.values()))
        order = Order(brief, shard, search.spans(), tuple(search.blamed.values()))
        with _Child(order) as child:
            while (end := child.heard(REPORT_S)) is None:
                yield Report(NOTHING)
            if isinstance(end, Done):
                yield end.report
                return
            reason, message = end
            blamed = search.died(child.trying, child.stage, reason, message)
        if blamed is not None:
            _refuse(policy, blamed, search)
            yield Report(NOTHING, charges=(Charge(reason, message, may_pass=True),))
        in_vain = in_vain + 1 if known == (len(search.suspects), sum(search.deaths.values())) else 0
        if in_vain >= DEATHS_OF_A_ROW:
            raise RunError(f"the process that was to find a row that kills dies by itself: {end}")
    raise RunError(f"rows {shard.start:,} to {shard.stop:,} of the source end any process")


def _refuse(policy: FaultPolicy, blamed: Blamed, search: Search) -> None:
    """RunError where the manifest says that a run ends at such a row."""
    fault = Fault(0, blamed.stage, blamed.reason, blamed.message, may_pass=True)
    if policy.final_action(policy.rule_for(fault)) == "fail":
        raise failed_run(fault, str(blamed.position))


class _Child:
    """A running child, and what it has said."""

    def __init__(self, order: Order) -> None:
        mine, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.careful_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(mine.detach())
        self._killed = killed_for_memory()
        self._appetite = Appetite(self._process.pid)
        self.trying: Trying | None = None
        self.stage = ""
        with suppress(OSError):  # it died at once: the end tells
            self._connection.send_bytes(pickle.dumps(order))

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def heard(self, timeout: float) -> Done | tuple[str, str] | None:
        """How it ended (done, or dead for a reason, in words); None while it goes on."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if not self._connection.poll(LOOK_S):
                if self._appetite.is_too_much():
                    return self._stopped()
                continue
            try:
                said = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                return self._death()
            if isinstance(said, Done):
                return said
            self._notice(said)
        return None

    def _notice(self, said: Trying | AtStage) -> None:
        if isinstance(said, AtStage):
            self.stage = said.stage
        else:
            self.trying, self.stage = said, ""
            self._appetite.begins()

    def _stopped(self) -> tuple[str, str]:
        self._process.kill()
        self._process.wait()
        return TOO_MUCH

    def _death(self) -> tuple[str, str]:
        code = self._process.wait()
        if code >= 0:
            return "WorkerCrashed", f"the row ended its process with status {code}"
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and killed_for_memory() > self._killed:
            return TOO_MUCH
        return "WorkerCrashed", f"the row ended its process by {name}"


def with_blamed(
    report: Report, keys: dict[int, str], blamed: tuple[Blamed, ...], policy: FaultPolicy
) -> Report:
    """The report of a shard that was done without the blamed rows, which it accounts for."""
    if report.result is None or not blamed:
        return report
    faults = [
        RowFault(one.position, keys[one.position], one.stage, one.reason, one.message, "quarantine")
        for one in blamed
    ]
    merged = sorted((*report.result.faults, *faults), key=lambda fault: fault.position)
    result = replace(
        report.result, rows_in=report.result.rows_in + len(blamed), faults=tuple(merged)
    )
    return replace(report, result=result)
