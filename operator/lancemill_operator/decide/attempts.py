"""What a RayJob tells about its attempt, in the order in which it may be believed.

KubeRay's fields are facts about KubeRay: `jobStatus` can be stale, or any text at all, a failed
deployment says nothing of whether the driver still lives, and "succeeded" says nothing of the
dataset. So this says what an attempt is at, and whether it must be given up; what came of it is
for its driver or its ledger to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun, Progress
from lancemill_operator import times
from lancemill_operator.facts import Deployment, RayJobView


class Stage(StrEnum):
    """What an attempt is at."""

    STARTING = "Starting"
    RUNNING = "Running"
    ENDED = "Ended"
    """Its driver has ended by itself: it can be asked what came of it."""
    LOST = "Lost"
    """It is to be given up: its driver may still live."""


class FailureClass(StrEnum):
    """What kind of failure ended an attempt: decides whether and when another follows."""

    APPLICATION = "application"
    INFRASTRUCTURE = "infrastructure"
    CAPACITY = "capacity"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be made of an attempt."""

    stage: Stage
    why: str = ""
    """One word in CamelCase."""
    message: str = ""
    failure: FailureClass | None = None


_FAILED = {
    "AppFailed": FailureClass.APPLICATION,
    "PreRunningDeadlineExceeded": FailureClass.CAPACITY,
    "DeadlineExceeded": FailureClass.DEADLINE,
}
"""KubeRay's reasons; every other one is the infrastructure's."""

GRACE = timedelta(seconds=30)
"""How much later than KubeRay's own deadlines ours fire (its own are up to 3 s late)."""


def read(
    view: RayJobView,
    current: CurrentRun,
    pipeline: MultimodalPipeline,
    progress: Progress | None,
    now: datetime,
) -> Reading:
    """What `view` tells of the attempt of `current`."""
    if view.deleting:
        return Reading(
            Stage.LOST,
            "RayJobDeleted",
            f"RayJob {view.name} was deleted by somebody else",
            FailureClass.INFRASTRUCTURE,
        )
    match view.deployment:
        case Deployment.VALIDATION_FAILED:
            return Reading(
                Stage.LOST,
                "RayJobRefused",
                f"KubeRay refuses RayJob {view.name}: {view.message or view.reason}",
                FailureClass.APPLICATION,
            )
        case Deployment.COMPLETE:
            return _complete(view)
        case Deployment.FAILED:
            return _failed(view)
        case Deployment.RUNNING:
            return _running(view, pipeline, progress)
        case _:
            return _starting(view, current, pipeline, now)


def _complete(view: RayJobView) -> Reading:
    if view.job_status == "STOPPED":
        return Reading(Stage.ENDED, "Stopped", "its Ray job was stopped by somebody else")
    return Reading(Stage.ENDED, "Finished")


def _failed(view: RayJobView) -> Reading:
    failure = _FAILED.get(view.reason, FailureClass.INFRASTRUCTURE)
    message = view.message or f"KubeRay says {view.reason or 'Failed'}"
    # Only where the application itself failed has its driver certainly ended: deadlines and
    # failed checks stop nothing (recording 05).
    stage = Stage.ENDED if failure is FailureClass.APPLICATION else Stage.LOST
    return Reading(stage, view.reason or "Failed", message, failure)


def _running(view: RayJobView, pipeline: MultimodalPipeline, progress: Progress | None) -> Reading:
    stall = seconds(pipeline.spec.run.stall_timeout)
    idle = progress.last_progress_seconds if progress is not None else None
    if idle is not None and 0 < stall <= idle:
        return Reading(
            Stage.LOST,
            "Stalled",
            f"no row was done for {times.spoken(timedelta(seconds=idle))} "
            f"(spec.run.stallTimeout is {pipeline.spec.run.stall_timeout})",
            FailureClass.INFRASTRUCTURE,
        )
    return Reading(Stage.RUNNING)


def _starting(
    view: RayJobView, current: CurrentRun, pipeline: MultimodalPipeline, now: datetime
) -> Reading:
    limit = timedelta(seconds=seconds(pipeline.spec.run.start_timeout))
    queued = pipeline.spec.run.queue_name is not None and view.deployment in (
        Deployment.SUSPENDED,
        Deployment.SUSPENDING,
        Deployment.NEW,
    )
    if not queued and times.since(current.attempt_time, now) > limit + GRACE:
        return Reading(
            Stage.LOST,
            "StartTimeout",
            f"no worker was ready within {pipeline.spec.run.start_timeout} (spec.run.startTimeout)",
            FailureClass.CAPACITY,
        )
    return Reading(Stage.STARTING)
