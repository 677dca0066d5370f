"""Why a pod waits or died, in the words that somebody needs who looks for the cause.

Of all that a pod says, the first that matters is told: that it was evicted, that no node fits it,
then the first of its containers (init containers before the others) that waits for what will not
come by itself, or that ended badly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lancemill_operator.facts import PodSummary
from lancemill_operator.kinds import Body
from lancemill_operator.parse.rayjobs import conditions_of, moment, text, told

CLUSTER = "ray.io/cluster"
GROUP = "ray.io/group"

_PATIENCE = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons to wait that pass by themselves."""


def summary(body: Body) -> PodSummary:
    """A pod of an attempt's cluster."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    ready = conditions_of(status).get("Ready", {}).get("status") == "True"
    return PodSummary(
        name=metadata["name"],
        cluster=labels.get(CLUSTER, ""),
        group=labels.get(GROUP, ""),
        phase=text(status.get("phase")),
        ready=ready,
        problem="" if ready else problem(status),
        since=moment(metadata.get("creationTimestamp")),
        deleting="deletionTimestamp" in metadata,
    )


def problem(status: Mapping[str, Any]) -> str:
    """What keeps the pod from being ready, or ended it; empty where there is nothing to say."""
    if status.get("phase") == "Failed" and status.get("reason"):
        return told(text(status["reason"]), text(status.get("message")))
    scheduled = conditions_of(status).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return told(text(scheduled.get("reason")), _in_short(text(scheduled.get("message"))))
    return next(_of_containers(status), "")


def _in_short(message: str) -> str:
    """The scheduler's message without why preemption would not help."""
    for more in (". no new claims", ". preemption:", " preemption:"):
        message = message.partition(more)[0]
    return message


def termination_message(status: Mapping[str, Any]) -> str:
    """What the pod's container wrote last."""
    for _, container in _containers(status, "containerStatuses"):
        for state in (container.get("state"), container.get("lastState")):
            ended = (state or {}).get("terminated") or {}
            if ended.get("message"):
                return text(ended["message"])
    return ""


def _of_containers(status: Mapping[str, Any]) -> Iterator[str]:
    for prefix, field in (
        ("init container ", "initContainerStatuses"),
        ("", "containerStatuses"),
    ):
        for name, container in _containers(status, field):
            if said := _of_container(container):
                yield f"{prefix}{name}: {said}" if prefix else said


def _containers(status: Mapping[str, Any], field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in status.get(field) or ():
        if isinstance(one, Mapping):
            yield text(one.get("name")), one


def _of_container(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    before = (container.get("lastState") or {}).get("terminated") or {}
    if waiting.get("reason") and waiting["reason"] not in _PATIENCE:
        why = told(text(waiting["reason"]), text(waiting.get("message")))
        return f"{why} (it ended before: {_ending(before)})" if _bad(before) else why
    if _bad(ended):
        return _ending(ended)
    return ""


def _bad(ended: Mapping[str, Any]) -> bool:
    return bool(ended) and ended.get("exitCode", 0) != 0


def _ending(ended: Mapping[str, Any]) -> str:
    reason = text(ended.get("reason")) or "Error"
    code = ended.get("exitCode")
    return f"{reason}: exit code {code}" if reason != "OOMKilled" else "OOMKilled: out of memory"
