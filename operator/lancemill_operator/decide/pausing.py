"""A run between two attempts: until its next one is due, or until it is wanted again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from lancemill_api.status import CurrentRun, PipelineStatus
from lancemill_operator import names, times
from lancemill_operator.actions import Decision, Want
from lancemill_operator.decide.attempts import FailureClass, Reading, Stage
from lancemill_operator.decide.case import Case
from lancemill_operator.decide.interruptions import interruption
from lancemill_operator.decide.retries import LONGEST_WAIT, counted, wait
from lancemill_operator.decide.stopping import STOP_PATIENCE, give_up, what_is_left
from lancemill_operator.status import Said, at_rest


def retry(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Another attempt follows, after a while; what is left of this one goes meanwhile."""
    failure = FailureClass(current.failure)
    failures = counted(current.failures, failure)
    after = wait(failures, failure)
    told = case.tell(
        "Warning",
        "AttemptFailed",
        f"attempt {current.attempt} of run {current.id}: {current.why}: {current.message}; "
        f"the next one follows in {times.spoken(after)}",
        current,
    )
    following = current.model_copy(
        update={
            "state": "Waiting",
            "attempt": current.attempt + 1,
            "failures": failures,
            "attempt_time": times.text(case.now + after + timedelta(milliseconds=999)),
            "ray_job": None,
            "ray_job_uid": None,
        }
    )
    status = case.says(
        "Retrying",
        case.going_on("Retrying", f"{current.why}: {current.message}"),
        current_run=following,
    )
    return Decision(
        status,
        actions=(*case.remove(), told),
        look_again=case.next_look(after),
        labels=case.labels(current),
    )


def waiting(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """The next attempt is due when its time has come and nothing of the last one is left."""
    stop = interruption(case, current)
    if stop is not None:
        return give_up(case, current, stop)
    assert current.attempt_time is not None
    left = times.parse(current.attempt_time) - case.now
    if left > LONGEST_WAIT:
        left = timedelta()  # written by a clock that was ahead of ours
    if left > timedelta():
        return Decision(
            case.says(
                "Retrying",
                case.going_on("Retrying", f"{current.why}: {current.message}"),
            ),
            actions=case.remove(),
            look_again=case.next_look(left),
            labels=case.labels(current),
        )
    look = case.needs(Want.PODS)
    if look is not None:
        return look
    remains = what_is_left(case)
    if remains and -left < STOP_PATIENCE:
        return Decision(
            case.says("Retrying", case.going_on("Retrying", remains)),
            actions=case.remove(),
            look_again=timedelta(seconds=2),
            labels=case.labels(current),
        )
    return _begin(case, current)


def suspend(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Nothing of the run is left in the cluster; its finished shards are kept in its ledger."""
    current = current.model_copy(
        update={
            "state": "Suspended",
            "attempt": current.attempt + 1,
            "attempt_time": times.text(case.now),
            "ray_job": None,
            "ray_job_uid": None,
        }
    )
    return Decision(
        _suspended_status(case, current),
        actions=(
            case.tell("Normal", "RunSuspended", f"run {current.id}: {current.message}", current),
        ),
        labels=case.labels(current),
    )


def suspended(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Until it is wanted again, cancelled, or replaced by a run of what the manifest says now."""
    if case.facts.identity.annotations.get(names.CANCEL_RUN) == current.id:
        reading = Reading(Stage.LOST, "Cancelled", "it was cancelled on request while suspended")
        return give_up(case, current, reading)
    if case.pipeline.spec.run.suspend:
        return Decision(
            _suspended_status(case, current),
            actions=case.remove(),
            labels=case.labels(current),
        )
    if case.causes.new_specification and case.causes.pending and not case.mistakes:
        reading = Reading(Stage.LOST, "Replaced", "the manifest was changed while it was suspended")
        return give_up(case, current, reading)
    away = int(case.since(current.attempt_time).total_seconds())
    resumed = current.model_copy(update={"suspended_seconds": current.suspended_seconds + away})
    told = case.tell("Normal", "RunResumed", f"run {current.id}", current)
    decision = _begin(case, resumed)
    return replace(decision, actions=(*decision.actions, told))


def _begin(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Write down that the attempt starts; the next look, which follows at once, makes it."""
    current = current.model_copy(
        update={
            "state": "Starting",
            "ray_job": names.rayjob(case.pipeline.name, current.id, current.attempt),
            "why": "",
            "message": "",
            "failure": "",
            "attempt_time": times.text(case.now),
        }
    )
    message = f"run {current.id}, attempt {current.attempt} starts"
    status = case.says(
        "Starting",
        case.going_on("Starting", message),
        Said("Suspended", "False", "RunInProgress"),
        current_run=current,
    )
    return Decision(status, look_again=timedelta(), labels=case.labels(current))


def _suspended_status(case: Case, current: CurrentRun) -> PipelineStatus:
    message = f"run {current.id} is suspended; it goes on when spec.run.suspend is false"
    return case.says(
        "Suspended",
        at_rest("Suspended", message),
        Said("Suspended", "True", "Requested", message),
        Said("Degraded", "False", "AsExpected"),
        current_run=current,
    )
