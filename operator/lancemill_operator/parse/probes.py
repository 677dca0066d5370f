"""What our short Jobs said: the JSON that they left as their pod's termination message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lancemill_operator import names
from lancemill_operator.facts import ProbeView
from lancemill_operator.kinds import Body
from lancemill_operator.parse.outcomes import json_of
from lancemill_operator.parse.pods import problem, termination_message
from lancemill_operator.parse.rayjobs import conditions_of, moment, text, told
from lancemill_operator.parse.redaction import redacted, redacted_json


def has_finished(job: Body) -> bool:
    """Whether the Job has ended, well or badly."""
    return bool(_end(job))


def view(job: Body, pods: Sequence[Body] = ()) -> ProbeView:
    """A Job of ours with its pods, where those were looked at."""
    metadata = job["metadata"]
    labels = metadata.get("labels") or {}
    finished = has_finished(job)
    answer = next((found for pod in pods if (found := _answer(pod)) is not None), None)
    return ProbeView(
        name=metadata["name"],
        purpose=labels.get(names.PURPOSE, ""),
        token=labels.get(names.TOKEN, ""),
        finished=finished,
        answer=answer if finished else None,
        problem="" if answer is not None and finished else _problem(job, pods),
        created=moment(metadata.get("creationTimestamp")),
    )


def _end(job: Body) -> Mapping[str, Any]:
    conditions = conditions_of(job.get("status") or {})
    for kind in ("Complete", "Failed"):
        if conditions.get(kind, {}).get("status") == "True":
            return conditions[kind]
    return {}


def _answer(pod: Body) -> Mapping[str, Any] | None:
    """The object that the pod left; None where it left something else or nothing."""
    said = redacted_json(json_of(termination_message(pod.get("status") or {})))
    return said if isinstance(said, dict) else None


def _problem(job: Body, pods: Sequence[Body]) -> str:
    """Why it waits or gave no answer: the pods know better than the Job."""
    for pod in pods:
        status = pod.get("status") or {}
        said = termination_message(status)
        if said:
            return _last_line(redacted(said))
        if found := problem(status):
            return found
    end = _end(job)
    if end.get("type") == "Failed":
        return told(text(end.get("reason")), text(end.get("message")))
    if end and not pods:
        return "its pod was gone before it could be asked"
    if end:
        return "its pod left no answer"
    return ""


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
