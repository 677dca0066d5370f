"""The head and the groups of workers of a run's Ray cluster.

What KubeRay accepts and then never gets well is impossible here (recordings 18c, 18e): the head's
ports always hold one named dashboard, groups have different names, replicas lie within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lancemill_api.cluster import Cluster, Head, WorkerGroup
from lancemill_api.quantities import quantity, seconds
from lancemill_api.runtime import Runtime
from lancemill_operator import names
from lancemill_operator.manifests import pods, volumes
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.environment import environment
from lancemill_operator.manifests.volumes import Mounts

GROUP = f"{names.GROUP}/group"
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
    """The head, with the resources it gets."""
    head = cluster.head if cluster else Head()
    if "resources" in head.model_fields_set:
        return head
    return head.model_copy(update={"resources": defaults.head})


def is_autoscaled(groups: tuple[WorkerGroup, ...], queue: str | None) -> bool:
    """Whether the number of workers changes during a run.

    Not where it cannot, which saves the autoscaler's pod share; and not in a queue, since Kueue
    admits a whole run or nothing and refuses jobs that scale themselves.
    """
    return queue is None and any(one.min_replicas < one.max_replicas for one in groups)


def head_group(
    head: Head,
    runtime: Runtime,
    mounts: Mounts,
    own: Mapping[str, str],
    labels: Mapping[str, str],
    service_account: str,
    ray_version: str,
    autoscaled: bool,
    defaults: Defaults,
) -> dict[str, Any]:
    """`headGroupSpec`: it drives the run and does none of its work."""
    everything = mounts + volumes.own(head)
    main = pods.container("ray-head", runtime, head.resources, everything, defaults)
    ports = {**HEAD_PORTS, "lancemill": defaults.progress_port}
    main |= environment(runtime, own) | {
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        **_readiness(ray_version),
    }
    spec = pods.spec(main, runtime, head, everything, service_account, defaults)
    if autoscaled:
        spec["volumes"].append(volumes.api_token())
    return {
        "rayStartParams": {
            "num-cpus": "0",
            "object-store-memory": str(min(HEAD_OBJECT_STORE, _object_store(head, defaults))),
        },
        "template": {"metadata": _metadata(head, labels), "spec": spec},
    }


def worker_group(
    group: WorkerGroup,
    runtime: Runtime,
    mounts: Mounts,
    own: Mapping[str, str],
    labels: Mapping[str, str],
    service_account: str,
    ray_version: str,
    autoscaled: bool,
    defaults: Defaults,
) -> dict[str, Any]:
    """An entry of `workerGroupSpecs`."""
    everything = mounts + volumes.own(group)
    main = pods.container("ray-worker", runtime, group.resources, everything, defaults)
    main |= environment(runtime, own) | _readiness(ray_version)
    if defaults.worker_pre_stop:
        main["lifecycle"] = {"preStop": {"exec": {"command": list(defaults.worker_pre_stop)}}}
    labels = {**labels, GROUP: group.name}
    spec = pods.spec(main, runtime, group, everything, service_account, defaults)
    if group.topology_spread_constraints:
        spec["topologySpreadConstraints"] = _spread(group, labels)
    made = {
        "groupName": group.name,
        "replicas": group.min_replicas if autoscaled else group.max_replicas,
        "minReplicas": group.min_replicas if autoscaled else group.max_replicas,
        "maxReplicas": group.max_replicas,
        "labels": {GROUP: group.name},
        "rayStartParams": {"object-store-memory": str(_object_store(group, defaults))},
        "template": {"metadata": _metadata(group, labels), "spec": spec},
    }
    idle = {"idleTimeoutSeconds": whole_seconds(group.idle_timeout)}
    return made | (idle if autoscaled else {})


def autoscaler(runtime: Runtime, defaults: Defaults) -> dict[str, Any]:
    """`autoscalerOptions`: the only container with a token of the API server."""
    made: dict[str, Any] = {
        "version": "v2",
        "resources": pods.resources(defaults.autoscaler, defaults),
        "securityContext": dict(pods.RESTRICTED),
        "env": [{"name": "HOME", "value": "/tmp"}],
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


def _spread(group: WorkerGroup, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    same = {"matchLabels": {names.RUN: labels[names.RUN], GROUP: group.name}}
    return [
        {
            "labelSelector": same,
            "maxSkew": one.max_skew,
            "whenUnsatisfiable": one.when_unsatisfiable,
        }
        | one.model_dump(mode="json", by_alias=True, exclude_none=True)
        for one in group.topology_spread_constraints
    ]


__all__ = [
    "DEFAULT_GROUP",
    "GROUP",
    "autoscaler",
    "head_group",
    "head_of",
    "is_autoscaled",
    "whole_seconds",
    "worker_group",
    "worker_groups",
]
