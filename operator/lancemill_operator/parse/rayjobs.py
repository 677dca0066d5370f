"""What KubeRay says of an attempt, in a RayJob's labels and status.

KubeRay leaves out what is zero or empty, copies foreign texts into `jobStatus`, and puts the
cluster's conditions inside (recordings 12, 15, 20): nothing here is required, and nothing is
believed beyond its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from lancemill_operator import names, times
from lancemill_operator.facts import Deployment, RayJobView
from lancemill_operator.kinds import Body
from lancemill_operator.parse.redaction import redacted

_ON_ITS_WAY = frozenset({"", "Unknown", "HeadPodNotFound", "ContainerCreating", "PodInitializing"})
"""What HeadPodReady says of every head at first (all recordings)."""

LONGEST_REASON, LONGEST_MESSAGE = 128, 4096


def view(body: Body) -> RayJobView:
    """A RayJob of ours as KubeRay last described it."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    status = body.get("status") or {}
    conditions = conditions_of(status.get("rayClusterStatus") or {})
    deployment = text(status.get("jobDeploymentStatus"))
    return RayJobView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        run=labels.get(names.RUN, ""),
        attempt=number(labels.get(names.ATTEMPT)),
        deployment=deployment,
        job_status=text(status.get("jobStatus")),
        reason=text(status.get("reason"))[:LONGEST_REASON],
        message=redacted(text(status.get("message")))[:LONGEST_MESSAGE],
        cluster=text(status.get("rayClusterName")),
        created=moment(metadata.get("creationTimestamp")),
        ended=moment(status.get("endTime")),
        unreachable_since=moment(status.get("jobStatusCheckFailureStartTime")),
        head_problem=_head_problem(conditions.get("HeadPodReady"), deployment),
        replica_failure=_replica_failure(conditions.get("ReplicaFailure")),
        deleting="deletionTimestamp" in metadata,
    )


def conditions_of(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions of a status by their type."""
    found = status.get("conditions")
    entries: Iterable[Any] = found if isinstance(found, list) else ()
    return {one["type"]: one for one in entries if isinstance(one, Mapping) and "type" in one}


def _head_problem(condition: Mapping[str, Any] | None, deployment: str) -> str:
    """`ErrImagePull: …`; nothing while a cluster that starts has only not come that far."""
    if condition is None or condition.get("status") != "False":
        return ""
    reason, message = text(condition.get("reason")), text(condition.get("message"))
    if reason in _ON_ITS_WAY and deployment != Deployment.RUNNING:
        return ""
    return told(reason, message.removeprefix("ray-head:"))


def _replica_failure(condition: Mapping[str, Any] | None) -> str:
    """`FailedCreateHeadPod: pods … is forbidden: exceeded quota …`."""
    if condition is None or condition.get("status") != "True":
        return ""
    reason, message = text(condition.get("reason")), text(condition.get("message"))
    return told(reason, message.removeprefix(reason).strip())


def told(reason: str, message: str) -> str:
    """Reason and message in one line, without what looks like a credential."""
    line = " ".join(redacted(message).split())
    return f"{reason}: {line}" if reason and line and line != reason else reason or line


def text(value: Any) -> str:
    """The value where it is a text."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> int:
    """The whole number that a label says; 0 where it says none."""
    written = value if isinstance(value, str) else ""
    return int(written) if written.isascii() and written.isdigit() else 0


def moment(value: Any) -> datetime | None:
    """The time that a field says, where it says one."""
    try:
        return times.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None
