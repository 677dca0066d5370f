"""Why a run is to be stopped, whatever it is at: somebody wants it, or its time is over."""

from __future__ import annotations

from datetime import timedelta

from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun
from lancemill_operator import names
from lancemill_operator.decide.attempts import GRACE, FailureClass, Reading, Stage
from lancemill_operator.decide.case import Case


def interruption(case: Case, current: CurrentRun) -> Reading | None:
    """Why the run is to be stopped, whatever its attempt is at."""
    run = case.pipeline.spec.run
    if case.facts.identity.annotations.get(names.CANCEL_RUN) == current.id:
        return Reading(Stage.LOST, "Cancelled", "it was cancelled on request")
    if run.suspend:
        return Reading(Stage.LOST, "Suspended", "spec.run.suspend is true")
    if case.used(current) > timedelta(seconds=seconds(run.timeout)) + GRACE:
        return Reading(
            Stage.LOST,
            "TimedOut",
            f"it took longer than {run.timeout} (spec.run.timeout)",
            FailureClass.DEADLINE,
        )
    if run.concurrency_policy == "Replace" and case.causes.pending and not case.mistakes:
        asked = ", ".join(case.causes.pending)
        return Reading(Stage.LOST, "Replaced", f"another run takes its place ({asked})")
    return None
