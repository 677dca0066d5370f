"""Giving an attempt up: its cluster is taken down, and nothing of it may be left.

The attempt may still live, whatever KubeRay says of it (recording 05).
"""

from __future__ import annotations

from datetime import timedelta

from lancemill_api.status import CurrentRun, PipelineStatus
from lancemill_operator import times
from lancemill_operator.actions import Decision
from lancemill_operator.decide.attempts import Reading
from lancemill_operator.decide.case import Case
from lancemill_operator.status import Said

STOP_PATIENCE = timedelta(minutes=5)
"""How long pods of an attempt that was given up are waited for before its ledger is asked, and
again before another attempt begins: a pod on a node that is gone never goes. After that the
ledger, which is closed to the attempt, is what keeps it from counting."""


def give_up(case: Case, current: CurrentRun, reading: Reading) -> Decision[PipelineStatus]:
    """Write down why, then take the attempt's cluster down."""
    current = current.model_copy(
        update={
            "state": "Stopping",
            "why": reading.why,
            "message": reading.message,
            "failure": reading.failure or "",
            "attempt_time": times.text(case.now),
        }
    )
    return Decision(
        stopping_status(case, current, reading.message),
        actions=case.remove(),
        look_again=timedelta(seconds=2),
        labels=case.labels(current),
    )


def what_is_left(case: Case) -> str:
    """What still exists of attempts so far, in words; empty when nothing does."""
    if case.facts.rayjobs:
        return "waiting for RayJob " + ", ".join(sorted(one.name for one in case.facts.rayjobs))
    if case.facts.clusters:
        return "waiting for RayCluster " + ", ".join(sorted(case.facts.clusters))
    pods = case.facts.pods or ()
    return "waiting for pod " + ", ".join(sorted(one.name for one in pods)) if pods else ""


def stopping_status(case: Case, current: CurrentRun, message: str) -> PipelineStatus:
    """What is said while an attempt is taken down."""
    return case.says(
        "Stopping",
        case.going_on(current.why, message),
        Said("Suspended", "False", "Stopping"),
        current_run=current,
    )
