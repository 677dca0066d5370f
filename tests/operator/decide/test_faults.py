"""Whatever dies, whenever, and whatever the operator is shown: one run, one commit, a true end."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lancemill_api.status import Progress
from lancemill_operator import names
from lancemill_operator.facts import Deployment
from lancemill_operator.status import find
from support.simulated import Died, Ledger, Simulated, pipeline

Life = Callable[[Simulated], None]


def succeeds(world: Simulated) -> None:
    """create → succeed"""
    _play(world)


def fails_once(world: Simulated) -> None:
    """fail → retry → succeed"""
    _live(world)
    if len(world.made) == 1 and world.jobs:
        world.kuberay(world.only(), Deployment.FAILED, "FAILED", "AppFailed")
    _play(world)


def no_capacity(world: Simulated) -> None:
    """capacity timeout, for good"""
    _live(world)
    for job in world.jobs.values():
        world.kuberay(job, Deployment.FAILED, "", "PreRunningDeadlineExceeded")
    _pass_time(world, 8)


def suspended_and_resumed(world: Simulated) -> None:
    """suspend in the middle, and resume"""
    _live(world)
    for job in world.jobs.values():
        world.kuberay(job, Deployment.RUNNING, "RUNNING")
    _live(world)
    world.edit(suspend=True)
    _pass_time(world, 4)
    world.edit(suspend=False)
    _play(world)


def edited(world: Simulated) -> None:
    """edit during a run"""
    _live(world)
    world.change(errors={"maxRows": 5})
    _play(world)
    _play(world)


def cancelled(world: Simulated) -> None:
    """cancel"""
    _live(world)
    current = world.status.current_run
    if current is not None:
        world.annotations[names.CANCEL_RUN] = current.id
    _pass_time(world, 4)


LIVES: dict[str, Life] = {
    life.__doc__ or "": life
    for life in (succeeds, fails_once, no_capacity, suspended_and_resumed, edited, cancelled)
}


def _live(world: Simulated) -> None:
    """The operator looks until nothing changes, and is started again whenever it dies."""
    for _ in range(5):
        try:
            world.settle_down()
        except Died:
            world.deadly_write = None
        else:
            return


def _pass_time(world: Simulated, rounds: int) -> None:
    for _ in range(rounds):
        _live(world)
        world.clear()
        world.answer()
        world.wait(601)
    _live(world)


def _play(world: Simulated) -> None:
    """Everything goes well from here."""
    for _ in range(4):
        _live(world)
        world.clear()
        world.answer()
        for job in world.jobs.values():
            if not job.view.deleting and job.view.deployment in ("", "Initializing", "Running"):
                world.kuberay(job, Deployment.RUNNING, "RUNNING")
                _live(world)
                if not job.view.deleting:
                    world.succeed(job)
        _live(world)
        world.wait(70)
    _live(world)


def _end(world: Simulated) -> tuple[object, ...]:
    """What must be the same whatever happened on the way."""
    return (
        world.status.phase,
        [(one.cause, one.result, one.attempts, one.reason) for one in world.status.runs],
        [(one.type, one.status, one.reason) for one in world.status.conditions],
        world.made,
        sorted(name for name, job in world.jobs.items() if not job.view.deleting),
        sorted(world.maps),
        {run: ledger.commits for run, ledger in world.ledgers.items()},
    )


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_operator_killed_at_any_write_ends_where_an_undisturbed_one_does(name, after):
    reference = Simulated(pipeline(retries=1))
    LIVES[name](reference)
    reference.check()
    assert reference.writes > 5
    for deadly in range(1, reference.writes + 1):
        world = Simulated(pipeline(retries=1), deadly_write=deadly, deadly_after=after)
        LIVES[name](world)
        world.check()
        assert _end(world) == _end(reference), f"killed at write {deadly}"


class Anything(RuleBasedStateMachine):
    """Users, KubeRay, pods, drivers, ledgers, crashes and stale views in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulated(pipeline(retries=2))
        self.old: list[Simulated] = []
        self.ended: dict[str, str] = {}

    def reconcile(self, view: Simulated | None = None) -> None:
        try:
            self.world.reconcile(view)
        except Died:
            self.world.deadly_write = None

    @rule()
    def looks(self) -> None:
        self.reconcile()

    @rule(which=st.integers(0, 3))
    @precondition(lambda self: self.old)
    def looks_at_an_old_view(self, which: int) -> None:
        self.reconcile(self.old[-1 - which % len(self.old)])

    @rule()
    def remembers(self) -> None:
        self.old = [*self.old[-3:], deepcopy(self.world)]

    @rule(ahead=st.integers(1, 4), after=st.booleans())
    def will_be_killed(self, ahead: int, after: bool) -> None:
        self.world.deadly_write = self.world.writes + ahead
        self.world.deadly_after = after

    @rule(seconds=st.sampled_from([1, 12, 70, 700, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(
        deployment=st.sampled_from([*Deployment, "Surprise"]),
        status=st.sampled_from(["", "RUNNING", "FAILED", "STOPPED", "Failure"]),
        reason=st.sampled_from(["", "AppFailed", "DeadlineExceeded", "Other"]),
    )
    @precondition(lambda self: self.world.jobs)
    def kuberay_says(self, deployment: str, status: str, reason: str) -> None:
        job = list(self.world.jobs.values())[-1]
        if job.view.deployment not in (Deployment.COMPLETE, Deployment.FAILED):
            self.world.kuberay(job, deployment, status, reason)

    @rule(which=st.integers(0, 5), tells=st.booleans())
    @precondition(lambda self: self.world.made)
    def any_driver_tries_to_commit(self, which: int, tells: bool) -> None:
        """Also one whose RayJob was deleted long ago."""
        name = self.world.made[which % len(self.world.made)]
        job = self.world.jobs.get(name)
        if job is not None and job.view.deployment == Deployment.RUNNING:
            self.world.succeed(job, tells=tells)
        else:
            run, attempt = name.split("-")[1:]
            self.world.ledgers[run].commit(int(attempt))

    @rule(pods_stay=st.booleans())
    def what_is_deleted_goes(self, pods_stay: bool) -> None:
        self.world.clear(pods_stay=pods_stay)

    @rule()
    def pods_stop(self) -> None:
        self.world.lingering.clear()

    @rule(problem=st.sampled_from(["", "", "AccessDenied"]))
    def probes_answer(self, problem: str) -> None:
        self.world.answer(problem=problem)

    @rule()
    @precondition(lambda self: self.world.jobs)
    def somebody_deletes_a_rayjob(self) -> None:
        self.world.jobs.popitem()

    @rule(suspend=st.booleans())
    def suspends_or_resumes(self, suspend: bool) -> None:
        self.world.edit(suspend=suspend)

    @rule(policy=st.sampled_from(["Forbid", "Replace"]))
    def changes_the_policy(self, policy: str) -> None:
        self.world.edit(concurrencyPolicy=policy)

    @rule(rows=st.integers(1, 3))
    def changes_what_is_run(self, rows: int) -> None:
        self.world.change(errors={"maxRows": rows})

    @rule(number=st.integers(0, 3))
    def requests_a_run(self, number: int) -> None:
        self.world.annotations[names.RUN_REQUESTED_AT] = str(number)

    @rule()
    @precondition(lambda self: self.world.status.current_run is not None)
    def cancels(self) -> None:
        self.world.annotations[names.CANCEL_RUN] = self.world.status.current_run.id

    @rule(stalled=st.booleans())
    def progress_is_told(self, stalled: bool) -> None:
        self.world.progress = Progress(
            text="7%", rows_done=7, last_progress_seconds=2000 if stalled else 1
        )

    @invariant()
    def the_promises_hold(self) -> None:
        world = self.world
        live = [
            job
            for job in world.jobs.values()
            if not job.view.deleting
            and job.view.deployment not in (Deployment.COMPLETE, Deployment.FAILED)
        ]
        assert len(live) <= 1
        assert all(ledger.commits <= 1 for ledger in world.ledgers.values())
        for record in world.status.runs:
            committed = world.ledgers.get(record.id, Ledger()).committed_by is not None
            if record.reason != "OutcomeUnknown":
                assert (record.result == "Succeeded") == committed, record
            assert self.ended.setdefault(record.id, record.result) == record.result
        ids = [record.id for record in world.status.runs]
        assert len(ids) == len(set(ids))
        current = world.status.current_run
        assert current is None or current.id not in self.ended, "a terminal run was resurrected"

    @invariant()
    def something_is_always_said(self) -> None:
        if self.world.looks:
            said = self.world.status.conditions
            if not said:
                return
            ready, work, stuck = (
                find(said, kind).status for kind in ("Ready", "Reconciling", "Stalled")
            )
            assert (ready, work, stuck) in {
                ("Unknown", "True", "False"),
                ("True", "False", "False"),
                ("False", "False", "True"),
            }
            assert all(one.reason for one in said)

    def teardown(self) -> None:
        """Once nobody disturbs it any more, it comes to rest."""
        world = self.world
        world.deadly_write = None
        world.edit(suspend=False, concurrencyPolicy="Forbid")
        world.progress = None
        for _ in range(40):
            world.settle_down()
            world.clear()
            world.lingering.clear()
            world.answer()
            for job in world.jobs.values():
                if job.view.deployment not in (Deployment.COMPLETE, Deployment.FAILED):
                    world.kuberay(job, Deployment.FAILED, "", "AppFailed")
            world.wait(1000)
            if world.status.current_run is None:
                break
        world.settle_down()
        assert world.status.current_run is None
        self.the_promises_hold()


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@given(st.lists(st.sampled_from(["look", "twice"]), max_size=6))
@settings(deadline=None, max_examples=20)
def test_looking_more_often_changes_nothing(looks):
    world = Simulated(pipeline())
    world.settle_down()
    before = _end(world)
    for one in looks:
        world.reconcile()
        if one == "twice":
            world.reconcile()
    assert _end(world) == before
