"""A pipeline without a run: nothing is asked for, or something is and may begin, or must wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun, FinishedRun, PipelineStatus, Progress
from lancemill_operator import names, times
from lancemill_operator.actions import Action, Decision, Emit, Want
from lancemill_operator.decide import objects, preflight
from lancemill_operator.decide.case import Case
from lancemill_operator.facts import PipelineFacts
from lancemill_operator.manifests import too_large
from lancemill_operator.status import Said, Truth, at_rest, conditions, find, is_true, stuck

NEWS = timedelta(seconds=20), timedelta(seconds=80)
"""When a problem that waits to be mended is told as an Event: at one look or two."""


def unreadable(facts: PipelineFacts, now: datetime) -> Decision[PipelineStatus]:
    """A manifest that the API server has taken and this version of the models refuses."""
    message = "; ".join(facts.mistakes) or "the manifest cannot be read"
    said = (Said("Accepted", "False", "InvalidManifest", message),)
    status = facts.status.model_copy(
        update={
            "observed_generation": facts.identity.generation,
            "conditions": conditions(
                facts.status.conditions,
                (*said, *stuck("InvalidManifest", message)),
                facts.identity.generation,
                now,
            ),
            "phase": "Invalid",
        }
    )
    return Decision(status, actions=_refusal(facts, message))


def idle(case: Case) -> Decision[PipelineStatus]:
    """No run goes on."""
    if case.mistakes:
        return _refused(case)
    if case.pipeline.spec.run.suspend:
        return _suspended(case)
    if not case.causes.pending:
        return _resting(case)
    if case.causes.waits_for:
        name = case.causes.waits_for
        return _waits(
            case,
            "WaitingForTrigger",
            f"dataset {name} (spec.run.triggers) has no version yet; the run starts with its first",
        )
    look = case.needs(Want.PREFLIGHT)
    if look is not None:
        return look
    large = too_large(case.facts.document, preflight.datasets(case))
    if large is not None:
        return _refused(replace(case, mistakes=(large,)))
    problem = preflight.problem(case)
    if problem is not None:
        truth: Truth = "False" if problem.is_wrong else "Unknown"
        return _waits(case, problem.reason, problem.message, preflight_status=truth)
    return _start(case)


# -- a run begins


def _start(case: Case) -> Decision[PipelineStatus]:
    """The run is written down first; then its objects are made, by names that follow from it."""
    run = case.causes.run
    attempt = max((view.attempt for view in case.facts.rayjobs if view.run == run), default=1)
    moment = times.text(case.now)
    current = CurrentRun(
        id=run,
        cause=case.causes.pending[0][:253],
        generation=case.facts.identity.generation,
        attempt=attempt,
        ray_job=names.rayjob(case.pipeline.name, run, attempt),
        state="Starting",
        start_time=moment,
        attempt_time=moment,
    )
    warning = preflight.warning(case)
    status = case.says(
        "Starting",
        case.going_on("Starting", f"run {run} starts ({', '.join(case.causes.pending)})"),
        Said(
            "Preflight",
            "True",
            "NoRoomYet" if warning else "Passed",
            warning or "what the manifest names is there",
        ),
        Said("Succeeded", "Unknown", "RunInProgress", f"run {run} goes on"),
        Said("Failed", "False", "RunInProgress"),
        Said("Suspended", "False", "RunInProgress"),
        Said(
            "Degraded",
            "True" if warning else "False",
            "NoRoomYet" if warning else "AsExpected",
            warning,
        ),
        current_run=current,
        handled=case.causes.answered,
        progress=Progress(text="0%"),
    )
    told = case.tell(
        "Normal", "RunStarted", f"run {run}: {', '.join(case.causes.pending)}", current
    )
    kept = [view.name for view in case.facts.rayjobs if view.run == run]
    return Decision(
        status,
        actions=(*case.remove(*kept), *objects.of_attempt(case, current), told),
        look_again=case.next_look(timedelta(seconds=30)),
        labels=case.labels(current),
    )


# -- nothing begins


def _waits(
    case: Case, reason: str, message: str, preflight_status: Truth = "Unknown"
) -> Decision[PipelineStatus]:
    said = Said("Preflight", preflight_status, reason, message)
    status = case.says(
        "Waiting",
        case.going_on(reason, message),
        said,
        Said("Suspended", "False", reason),
        Said("Degraded", "False", "AsExpected"),
    )
    told: tuple[Action, ...] = ()
    if preflight_status == "False" and _has_lasted(case, "Preflight", reason):
        token = f"{case.facts.identity.generation}/{reason}"
        told = (Emit("Warning", "PreflightFailed", message, token),)
    return Decision(
        status,
        actions=(*_leftovers(case), *told),
        look_again=case.next_look(timedelta(seconds=30)),
    )


def _refused(case: Case) -> Decision[PipelineStatus]:
    message = "; ".join(case.mistakes)
    status = case.says("Invalid", stuck("InvalidManifest", message))
    return Decision(
        status,
        actions=(*_leftovers(case), *_refusal(case.facts, message)),
        look_again=case.next_look(_ttl(case)),
    )


def _refusal(facts: PipelineFacts, message: str) -> tuple[Action, ...]:
    told = find(facts.status.conditions, "Accepted")
    if told is not None and told.status == "False" and told.message == message:
        return ()
    token = f"{facts.identity.generation}/refused"
    return (Emit("Warning", "ManifestRefused", message, token),)


def _suspended(case: Case) -> Decision[PipelineStatus]:
    message = "spec.run.suspend is true: no run starts"
    status = case.says(
        "Suspended", at_rest("Suspended", message), Said("Suspended", "True", "Requested", message)
    )
    return Decision(status, actions=_leftovers(case), look_again=case.next_look(_ttl(case)))


def _resting(case: Case) -> Decision[PipelineStatus]:
    last = case.facts.status.last_run
    resumed = Said("Suspended", "False", "NotRequested")
    # What Preflight said of a start that is no longer asked for is over.
    passed = (
        ()
        if is_true(case.facts.status.conditions, "Preflight")
        else (Said("Preflight", "Unknown", "NotAsked"),)
    )
    if last is None:
        when = case.causes.next_start
        message = f"the first run is due at {times.text(when)}" if when else "no run is asked for"
        status = case.says("Scheduled", at_rest("Scheduled", message), resumed, *passed)
    else:
        status = case.says(last.result, *_of(last), resumed, *passed)
    return Decision(status, actions=_leftovers(case), look_again=case.next_look(_ttl(case)))


def _of(last: FinishedRun) -> tuple[tuple[Said, ...], Said, Said]:
    """What a finished run leaves said."""
    reason = last.reason or last.result
    if last.result == "Succeeded":
        return (
            at_rest("Succeeded", last.message),
            Said("Succeeded", "True", reason, last.message),
            Said("Failed", "False", "Succeeded"),
        )
    failed: Truth = "True" if last.result == "Failed" else "False"
    return (
        stuck(reason, last.message),
        Said("Succeeded", "False", reason, last.message),
        Said("Failed", failed, reason, last.message),
    )


def finished(case: Case, last: FinishedRun, **updates: object) -> PipelineStatus:
    """The status right after a run has ended."""
    three, succeeded, failed = _of(last)
    return case.says(
        last.result,
        three,
        succeeded,
        failed,
        Said("Suspended", "False", "NotRequested"),
        Said("Degraded", "False", "AsExpected"),
        last_run=last,
        **updates,
    )


# -- what a finished run leaves behind


def _leftovers(case: Case) -> tuple[Action, ...]:
    """RayJobs that are no longer wanted: all but the last run's, until its time is over."""
    last = case.facts.status.last_run
    left = _ttl(case)
    if last is not None and last.ray_job is not None and left is not None and left > timedelta():
        return case.remove(last.ray_job)
    return case.remove()


def _ttl(case: Case) -> timedelta | None:
    """How long the last run's RayJob is still kept; None where there is none."""
    last = case.facts.status.last_run
    if last is None or last.ray_job is None:
        return None
    if all(view.name != last.ray_job or view.deleting for view in case.facts.rayjobs):
        return None
    run = case.pipeline.spec.run
    kept = run.ttl_after_finished if last.result == "Succeeded" else run.keep_cluster_on_failure
    return timedelta(seconds=seconds(kept)) - case.since(last.end_time)


def _has_lasted(case: Case, kind: str, reason: str) -> bool:
    """Whether that has been said long enough to be news, and not so long that it is none.

    Who applies several objects at once makes them in some order; that is not worth a warning.
    """
    found = find(case.facts.status.conditions, kind)
    if found is None or found.reason != reason:
        return False
    return NEWS[0] <= case.since(found.last_transition_time) <= NEWS[1]
