"""Pods: what the head, the workers and the probes have in common.

Every container meets Pod Security's level restricted by itself, so that namespaces can enforce it.
No token of the API server is mounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lancemill_api.cluster import Placed, Resources, WorkerGroup
from lancemill_api.runtime import Runtime
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.volumes import Mounts
from lancemill_operator.manifests.written import written

RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of every container. KubeRay copies it to the init container it puts before a
worker; its autoscaler gets it by autoscalerOptions."""


def resources(asked: Resources, defaults: Defaults) -> dict[str, Any]:
    """Requests and limits.

    Memory and GPUs are both, the same: KubeRay tells Ray of them by the limits, and a pod that
    takes more memory than it asked for is the first to be killed. CPU is only asked for, unless the
    settings say otherwise: Ray then knows it by the request, and nobody is throttled.
    """
    exact: dict[str, str] = {"memory": asked.memory}
    if asked.gpu:
        exact[defaults.gpu_resource] = str(asked.gpu)
    limits = {"cpu": asked.cpu, **exact} if defaults.cpu_limits else exact
    return {"requests": {"cpu": asked.cpu, **exact}, "limits": dict(limits)}


def container(
    name: str, runtime: Runtime, asked: Resources, mounts: Mounts, defaults: Defaults
) -> dict[str, Any]:
    """A container of the run's image."""
    made: dict[str, Any] = {
        "name": name,
        "image": runtime.image or defaults.image,
        "resources": resources(asked, defaults),
        "securityContext": dict(RESTRICTED),
        "volumeMounts": list(mounts.mounts),
    }
    policy = pull_policy(runtime, defaults)
    return made | ({"imagePullPolicy": policy} if policy else {})


def pull_policy(runtime: Runtime, defaults: Defaults) -> str | None:
    """When the image is pulled: as the manifest says, else as the settings say of their own."""
    if runtime.image_pull_policy or runtime.image:
        return runtime.image_pull_policy
    return defaults.image_pull_policy


def spec(
    main: Mapping[str, Any],
    runtime: Runtime,
    placed: Placed,
    mounts: Mounts,
    service_account: str,
    defaults: Defaults,
) -> dict[str, Any]:
    """The specification of a pod with one container of its own."""
    made: dict[str, Any] = {
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": defaults.termination_grace_seconds,
        "securityContext": dict(defaults.pod_security),
        "containers": [dict(main)],
        "volumes": list(mounts.volumes),
    }
    if runtime.image_pull_secrets:
        made["imagePullSecrets"] = [{"name": one.name} for one in runtime.image_pull_secrets]
    return made | placement(placed)


def placement(placed: Placed) -> dict[str, Any]:
    """Where the pod may run; the models' names are Kubernetes' own."""
    fields = {"node_selector", "tolerations", "affinity", "priority_class_name"}
    if isinstance(placed, WorkerGroup):
        fields |= {"runtime_class_name"}
    return {name: value for name, value in written(placed, fields).items() if value}
