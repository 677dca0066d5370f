"""Why a run would start now: what was asked for and has not been answered by a run.

The status remembers the answers (`handled`); a cause is pending while the world says something
else. Any event may be lost or doubled: only the difference counts. All causes that are pending
when a run starts are answered by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import Handled
from lancemill_operator import names, times
from lancemill_operator.decide import schedule
from lancemill_operator.facts import DatasetView, PipelineFacts


@dataclass(frozen=True, slots=True)
class Causes:
    """What is asked for."""

    pending: tuple[str, ...]
    """Each unanswered cause in words, such as `generation 3`."""
    new_specification: bool
    """Whether what is to be run differs from what was run last."""
    answered: Handled
    """What `handled` becomes when a run starts now."""
    baseline: Handled
    """What `handled` becomes when none does: schedules and triggers seen for the first time."""
    run: str
    """Id of the run that would start."""
    next_start: datetime | None
    """When the schedule starts one."""
    waits_for: str = ""
    """Dataset of a trigger that has no version yet, and without which nothing starts."""


def causes(facts: PipelineFacts, pipeline: MultimodalPipeline, now: datetime) -> Causes:
    """What is pending for `pipeline`."""
    run, handled, identity = pipeline.spec.run, facts.status.handled, facts.identity
    baseline = _baseline(facts, pipeline, now)
    answered_until = times.parse(baseline.schedule_time) if baseline.schedule_time else now
    due = schedule.due(run, answered_until, now)
    specification = specification_hash(pipeline)
    requested = _in_short(identity.annotations.get(names.RUN_REQUESTED_AT, "")) or None
    versions = _versions(pipeline, facts.datasets)
    # A version below the one answered is of a dataset that was made anew: news as well.
    newer = {
        name: version
        for name, version in versions.items()
        if version and version != baseline.triggers.get(name, version)
    }
    fresh = run.schedule is None and specification != handled.spec
    pending: list[str] = []
    if fresh:
        pending.append(f"generation {identity.generation}")
    if due.start is not None:
        pending.append(f"schedule {times.text(due.start)}")
    if requested is not None and requested != handled.requested_at:
        pending.append(f"request {requested}"[:200])
    pending += [f"dataset {name} version {version}" for name, version in sorted(newer.items())]
    answered = baseline.model_copy(
        update={
            "spec": specification,
            "requested_at": requested,
            "schedule_time": (
                times.text(due.start) if due.start is not None else baseline.schedule_time
            ),
            "triggers": {**baseline.triggers, **newer},
        }
    )
    absent = sorted(one.dataset for one in run.triggers if not versions.get(one.dataset))
    return Causes(
        pending=tuple(pending),
        new_specification=specification != handled.spec,
        answered=answered,
        baseline=baseline,
        run=run_id(facts, answered),
        next_start=due.next,
        waits_for=absent[0] if absent and fresh else "",
    )


def specification_hash(pipeline: MultimodalPipeline) -> str:
    """A hash of what is run, without when and how often: an edit of `run` starts nothing.

    Without defaults: a field that a later version of the API adds must not look like an edit.
    """
    spec = pipeline.spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
    )
    spec["run"] = {"sample": (spec.get("run") or {}).get("sample")}
    return names.digest(spec)


def run_id(facts: PipelineFacts, answered: Handled) -> str:
    """The id of the run that answers these causes: the same whoever works it out, and when.

    What was asked for before may be asked for again (a request of the same text, the first version
    of a dataset that was made anew): then the id holds the last run's too, since the ledger of a
    run that is over would say that there is nothing to do.
    """
    status = facts.status
    asked: list[object] = [
        facts.identity.uid,
        facts.identity.generation,
        answered.requested_at,
        answered.schedule_time,
        dict(answered.triggers),
    ]
    known = status.handled.triggers
    again = any(version < known.get(name, 0) for name, version in answered.triggers.items())
    found = names.digest(asked)
    if status.last_run is None:
        return found
    over = {status.last_run.id, *(one.id for one in status.runs)}
    return names.digest([*asked, status.last_run.id]) if again or found in over else found


def _in_short(requested: str) -> str:
    """A text that may be as long as an annotation, as one that a status can hold."""
    return requested if len(requested) <= 128 else f"{requested[:100]}…{names.digest(requested)}"


def _baseline(facts: PipelineFacts, pipeline: MultimodalPipeline, now: datetime) -> Handled:
    """`handled` with what is seen for the first time: that alone starts nothing.

    A schedule that was there from the beginning counts from the object's creation, so that what
    came due before the operator first saw it is made up for.
    """
    run, handled, identity = pipeline.spec.run, facts.status.handled, facts.identity
    changes: dict[str, object] = {}
    if run.schedule is None:
        changes |= {"schedule": None, "schedule_time": None}
    elif handled.schedule != schedule.key(run):
        first = handled.schedule is None and identity.generation == 1 and identity.created
        changes |= {"schedule": schedule.key(run), "schedule_time": times.text(first or now)}
    named = {one.dataset for one in run.triggers}
    triggers = {name: version for name, version in handled.triggers.items() if name in named}
    for name, version in _versions(pipeline, facts.datasets).items():
        triggers.setdefault(name, version)
    return handled.model_copy(update={**changes, "triggers": triggers})


def _versions(pipeline: MultimodalPipeline, datasets: Mapping[str, DatasetView]) -> dict[str, int]:
    """Versions of the triggers' datasets; those not seen (yet) are left out.

    A dataset that appears later has its first version, which is new: it counts from 0.
    """
    found: dict[str, int] = {}
    for trigger in pipeline.spec.run.triggers:
        view = datasets.get(trigger.dataset)
        found[trigger.dataset] = (view.version or 0) if view is not None and view.exists else 0
    return found
