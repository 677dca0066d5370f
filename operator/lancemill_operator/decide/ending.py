"""How an attempt ends: taken down, asked what came of it, and followed by another or by none.

An attempt that is given up may still live (KubeRay's deadlines stop nothing, recording 05), so no
end is told before its cluster is gone and its ledger is closed to it. What the ledger says then
stands, whatever was asked for: a run that committed before it could be cancelled has succeeded.
"""

from __future__ import annotations

from datetime import timedelta

from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun, FinishedRun, PipelineStatus
from lancemill_operator import times
from lancemill_operator.actions import Action, Decision, Want
from lancemill_operator.decide import idle, objects, settle
from lancemill_operator.decide.attempts import FailureClass, Reading
from lancemill_operator.decide.case import Case, config_map_removal
from lancemill_operator.decide.pausing import retry, suspend
from lancemill_operator.decide.retries import counted, total
from lancemill_operator.decide.stopping import STOP_PATIENCE, stopping_status, what_is_left
from lancemill_operator.facts import Outcome, Verdict
from lancemill_operator.status import REFUSALS, Said

MOST_QUESTIONS = 8
"""How often a ledger is asked before its run is called failed with an outcome that nobody knows."""

_NEVER_RAN = frozenset({"RayJobRefused", "PreRunningDeadlineExceeded", *REFUSALS})
"""Why an attempt ended whose driver certainly never started: no ledger needs to be asked."""


def stopping(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Wait until nothing of the attempt is left."""
    look = case.needs(Want.PODS)
    if look is not None:
        return look
    left = what_is_left(case)
    if left and case.since(current.attempt_time) < STOP_PATIENCE:
        return Decision(
            stopping_status(case, current, left),
            actions=case.remove(),
            look_again=timedelta(seconds=2),
            labels=case.labels(current),
        )
    return _stopped(case, current)


def ended(case: Case, current: CurrentRun, reading: Reading) -> Decision[PipelineStatus]:
    """The driver has ended by itself: its last word counts, else its ledger is asked."""
    word = case.facts.last_word
    mine = word is not None and (word.run, word.attempt) == (current.id, current.attempt)
    # KubeRay knows the exit status of a driver that failed, the driver itself knows why.
    why = word.message if word is not None and mine and reading.failure else ""
    current = current.model_copy(
        update={
            "why": reading.why,
            "message": why or reading.message,
            "failure": reading.failure or "",
            "attempt_time": times.text(case.now),
        }
    )
    if word is not None and mine and word.verdict is not Verdict.NOT_COMMITTED:
        return conclude(case, current, word)
    return settling(case, current)


def settling(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Ask the ledger what came of the run, and close it to every attempt so far."""
    if objects.is_frozen_needed(case, current):
        look = case.needs(Want.PROBES, Want.FROZEN)
    else:
        look = case.needs(Want.PROBES)
    if look is not None:
        return look
    if objects.is_lost(case, current):
        return specification_gone(case, current)
    asked = settle.state(case, current)
    if asked.outcome is not None:
        return conclude(case, current, asked.outcome)
    if asked.failed >= MOST_QUESTIONS:
        message = f"what came of it is not known: its ledger cannot be read: {asked.problem}"
        return finish(case, current, "Failed", "OutcomeUnknown", message, None)
    actions: tuple[Action, ...] = ()
    if asked.ask_now:
        actions = (objects.settle_job(case, current, asked.failed),)
    current = current.model_copy(update={"state": "Settling"})
    message = asked.problem or "its ledger is asked what came of it"
    status = case.says(
        "Settling",
        case.going_on("Settling", message),
        Said(
            "Degraded",
            "True" if asked.problem else "False",
            "LedgerUnreadable" if asked.problem else "AsExpected",
            asked.problem,
        ),
        current_run=current,
    )
    return Decision(
        status, actions=actions, look_again=asked.look_again, labels=case.labels(current)
    )


def conclude(case: Case, current: CurrentRun, outcome: Outcome) -> Decision[PipelineStatus]:
    """What follows from what came of it."""
    if outcome.verdict is Verdict.COMMITTED:
        return finish(case, current, "Succeeded", "Committed", _committed(outcome), outcome)
    if current.why in ("Cancelled", "Replaced", "Stopped"):
        return finish(case, current, "Cancelled", current.why, current.message, outcome)
    if outcome.verdict is Verdict.FAILED:
        return finish(case, current, "Failed", "RunFailed", outcome.message, outcome)
    if current.failure == FailureClass.DEADLINE.value:
        return finish(case, current, "Failed", "TimedOut", current.message, outcome)
    if not current.failure:
        current = current.model_copy(
            update={
                "failure": FailureClass.INFRASTRUCTURE.value,
                "why": "NotCommitted",
                "message": "its driver ended without committing and without saying why",
            }
        )
    if may_retry(case, current):
        return retry(case, current)
    return _exhausted(case, current, outcome)


def finish(
    case: Case,
    current: CurrentRun,
    result: str,
    reason: str,
    message: str,
    outcome: Outcome | None,
) -> Decision[PipelineStatus]:
    """The run has ended, and this is what came of it; a terminal run is never gone back to."""
    kept = _kept(case, current, result)
    last = _record(case, current, result, reason, message, outcome).model_copy(
        update={"ray_job": kept}
    )
    limit = case.pipeline.spec.run.history_limit
    runs = (last, *case.facts.status.runs)
    progress = case.facts.progress or case.facts.status.progress
    if result == "Succeeded" and progress is not None:
        progress = progress.model_copy(
            update={"text": "100%", "percent": 100.0, "eta_seconds": 0.0}
        )
    status = idle.finished(case, last, runs=runs[:limit], current_run=None, progress=progress)
    return Decision(
        status,
        before=tuple(config_map_removal(case.pipeline.name, one.id) for one in runs[limit:]),
        actions=(
            *case.remove(*([kept] if kept else [])),
            case.tell(
                "Normal" if result == "Succeeded" else "Warning",
                f"Run{result}",
                f"run {current.id}: {message}",
                current,
            ),
        ),
        look_again=timedelta(seconds=1),
        labels=case.labels(current),
    )


def specification_gone(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Somebody deleted the ConfigMap, and the manifest has changed since: nobody can go on."""
    message = "the ConfigMap with its frozen specification was deleted by somebody else"
    return finish(case, current, "Failed", "SpecificationGone", message, None)


def may_retry(case: Case, current: CurrentRun) -> bool:
    """Whether the failure that `current` holds may be followed by another attempt."""
    if current.failure in ("", FailureClass.DEADLINE.value) or current.why == "RayJobRefused":
        return False
    run = case.pipeline.spec.run
    in_time = case.used(current) < timedelta(seconds=seconds(run.timeout))
    return total(current.failures) < run.retries and in_time


def _stopped(case: Case, current: CurrentRun) -> Decision[PipelineStatus]:
    """Nothing of the attempt is left."""
    if current.why == "Suspended":
        return suspend(case, current)
    if may_retry(case, current):
        return retry(case, current)  # the next attempt finds out by itself what was committed
    if current.why in _NEVER_RAN and current.attempt == 1:
        return _exhausted(case, current, None)
    return settling(case, current)


def _exhausted(
    case: Case, current: CurrentRun, outcome: Outcome | None
) -> Decision[PipelineStatus]:
    failures = counted(current.failures, FailureClass(current.failure))
    message = current.message
    if total(failures) > 1:
        message = f"{total(failures)} attempts failed, the last one: {message}"
    current = current.model_copy(update={"failures": failures})
    return finish(case, current, "Failed", current.why, message, outcome)


def _kept(case: Case, current: CurrentRun, result: str) -> str | None:
    """The RayJob that stays for a while to be looked at, if there is one."""
    view = case.attempt_of(current)
    run = case.pipeline.spec.run
    length = run.ttl_after_finished if result == "Succeeded" else run.keep_cluster_on_failure
    if result == "Cancelled" or view is None or view.deleting or not seconds(length):
        return None
    return view.name


def _record(
    case: Case,
    current: CurrentRun,
    result: str,
    reason: str,
    message: str,
    outcome: Outcome | None,
) -> FinishedRun:
    found = outcome or Outcome(current.id, current.attempt, Verdict.NOT_COMMITTED)
    prices = case.defaults.prices
    paid = None if outcome is None else prices.cost(outcome.cpu_seconds, outcome.gpu_seconds)
    return FinishedRun.model_validate(
        {
            "id": current.id,
            "cause": current.cause,
            "generation": current.generation,
            "attempts": current.attempt,
            "result": result,
            "reason": reason,
            "startTime": current.start_time,
            "endTime": times.text(case.now),
            "duration": times.spoken(case.since(current.start_time)),
            "rows": found.rows,
            "quarantined": found.quarantined,
            "bytes": found.bytes,
            "datasetVersion": found.dataset_version,
            "cpuSeconds": found.cpu_seconds,
            "gpuSeconds": found.gpu_seconds,
            "gpuIdleSeconds": found.gpu_idle_seconds,
            "cost": paid,
            "diagnosis": found.diagnosis,
            "summary": list(found.summary),
            "message": message,
        }
    )


def _committed(outcome: Outcome) -> str:
    if outcome.message:
        return outcome.message
    aside = f", {outcome.quarantined} set aside" if outcome.quarantined else ""
    version = f" → version {outcome.dataset_version}" if outcome.dataset_version else ""
    return f"{outcome.rows} rows{version}{aside}"
