"""Of each watched object, what decisions need: a thousand pipelines must fit into little memory.

managedFields are half of many objects, and a RayJob's specification is most of it; neither tells
anything that is decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB, Body, Kind

Object = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "labels",
    "annotations",
    "ownerReferences",
)


def slimmed(kind: Kind, body: Body) -> Object:
    """Of the object, what decisions need."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": _metadata(body["metadata"]),
        **_REST[kind](body),
    }


def _metadata(metadata: Mapping[str, Any]) -> Object:
    kept = {name: metadata[name] for name in _METADATA if name in metadata}
    annotations = kept.get("annotations") or {}
    if LAST_APPLIED in annotations:
        kept["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    return kept


def _whole(body: Body) -> Object:
    return {name: body[name] for name in ("spec", "status") if name in body}


def _of_ray_job(body: Body) -> Object:
    status = dict(body.get("status") or {})
    cluster = status.get("rayClusterStatus") or {}
    status["rayClusterStatus"] = {"conditions": cluster.get("conditions") or []}
    return {"status": status}


def _of_job(body: Body) -> Object:
    return {"status": body.get("status") or {}}


_REST: Mapping[Kind, Callable[[Body], Object]] = {
    PIPELINE: _whole,
    DATASET: _whole,
    RAY_JOB: _of_ray_job,
    JOB: _of_job,
}
