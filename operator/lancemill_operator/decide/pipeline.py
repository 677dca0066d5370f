"""The life of a pipeline: from what is known to what is true, and what is to be done.

    no run ──cause──▶ Starting ─▶ Running ─▶ (driver ended) ─▶ Settling ─▶ no run
                         │           │                            ▲  │
                         └─ given up ┴─▶ Stopping ────────────────┘  └─▶ Waiting ─▶ Starting
                                            └─▶ Suspended ─▶ Starting

A table more than a program: the run's state in our own status says which module answers. The
status is written before anything is done, so a crash anywhere is a decision half carried out,
which the next look carries out to its end under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lancemill_api import flow, reach
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import CurrentRun, PipelineStatus
from lancemill_operator.actions import Decision, Delete, Want
from lancemill_operator.decide import ending, going, idle, pausing, schedule
from lancemill_operator.decide.case import RAYJOB, Case
from lancemill_operator.decide.causes import causes
from lancemill_operator.facts import PipelineFacts
from lancemill_operator.manifests.defaults import Defaults

_LIFE: dict[str, Callable[[Case, CurrentRun], Decision[PipelineStatus]]] = {
    "Starting": going.on,
    "Running": going.on,
    "Stopping": ending.stopping,
    "Settling": ending.settling,
    "Waiting": pausing.waiting,
    "Suspended": pausing.suspended,
}


def decide_pipeline(
    facts: PipelineFacts, now: datetime, defaults: Defaults
) -> Decision[PipelineStatus]:
    """What is true of the pipeline at `now`, what is to be done, and when to look again."""
    if facts.identity.deleting:
        return _deleted(facts)
    pipeline = facts.pipeline or (facts.frozen.pipeline if facts.frozen is not None else None)
    current = facts.status.current_run
    if pipeline is None and current is not None and Want.FROZEN not in facts.looked:
        return Decision(facts.status, wants=frozenset({Want.FROZEN}))
    if pipeline is None:
        return idle.unreadable(facts, now)
    case = Case(
        facts=facts,
        pipeline=pipeline,
        causes=causes(facts, pipeline, now),
        now=now,
        defaults=defaults,
        mistakes=facts.mistakes or mistakes(pipeline),
    )
    if current is None:
        return idle.idle(case)
    return _LIFE[current.state](case, current)


def _deleted(facts: PipelineFacts) -> Decision[PipelineStatus]:
    """Its children go by their owner references, but only once it is gone itself: a finalizer of
    somebody else's would keep a run at work that nobody wants."""
    left = () if facts.identity.orphaning else facts.rayjobs
    gone = tuple(Delete(*RAYJOB, view.name, view.uid) for view in left if not view.deleting)
    return Decision(facts.status, actions=gone)


def mistakes(pipeline: MultimodalPipeline) -> tuple[str, ...]:
    """What is wrong with a manifest by itself, beyond what an API server can check."""
    lance = pipeline.spec.sink.lance
    own = lance.dataset if lance is not None else None
    loops = tuple(
        f"spec.run.triggers[{at}].dataset  '{own}' is the dataset that this pipeline writes to: "
        "each run would start the next; take it out, or write to another dataset"
        for at, trigger in enumerate(pipeline.spec.run.triggers)
        if trigger.dataset == own
    )
    alone = tuple(str(one) for one in (*flow.mistakes(pipeline), *reach.mistakes(pipeline)))
    return schedule.mistakes(pipeline.spec.run) + loops + alone
