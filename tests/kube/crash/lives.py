"""The lives that the matrix leads: what a user and a cluster do, step by step.

A step waits for what stays true once it is: an operator that was away must not make a life miss
its cue. Jobs that must be found running are held until they are released, and what is due later is
jumped to, so that neither a slow machine nor a quick one changes the course.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kube.client import RAY_JOB
from kube.crash.stage import Stage
from kube.crash.theatre import DATASET, PIPELINE, Object

Lead = Callable[[Stage], Awaitable[None]]
LATER_VERSION: dict[str, Any] = {
    "defaults": {
        "image": "lancemill/runtime:0.2.0",
        "head": {"cpu": "2", "memory": "8Gi"},
        "probe": {"cpu": "200m", "memory": "2Gi"},
        "network": {"metrics_namespaces": ("monitoring",)},
    }
}


@dataclass(frozen=True)
class Life:
    """One of the matrix's rows."""

    name: str
    lead: Lead = field(repr=False)
    successor: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """Settings of the operators after the first."""


def _spec(*, sink: Object | None = None, cluster: Object | None = None, **run: Any) -> Object:
    found: Object = {
        "source": {"objects": {"uri": "s3://photos/cats/"}},
        "sink": {"lance": sink or {"uri": "s3://lake/cats.lance"}},
        "run": {"ttlAfterFinished": "0s", "retries": 1, **run},
    }
    return found | ({"cluster": cluster} if cluster else {})


async def _apply(stage: Stage, spec: Object, name: str = "cats") -> None:
    await stage.apply(PIPELINE, name, spec)


async def succeeds(stage: Stage) -> None:
    """create → succeed"""
    stage.play("seconds=0")
    await _apply(stage, _spec())
    await stage.phase("Succeeded")


async def is_kept(stage: Stage) -> None:
    """create → succeed → its cluster's time is over"""
    stage.play("seconds=0")
    await _apply(stage, _spec(ttlAfterFinished="1m"))
    await stage.phase("Succeeded")
    await stage.jump(minutes=2)
    await stage.until("its RayJob is gone", lambda: not stage.rayjobs())


async def fails_once(stage: Stage) -> None:
    """fail → retry → succeed"""
    stage.play("seconds=0,end=FAILED/SUCCEEDED")
    await _apply(stage, _spec())
    await _attempt(stage, 2)
    await stage.jump(seconds=11)
    await stage.phase("Succeeded")


async def finds_no_room(stage: Stage) -> None:
    """capacity timeout, twice → fail"""
    # With a group from zero the head alone would be a cluster, and its job might be faster.
    group = {
        "name": "gpu",
        "minReplicas": 1,
        "resources": {"cpu": 1, "memory": "1Gi", "gpu": 1},
    }
    await _apply(stage, _spec(cluster={"workerGroups": [group]}, startTimeout="2s"))
    await _attempt(stage, 2)
    await stage.jump(seconds=61)
    await stage.phase("Failed")


async def is_suspended(stage: Stage) -> None:
    """suspend → resume → succeed"""
    await _run(stage, _spec())
    await stage.edit({"run": {"suspend": True}})
    await stage.phase("Suspended")
    stage.release()
    await stage.edit({"run": {"suspend": False}})
    await stage.phase("Succeeded")


async def is_edited(stage: Stage) -> None:
    """edit during a run → a second run"""
    await _run(stage, _spec())
    await stage.edit({"errors": {"maxRows": 5}})
    await stage.until("the edit was seen", lambda: stage.status()["observedGeneration"] == 2)
    stage.release()
    await _runs(stage, 2)


async def is_replaced(stage: Stage) -> None:
    """edit during a run, Replace → the second takes its place"""
    await _run(stage, _spec(concurrencyPolicy="Replace"))
    await stage.edit({"errors": {"maxRows": 5}})
    await stage.until("a second run", lambda: _current(stage).get("generation") == 2)
    stage.release()
    await _runs(stage, 2)


async def is_cancelled(stage: Stage) -> None:
    """cancel a run"""
    await _run(stage, _spec())
    await stage.annotate("lancemill.dev/cancel-run", _current(stage)["id"])
    await stage.phase("Cancelled")


async def follows_a_schedule(stage: Stage) -> None:
    """cron: due twice, the second time while the first run goes on"""
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=6)
    stage.hold()
    await _apply(stage, _spec(schedule=f"{due.minute} {due.hour} * * *", timeout="100h"))
    await stage.phase("Scheduled")
    await stage.jump(hours=6)
    await stage.phase("Running")
    before = stage.status()["nextRunTime"]
    await stage.jump(hours=24)
    await stage.until("the day was noticed", lambda: stage.status()["nextRunTime"] != before)
    stage.release()
    await _runs(stage, 2)


async def follows_a_dataset(stage: Stage) -> None:
    """trigger: another pipeline's commit starts a run"""
    stage.play("seconds=0")
    await stage.apply(DATASET, "photos", {"uri": "s3://lake/photos.lance"})
    await stage.until("version 1", lambda: stage.dataset("photos").get("version") == 1)
    await _apply(stage, _spec(triggers=[{"dataset": "photos"}]))
    await _runs(stage, 1)
    await _apply(stage, _spec(sink={"dataset": "photos"}), "feeder")
    await stage.phase("Succeeded", name="feeder")
    await stage.until("version 2", lambda: stage.dataset("photos").get("version") == 2)
    await _runs(stage, 2)


async def deleted_starting(stage: Stage) -> None:
    """delete while it starts"""
    stage.play("pod=NeverStarts")
    await _apply(stage, _spec())
    await stage.until("its RayJob is there", stage.rayjobs)
    await stage.phase("Starting")
    await _gone(stage)


async def deleted_running(stage: Stage) -> None:
    """delete while it runs"""
    await _run(stage, _spec())
    await _gone(stage)


async def deleted_settling(stage: Stage) -> None:
    """delete while its ledger is asked"""
    await _run(stage, _spec())
    stage.release()
    stage.play("seconds=0;pod=NeverStarts")
    await stage.until("it settles", lambda: _current(stage).get("state") == "Settling")
    await _gone(stage)


async def deleted_waiting(stage: Stage) -> None:
    """delete between two attempts"""
    stage.play("seconds=0,end=FAILED")
    await _apply(stage, _spec())
    await _attempt(stage, 2)
    await _gone(stage)


async def deleted_suspended(stage: Stage) -> None:
    """delete while it is suspended"""
    await _run(stage, _spec())
    await stage.edit({"run": {"suspend": True}})
    await stage.phase("Suspended")
    await _gone(stage)


async def deleted_finished(stage: Stage) -> None:
    """delete after its end, its cluster still there"""
    stage.play("seconds=0")
    await _apply(stage, _spec(ttlAfterFinished="10m"))
    await stage.phase("Succeeded")
    await _gone(stage)


def _current(stage: Stage) -> Object:
    return stage.status().get("currentRun") or {}


async def _run(stage: Stage, spec: Object) -> None:
    """A run that goes on until it is released."""
    stage.hold()
    await _apply(stage, spec)
    await stage.phase("Running")


async def _attempt(stage: Stage, number: int) -> None:
    await stage.until(f"attempt {number}", lambda: _current(stage).get("attempt") == number)


async def _runs(stage: Stage, number: int) -> None:
    """So many have ended, and no other goes on."""

    def holds() -> bool:
        status = stage.status()
        over = len(status.get("runs") or ()) == number and not status.get("currentRun")
        return over and status.get("phase") == "Succeeded"

    await stage.until(f"{number} runs have ended", holds)


async def _gone(stage: Stage) -> None:
    await stage.delete()
    await stage.until("it is gone", lambda: stage.pipeline() is None)
    await stage.until(
        "its RayJob is gone", lambda: not stage.theatre.objects(RAY_JOB, stage.namespace)
    )


LEADS: dict[str, Lead] = {
    "succeeds": succeeds,
    "is-kept": is_kept,
    "fails-once": fails_once,
    "finds-no-room": finds_no_room,
    "is-suspended": is_suspended,
    "is-edited": is_edited,
    "is-replaced": is_replaced,
    "is-cancelled": is_cancelled,
    "follows-a-schedule": follows_a_schedule,
    "follows-a-dataset": follows_a_dataset,
    "deleted-starting": deleted_starting,
    "deleted-running": deleted_running,
    "deleted-settling": deleted_settling,
    "deleted-waiting": deleted_waiting,
    "deleted-suspended": deleted_suspended,
    "deleted-finished": deleted_finished,
}
LIVES = {name: Life(name, lead) for name, lead in LEADS.items()} | {
    "is-upgraded": Life("is-upgraded", fails_once, LATER_VERSION)
}
