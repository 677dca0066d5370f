"""An attempt that starts or runs: made if it is not there, watched, given up where it must be."""

from __future__ import annotations

from datetime import timedelta

from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun, PipelineStatus, Progress
from lancemill_operator import times
from lancemill_operator.actions import Action, Decision, Want
from lancemill_operator.decide import ending, objects
from lancemill_operator.decide.attempts import GRACE, FailureClass, Reading, Stage, read
from lancemill_operator.decide.case import Case
from lancemill_operator.decide.interruptions import interruption
from lancemill_operator.decide.stopping import give_up
from lancemill_operator.facts import RayJobView
from lancemill_operator.status import Said, find, refusal

PATIENCE = timedelta(seconds=10)
"""How long an attempt may start without anybody asking its pods why it waits."""


def on(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """The attempt is to be there, or is."""
    view = case.attempt_of(current)
    if view is None:
        return _absent(case, current)
    reading = read(view, current, case.pipeline, case.facts.progress, case.now)
    if reading.stage is not Stage.STARTING:
        # Until then nothing has been submitted: a RayJob that is taken away is made again.
        current = current.model_copy(update={"ray_job_uid": view.uid})
    if reading.stage is Stage.ENDED:
        return case.needs(Want.PROGRESS) or ending.ended(case, current, reading)
    stop = interruption(case, current)
    if stop is not None:
        return give_up(case, current, stop)
    if reading.stage is Stage.LOST:
        return give_up(case, current, reading)
    if reading.stage is Stage.RUNNING:
        return case.needs(Want.PROGRESS) or _running(case, current, view)
    return _starting(case, current, view)


def _absent(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Not made yet, or made and taken away."""
    stop = interruption(case, current)
    if stop is not None:
        return give_up(case, current, stop)
    if current.ray_job_uid is not None:
        gone = Reading(
            Stage.LOST,
            "RayJobDeleted",
            f"RayJob {current.ray_job} was deleted by somebody else",
            FailureClass.INFRASTRUCTURE,
        )
        return give_up(case, current, gone)
    refused = _refused_for_long(case, current)
    if refused is not None:
        return give_up(case, current, refused)
    if objects.is_frozen_needed(case, current) and (look := case.needs(Want.FROZEN)):
        return look
    if objects.is_lost(case, current):
        return ending.specification_gone(case, current)
    kept = [view.name for view in case.facts.rayjobs if view.run == current.id]
    return Decision(
        case.facts.status,
        actions=(*case.remove(*kept), *objects.of_attempt(case, current)),
        look_again=case.next_look(timedelta(seconds=30)),
        labels=case.labels(current),
    )


def _refused_for_long(case: Case, current: CurrentRun) -> Reading | None:
    """Why the attempt is given up where the API server has refused to have it made."""
    said = refusal(case.facts.status)
    limit = timedelta(seconds=seconds(case.pipeline.spec.run.start_timeout)) + GRACE
    if said is None or case.since(current.attempt_time) <= limit:
        return None
    return Reading(Stage.LOST, said.reason, said.message, FailureClass.CAPACITY)


def _running(case: Case, current: CurrentRun, view: RayJobView) -> Decision[PipelineStatus]:
    progress = _shown(case)
    actions: tuple[Action, ...] = ()
    changes: dict[str, object] = {"state": "Running"}
    rows = progress.rows_done if progress is not None else 0
    if rows and current.first_row_time is None:
        changes["first_row_time"] = times.text(case.now)
        took = times.spoken(case.since(current.start_time))
        actions = (case.tell("Normal", "FirstRow", f"after {took}", current, attempt=0),)
    current = current.model_copy(update=changes)
    # A cluster that has just become ready says so a moment later than its RayJob.
    doubt = _doubt(view) if case.facts.status.phase == "Running" else ""
    status = case.says(
        "Running",
        case.going_on("Running", f"run {current.id}, attempt {current.attempt}"),
        Said(
            "Degraded",
            "True" if doubt else "False",
            "HeadUnreachable" if doubt else "AsExpected",
            doubt,
        ),
        current_run=current,
        progress=progress,
    )
    poll = timedelta(seconds=case.defaults.progress_seconds)
    return Decision(
        status, actions=actions, look_again=case.next_look(poll), labels=case.labels(current)
    )


def _shown(case: Case) -> Progress | None:
    """Progress as the status shows it: anew when the figure that people see has moved.

    Every write of a status costs everyone who watches it; rates that flicker are in the metrics.
    """
    new, old = case.facts.progress, case.facts.status.progress
    if new is None:
        return old
    return old if old is not None and old.text == new.text else new


def _doubt(view: RayJobView) -> str:
    if view.unreachable_since is not None:
        return f"KubeRay has not reached the head since {times.text(view.unreachable_since)}"
    return f"the head is not ready: {view.head_problem}" if view.head_problem else ""


def _starting(case: Case, current: CurrentRun, view: RayJobView) -> Decision[PipelineStatus]:
    """Waiting for pods: after a while, with the reason."""
    waited = case.since(current.attempt_time)
    if waited > PATIENCE and (look := case.needs(Want.PODS)):
        return look
    why = _why_it_waits(case, view)
    reason = why.partition(":")[0] if why and " " not in why.partition(":")[0] else "Starting"
    limit = case.pipeline.spec.run.start_timeout
    message = f"{why}. spec.run.startTimeout is {limit}" if why else _as_begun(case, current)
    status = case.says(
        "Starting",
        case.going_on(reason, message),
        Said("Degraded", "True" if why else "False", reason if why else "AsExpected", why),
        current_run=current.model_copy(update={"state": "Starting"}),
    )
    return Decision(status, look_again=case.next_look(PATIENCE), labels=case.labels(current))


def _as_begun(case: Case, current: CurrentRun) -> str:
    """What was said as the attempt began still holds, and is not written anew."""
    said = find(case.facts.status.conditions, "Reconciling")
    if said is not None and said.reason == "Starting":
        return said.message
    return f"run {current.id}, attempt {current.attempt} starts"


def _why_it_waits(case: Case, view: RayJobView) -> str:
    """The first reason that a pod, its cluster or its head gives."""
    if view.replica_failure:
        return f"ReplicaFailure: {view.replica_failure}"
    for pod in sorted(case.facts.pods or (), key=lambda pod: (pod.group != "headgroup", pod.name)):
        if pod.problem and not pod.deleting:
            group = "head" if pod.group == "headgroup" else f"group {pod.group}"
            return f"{pod.problem} ({group})"
    return view.head_problem
