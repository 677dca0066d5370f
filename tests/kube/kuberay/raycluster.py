"""What a RayCluster wants of its pods, and the status that follows from them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kube.kuberay import names, objects, pods, quantities, times
from kube.kuberay.names import Object
from kube.kuberay.steps import Event

_UNCOMPARED = ("lastUpdateTime", "observedGeneration")


@dataclass(frozen=True)
class CreatePod:
    """A pod to make. `failure` is the reason told where the API server refuses it."""

    pod: Object
    role: str  # Head or Worker

    @property
    def failure(self) -> str:
        return f"FailedCreate{self.role}Pod"


@dataclass(frozen=True)
class DeletePod:
    """A pod to delete, and what is told of it."""

    name: str
    event: Event


@dataclass(frozen=True)
class Failure:
    """Why pods could not be made."""

    reason: str
    message: str


def needed(cluster: Object, found: Sequence[Object]) -> list[CreatePod | DeletePod]:
    """What to do, in KubeRay's order: the head first, then the groups as they are listed."""
    place = cluster["metadata"]["namespace"]
    heads = [pod for pod in found if _node_type(pod) == "head"]
    if not heads:
        actions: list[CreatePod | DeletePod] = [CreatePod(pods.head(cluster), "Head")]
    else:
        actions = [_replace(pod, "Head", place) for pod in heads if _is_over(pod)]
    for group in cluster["spec"].get("workerGroupSpecs", ()):
        workers = [pod for pod in found if _label(pod, names.GROUP) == group["groupName"]]
        actions += _of_group(cluster, group, workers)
    return actions


def _of_group(cluster: Object, group: Object, workers: list[Object]) -> list[CreatePod | DeletePod]:
    place = cluster["metadata"]["namespace"]
    over = [pod for pod in workers if _is_over(pod)]
    actions: list[CreatePod | DeletePod] = [_replace(pod, "Worker", place) for pod in over]
    condemned = group.get("scaleStrategy", {}).get("workersToDelete", ())
    actions += [
        _worker_deletion(pod, f"Deleted pod {place}/")
        for pod in workers
        if pod["metadata"]["name"] in condemned and not _is_stopping(pod)
    ]
    leaving = {id(pod) for pod in over}
    leaving |= {id(pod) for pod in workers if pod["metadata"]["name"] in condemned}
    staying = [pod for pod in workers if id(pod) not in leaving]
    missing = desired(group) - len(staying)
    taken = {_label(pod, names.REPLICA_INDEX) for pod in staying}
    free = (index for index in range(len(taken) + max(missing, 0)) if str(index) not in taken)
    actions += [
        CreatePod(pods.worker(cluster, group, index), "Worker")
        for index, _ in zip(free, range(missing), strict=False)
    ]
    if not cluster["spec"].get("enableInTreeAutoscaling"):
        stopping = sum(_is_stopping(pod) for pod in staying)
        spare = [pod for pod in staying if not _is_stopping(pod)][: max(-missing - stopping, 0)]
        actions += [_worker_deletion(pod, f"Deleted Pod {place}/") for pod in spare]
    return actions


def _worker_deletion(pod: Object, text: str) -> DeletePod:
    name = pod["metadata"]["name"]
    return DeletePod(name, Event("DeletedWorkerPod", f"{text}{name}", "Delete"))


def _replace(pod: Object, role: str, place: str) -> DeletePod:
    name, status, policy = (
        pod["metadata"]["name"],
        pod["status"].get("phase", ""),
        pod["spec"].get("restartPolicy", ""),
    )
    text = f"Deleted {role.lower()} Pod {place}/{name}; Pod status: {status}; "
    text += f"Pod restart policy: {policy}"
    return DeletePod(name, Event(f"Deleted{role}Pod", text, "Delete"))


def _is_over(pod: Object) -> bool:
    """Its Ray ended and nothing will start it again: the pod has to be replaced."""
    if _is_stopping(pod) or pod["spec"].get("restartPolicy", "Always") == "Always":
        return False
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return True
    statuses = pod["status"].get("containerStatuses", ())
    ray = pod["spec"]["containers"][0]["name"]
    return any("terminated" in one.get("state", {}) for one in statuses if one["name"] == ray)


def _is_stopping(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _label(pod: Object, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))


def _node_type(pod: Object) -> str:
    return _label(pod, names.NODE_TYPE)


def desired(group: Object) -> int:
    if group.get("suspend"):
        return 0
    low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
    return int(min(max(group.get("replicas", low), low), high) * group.get("numOfHosts", 1))


def status(
    cluster: Object, found: Sequence[Object], failure: Failure | None, now: datetime
) -> Object | None:
    """The status to write; None where the one that there is says the same."""
    old = cluster.get("status", {})
    heads = [pod for pod in found if _node_type(pod) == "head"]
    workers = [pod for pod in found if _node_type(pod) == "worker"]
    wanted = sum(desired(group) for group in cluster["spec"].get("workerGroupSpecs", ()))
    new: Object = {
        **_counts(cluster, workers, wanted),
        **_amounts(cluster),
        "conditions": _conditions(old, heads, found, failure, now),
        "endpoints": {name: str(port) for name, port in objects.service_ports(cluster).items()},
        "head": _head(cluster, heads),
    }
    for name in ("state", "stateTransitionTimes"):
        if name in old:
            new[name] = old[name]
    if failure is None and len(found) == wanted + 1 and _all_ready(found):
        if old.get("state") != "ready":
            new["stateTransitionTimes"] = {"ready": times.written(now)}
        new["state"] = "ready"
    if new == {name: value for name, value in old.items() if name not in _UNCOMPARED}:
        return None
    generation = cluster["metadata"]["generation"]
    return new | {"lastUpdateTime": times.written(now), "observedGeneration": generation}


def _counts(cluster: Object, workers: list[Object], wanted: int) -> Object:
    groups = cluster["spec"].get("workerGroupSpecs", ())
    ready = sum(_is_ready(pod) for pod in workers)
    counts = {
        "desiredWorkerReplicas": wanted,
        "readyWorkerReplicas": ready,
        "availableWorkerReplicas": ready,
        "minWorkerReplicas": sum(_bound(group, "minReplicas") for group in groups),
        "maxWorkerReplicas": sum(_bound(group, "maxReplicas") for group in groups),
    }
    return {name: count for name, count in counts.items() if count}


def _bound(group: Object, which: str) -> int:
    return int(group.get(which, 0) * group.get("numOfHosts", 1))


def _amounts(cluster: Object) -> Object:
    groups = [(cluster["spec"]["headGroupSpec"], 1)]
    groups += [(group, desired(group)) for group in cluster["spec"].get("workerGroupSpecs", ())]
    found: dict[str, list[str]] = {"CPU": [], "Memory": [], "GPU": [], "TPU": []}
    for group, count in groups:
        for container in group["template"]["spec"]["containers"]:
            for name, amount in _asked(container).items():
                if kind := _resource(name):
                    found[kind] += [str(amount)] * count
    return {f"desired{kind}": quantities.total(amounts) for kind, amounts in found.items()}


def _asked(container: Object) -> Object:
    resources = container.get("resources", {})
    asked: Object = {**resources.get("limits", {}), **resources.get("requests", {})}
    return asked


def _resource(name: str) -> str:
    if name.endswith("gpu"):
        return "GPU"
    return {"cpu": "CPU", "memory": "Memory", "google.com/tpu": "TPU"}.get(name, "")


def _head(cluster: Object, heads: list[Object]) -> Object:
    found: Object = {"serviceName": names.head_service(cluster["metadata"]["name"])}
    if heads:
        found["podName"] = heads[0]["metadata"]["name"]
        if address := heads[0]["status"].get("podIP"):
            found |= {"podIP": address, "serviceIP": address}
    return found


def _condition(pod: Object, kind: str) -> dict[str, Any]:
    conditions = pod["status"].get("conditions", ())
    return next((one for one in conditions if one["type"] == kind), {})


def _is_ready(pod: Object) -> bool:
    ready = _condition(pod, "Ready").get("status") == "True"
    return ready and pod["status"].get("phase") == "Running"


def _all_ready(found: Sequence[Object]) -> bool:
    return bool(found) and all(_is_ready(pod) for pod in found)


def _conditions(
    old: Object,
    heads: list[Object],
    found: Sequence[Object],
    failure: Failure | None,
    now: datetime,
) -> list[Object]:
    before = {one["type"]: one for one in old.get("conditions", ())}
    told: dict[str, tuple[str, str, str]] = {"HeadPodReady": _head_pod_ready(heads)}
    if before.get("RayClusterProvisioned", {}).get("status") != "True":
        told["RayClusterProvisioned"] = _provisioned(found)
    for name in ("RayClusterSuspended", "RayClusterSuspending"):
        told[name] = ("False", name, "")
    if failure is not None:
        text = f"{failure.reason}\n{failure.message}"
        told["ReplicaFailure"] = ("True", failure.reason, text)
    else:
        before.pop("ReplicaFailure", None)
    kept = dict.fromkeys([*before, *_first(told, failure)])
    return [_merged(name, before.get(name), told.get(name), now) for name in kept]


def _first(told: dict[str, tuple[str, str, str]], failure: Failure | None) -> list[str]:
    """KubeRay sets ReplicaFailure before the others, and new conditions go to the end."""
    return (["ReplicaFailure"] if failure else []) + list(told)


def _merged(
    name: str, before: Object | None, told: tuple[str, str, str] | None, now: datetime
) -> Object:
    if told is None:
        assert before is not None
        return before
    state, reason, message = told
    moved = before is None or before["status"] != state
    since = times.written(now) if moved else before["lastTransitionTime"]  # type: ignore[index]
    return {
        "type": name,
        "status": state,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
    }


def _provisioned(found: Sequence[Object]) -> tuple[str, str, str]:
    if _all_ready(found):
        text = "All Ray Pods are ready for the first time"
        return "True", "AllPodRunningAndReadyFirstTime", text
    text = "RayCluster Pods are being provisioned for first time"
    return "False", "RayClusterPodsProvisioning", text


def _head_pod_ready(heads: list[Object]) -> tuple[str, str, str]:
    if not heads:
        return "False", "HeadPodNotFound", "Head Pod not found"
    ready = _condition(heads[0], "Ready")
    if not ready:
        return "False", "Unknown", ""
    if ready["status"] == "True":
        return "True", "HeadPodRunningAndReady", ready.get("message", "")
    for one in heads[0]["status"].get("containerStatuses", ()):
        for state in ("waiting", "terminated"):
            if what := one.get("state", {}).get(state):
                text = f"{one['name']}: {what.get('message', '')}"
                return ready["status"], what.get("reason", "Unknown"), text
    return ready["status"], ready.get("reason", "Unknown"), ready.get("message", "")
