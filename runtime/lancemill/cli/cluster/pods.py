"""The pods of a run's attempt, and of probes: found by the labels that the operator gives them.

RayJobs and RayClusters are not asked: who may look at a namespace's pods need not be allowed to
look at those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.errors import ClusterError
from lancemill.cli.cluster.following import look
from lancemill.cli.cluster.seen import Seen
from lancemill_api.annotations import ATTEMPT, DATASET, PIPELINE, PIPELINE_UID, PURPOSE, RUN

HEAD = "head"
_CLUSTER = "ray.io/cluster"
_GROUP = "ray.io/group"
_NODE_TYPE = "ray.io/node-type"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, as far as its log is concerned."""

    name: str
    container: str
    phase: str
    created: str
    cluster: str = ""
    group: str = ""
    run: str = ""
    attempt: int = 0
    started: bool = field(default=False)
    """Whether its container has ever run, so that there is a log."""

    @property
    def is_head(self) -> bool:
        """Whether it is the head of its Ray cluster."""
        return self.group == HEAD

    @property
    def is_over(self) -> bool:
        """Whether it writes nothing more."""
        return self.phase in ("Succeeded", "Failed")


def of_run(api: Api, seen: Seen, attempt: int | None) -> list[Pod]:
    """All pods of an attempt of the present or last run; ClusterError where there are none."""
    run, latest = _run(seen)
    wanted = {PIPELINE_UID: seen.uid, RUN: run}
    if attempt is not None:
        wanted[ATTEMPT] = str(attempt)
    found = _list(api, wanted)
    newest = max((one.attempt for one in found), default=0)
    chosen = [one for one in found if one.attempt == newest]
    if not chosen:
        raise _gone(seen, run, attempt, latest)
    return chosen


def of_attempt(api: Api, name: str, attempt: int | None, group: str) -> list[Pod]:
    """The pods of one group, `head` for the head."""
    pods = of_run(api, look(api, name), attempt)
    found = [one for one in pods if one.group == group]
    if not found:
        there = ", ".join(sorted({one.group for one in pods}))
        raise ClusterError(
            f"attempt {pods[0].attempt} has no pod of group '{group}' now; there are: {there}"
        )
    return found


def of_probe(api: Api, name: str, purpose: str) -> list[Pod]:
    """The latest pod that asked what came of a run, or that looked at the pipeline's dataset."""
    owner = {PIPELINE: name}
    if purpose == "dataset":
        sink = look(api, name).spec.get("sink") or {}
        dataset = (sink.get("lance") or {}).get("dataset")
        if dataset is None:
            raise ClusterError(f"{name} writes to no LanceDataset, so that none is looked at")
        owner = {DATASET: dataset}
    found = _list(api, {**owner, PURPOSE: purpose})
    if not found:
        raise ClusterError(
            f"there is no {purpose} probe of {name} now",
            remedy="probes are made when a run's end or a dataset's state is not known, and are "
            "deleted some minutes after their end",
        )
    return [max(found, key=lambda one: one.created)]


def _list(api: Api, labels: dict[str, str]) -> list[Pod]:
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    answer = api.get(paths.core("pods", api.namespace), query={"labelSelector": selector})
    return [_pod(one) for one in answer.get("items") or ()]


def _pod(body: dict[str, Any]) -> Pod:
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    container = body["spec"]["containers"][0]["name"]
    attempt = labels.get(ATTEMPT, "")
    is_head = labels.get(_NODE_TYPE) == "head"
    return Pod(
        name=metadata["name"],
        container=container,
        phase=status.get("phase", ""),
        created=metadata.get("creationTimestamp", ""),
        cluster=labels.get(_CLUSTER, ""),
        group=HEAD if is_head else labels.get(_GROUP, ""),
        run=labels.get(RUN, ""),
        attempt=int(attempt) if attempt.isdigit() else 0,
        started=_has_started(status.get("containerStatuses") or (), container),
    )


def _has_started(statuses: Sequence[dict[str, Any]], container: str) -> bool:
    for one in statuses:
        if one.get("name") == container:
            states = {**(one.get("state") or {}), **(one.get("lastState") or {})}
            return "running" in states or "terminated" in states
    return False


def _run(seen: Seen) -> tuple[str, int]:
    """Id of the present or last run, and the number of its latest attempt."""
    if seen.current is not None:
        return seen.current.id, seen.current.attempt
    if seen.last is not None:
        return seen.last.id, seen.last.attempts
    raise ClusterError(f"{seen.name} has had no run yet")


def _gone(seen: Seen, run: str, attempt: int | None, latest: int) -> ClusterError:
    if seen.current is not None and attempt in (None, latest):
        return ClusterError(
            f"run {run} has no pods now: it is {seen.current.state}",
            remedy=f"`lancemill status {seen.name} -n {seen.namespace}` says why",
        )
    which = f"attempt {attempt} of run {run}" if attempt is not None else f"run {run}"
    return ClusterError(
        f"the cluster of {which} is gone, and its logs with it",
        remedy="what happened is in `lancemill status` and in the run's report; to keep a cluster: "
        "spec.run.keepClusterOnFailure (failed runs), spec.run.ttlAfterFinished (others)",
    )
