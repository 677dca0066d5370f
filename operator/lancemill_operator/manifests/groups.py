"""The head and the groups of workers of a run's Ray cluster.

What KubeRay accepts and then never gets well is impossible here (recordings 18c, 18e): the head's
ports always hold one named dashboard, groups have different names, replicas lie within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lancemill_api.cluster import Cluster, Head, WorkerGroup
from lancemill_api.quantities import quantity, seconds
from lancemill_api.runtime import Runtime
from lancemill_operator import names
from lancemill_operator.manifests import pods, volumes
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.environment import HOME, environment
from lancemill_operator.manifests.volumes import Mounts
from lancemill_operator.manifests.written import written

GROUP = names.WORKER_GROUP
"""Label of a group's pods, and of its nodes in Ray: stages are placed by it."""
DEFAULT_GROUP = WorkerGroup(name="workers", min_replicas=1, max_replicas=1)
"""The workers where the manifest has no spec.cluster."""
LEAST_OBJECT_STORE = 80 * 2**20
"""Ray refuses less than 75 MiB."""
HEAD_OBJECT_STORE = 256 * 2**20
"""The head does no work: its driver holds references, not batches."""
HEALTH_PORT = 52365
NODE_HEALTH_SINCE = (2, 53)
"""Ray from here on tells a node's health at one address."""
MOST_SECONDS = 2**31 - 1
HEAD_PORTS: Mapping[str, int] = {
    "gcs-server": 6379,
    "dashboard": 8265,
    "metrics": 8080,
    "as-metrics": 44217,
    "dash-metrics": 44227,
}


def worker_groups(cluster: Cluster | None) -> tuple[WorkerGroup, ...]:
    """The groups of workers of a run."""
    return cluster.worker_groups if cluster else (DEFAULT_GROUP,)


def head_of(cluster: Cluster | None, defaults: Defaults) -> Head:
    """The head of a run. An API server fills in its resources wherever there is a spec.cluster."""
    return cluster.head if cluster else Head(resources=defaults.head)


def is_autoscaled(groups: tuple[WorkerGroup, ...], queue: str | None) -> bool:
    """Whether the number of workers changes during a run.

    Not where it cannot, which saves the autoscaler's pod share; and not in a queue, since Kueue
    admits a whole run or nothing and refuses jobs that scale themselves.
    """
    return queue is None and any(one.min_replicas < one.max_replicas for one in groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What head and workers of an attempt have in common."""

    runtime: Runtime
    mounts: Mounts
    variables: Mapping[str, str]
    labels: Mapping[str, str]
    service_account: str
    ray_version: str
    autoscaled: bool
    defaults: Defaults


def head_group(head: Head, shared: Shared) -> dict[str, Any]:
    """`headGroupSpec`: it drives the run and does none of its work."""
    defaults = shared.defaults
    ports = {**HEAD_PORTS, "lancemill": defaults.progress_port}
    named = [{"name": name, "containerPort": port} for name, port in ports.items()]
    spec = _pod("ray-head", head, shared, {"ports": named})
    if shared.autoscaled:
        spec["volumes"].append(volumes.api_token())
    store = min(HEAD_OBJECT_STORE, _object_store(head, defaults))
    return {
        "rayStartParams": {"num-cpus": "0", "object-store-memory": str(store)},
        "template": {"metadata": _metadata(head, shared.labels), "spec": spec},
    }


def worker_group(group: WorkerGroup, shared: Shared) -> dict[str, Any]:
    """An entry of `workerGroupSpecs`."""
    defaults = shared.defaults
    leaves = {"preStop": {"exec": {"command": list(defaults.worker_pre_stop)}}}
    spec = _pod(
        "ray-worker", group, shared, {"lifecycle": leaves} if defaults.worker_pre_stop else {}
    )
    if group.topology_spread_constraints:
        spec["topologySpreadConstraints"] = _spread(group, shared.labels[names.RUN])
    least = group.min_replicas if shared.autoscaled else group.max_replicas
    made = {
        "groupName": group.name,
        "replicas": least,
        "minReplicas": least,
        "maxReplicas": group.max_replicas,
        "labels": {GROUP: group.name},
        "rayStartParams": {
            "num-cpus": str(max(1, math.ceil(quantity(group.resources.cpu)))),
            "object-store-memory": str(_object_store(group, defaults)),
        },
        "template": {
            "metadata": _metadata(group, {**shared.labels, GROUP: group.name}),
            "spec": spec,
        },
    }
    if shared.autoscaled:
        made["idleTimeoutSeconds"] = whole_seconds(group.idle_timeout)
    return made


def autoscaler(runtime: Runtime, defaults: Defaults) -> dict[str, Any]:
    """`autoscalerOptions`: the only container with a token of the API server."""
    made: dict[str, Any] = {
        "version": "v2",
        "resources": pods.resources(defaults.autoscaler, defaults),
        "securityContext": dict(pods.RESTRICTED),
        "env": [{"name": "HOME", "value": HOME}],
        "volumeMounts": [
            {
                "name": volumes.TOKEN_VOLUME,
                "mountPath": volumes.TOKEN_FOLDER,
                "readOnly": True,
            }
        ],
    }
    policy = pods.pull_policy(runtime, defaults)
    return made | ({"imagePullPolicy": policy} if policy else {})


def whole_seconds(duration: str | float, least: int = 0) -> int:
    """A length of time as Kubernetes writes it: whole seconds that fit 32 bits, rounded up."""
    value = seconds(duration) if isinstance(duration, str) else duration
    return int(min(max(math.ceil(value), least), MOST_SECONDS))


def _pod(
    name: str, placed: Head | WorkerGroup, shared: Shared, more: Mapping[str, Any]
) -> dict[str, Any]:
    """A pod whose one container starts Ray."""
    mounts = shared.mounts + volumes.own(placed)
    main = pods.container(name, shared.runtime, placed.resources, mounts, shared.defaults)
    main |= environment(shared.runtime, shared.variables)
    main |= {**_readiness(shared.ray_version), **more}
    return pods.spec(main, shared.runtime, placed, mounts, shared.service_account, shared.defaults)


def _object_store(asked: Head | WorkerGroup, defaults: Defaults) -> int:
    """Bytes that Ray keeps objects in; it lies in /dev/shm, which counts as the pod's memory."""
    memory = quantity(asked.resources.memory)
    return max(int(memory * defaults.object_store_share), LEAST_OBJECT_STORE)


def _readiness(ray_version: str) -> dict[str, Any]:
    """A look each second: KubeRay's own waits 10 s first and then looks every 5 s."""
    major, minor = ray_version.split(".")[:2]
    if (int(major), int(minor)) < NODE_HEALTH_SINCE:
        return {}
    health = {"path": "/api/healthz", "port": HEALTH_PORT}
    probe = {"httpGet": health, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60}
    return {"readinessProbe": probe}


def _metadata(placed: Head | WorkerGroup, labels: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"labels": {**placed.labels, **names.labels(labels)}}
    return made | ({"annotations": dict(placed.annotations)} if placed.annotations else {})


def _spread(group: WorkerGroup, run: str) -> list[dict[str, Any]]:
    """Kubernetes wants each part said; what is counted by default it would take for nothing."""
    same = {"matchLabels": {names.RUN: run, GROUP: group.name}}
    return [
        {
            "maxSkew": one.max_skew,
            "whenUnsatisfiable": one.when_unsatisfiable,
            "labelSelector": same,
            **written(one),
        }
        for one in group.topology_spread_constraints
    ]
