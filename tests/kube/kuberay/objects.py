"""What KubeRay makes beside pods: the RayCluster, Services, the autoscaler's rights, the token."""

from __future__ import annotations

import base64
from typing import Any

from kube.kuberay import names
from kube.kuberay.names import Object

DEFAULT_PORTS = {
    "client": 10001,
    "dashboard": 8265,
    "gcs-server": 6379,
    "metrics": 8080,
    "serve": 8000,
}
RBAC = "rbac.authorization.k8s.io"


def as_kuberay_writes_it(job: Object) -> Object:
    """The RayJob with its finalizer, as it looks after a round trip through KubeRay's Go types."""
    spec = dict(job["spec"])
    if "rayClusterSpec" in spec:
        spec["rayClusterSpec"] = _cluster_spec(spec["rayClusterSpec"])
    finalizers = [*job["metadata"].get("finalizers", []), names.FINALIZER]
    return {**job, "spec": spec, "metadata": {**job["metadata"], "finalizers": finalizers}}


def _cluster_spec(spec: Object) -> Object:
    written = {**spec, "headGroupSpec": _group(spec["headGroupSpec"])}
    if "workerGroupSpecs" in spec:
        written["workerGroupSpecs"] = [
            {"scaleStrategy": {}, **_group(group)} for group in spec["workerGroupSpecs"]
        ]
    return written


def _group(group: Object) -> Object:
    template = {"metadata": {}, **group["template"]}
    return {**group, "template": _texts(template)}


def _texts(value: Any, quantities: bool = False) -> Any:
    """Quantities are texts, however they were written."""
    if isinstance(value, dict):
        inside = {"limits", "requests"}
        return {key: _texts(item, quantities or key in inside) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return str(value) if quantities else value


def ray_cluster(job: Object, name: str) -> Object:
    meta, spec = job["metadata"], job["spec"]
    labels = names.copied(meta.get("labels")) | {
        names.ORIGIN_NAME: meta["name"],
        names.ORIGIN_KIND: "RayJob",
        names.SUBMISSION_MODE: spec.get("submissionMode", "K8sJobMode"),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": names.copied(meta.get("annotations")),
            "ownerReferences": names.owned_by(job),
        },
        "spec": _cluster_spec(spec["rayClusterSpec"]),
    }


def service_ports(cluster: Object) -> dict[str, int]:
    """The head container's own ports and metrics, or all the usual ones where it has none."""
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    declared = {port["name"]: port["containerPort"] for port in head.get("ports", ())}
    if not declared:
        return dict(DEFAULT_PORTS)
    return {"metrics": DEFAULT_PORTS["metrics"]} | declared


def _service(owner: Object, name: str, labels: dict[str, str], cluster: Object) -> Object:
    meta = owner["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": names.owned_by(owner),
        },
        "spec": {
            "clusterIP": "None",
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": names.head_labels(cluster["metadata"]["name"]),
            "ports": [
                {
                    "name": name,
                    "port": port,
                    "targetPort": port,
                    "protocol": "TCP",
                    "appProtocol": "tcp",
                }
                for name, port in sorted(service_ports(cluster).items())
            ],
        },
    }


def cluster_service(cluster: Object) -> Object:
    name = cluster["metadata"]["name"]
    return _service(cluster, names.head_service(name), names.head_labels(name), cluster)


def job_service(job: Object, cluster: Object) -> Object:
    """The Service that outlives its cluster: a retry only changes what it selects."""
    name = job["metadata"]["name"]
    labels = {
        names.IDENTIFIER: f"{name}-head",
        names.NODE_TYPE: "head",
        names.ORIGIN_NAME: name,
        names.ORIGIN_KIND: "RayJob",
    }
    return _service(job, names.head_service(name), labels, cluster)


def _for_autoscaler(cluster: Object, api: str, kind: str, **fields: Any) -> Object:
    meta = cluster["metadata"]
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {**names.MADE_BY_KUBERAY, names.CLUSTER: meta["name"]},
            "ownerReferences": names.owned_by(cluster),
        },
        **fields,
    }


def autoscaler_account(cluster: Object) -> str:
    """The service account of the head, which the autoscaler beside it acts as."""
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]
    return str(head.get("serviceAccountName") or cluster["metadata"]["name"])


def service_account(cluster: Object) -> Object:
    return _for_autoscaler(cluster, "v1", "ServiceAccount")


def role(cluster: Object) -> Object:
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]},
        {"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get", "patch"]},
    ]
    return _for_autoscaler(cluster, f"{RBAC}/v1", "Role", rules=rules)


def role_binding(cluster: Object) -> Object:
    meta = cluster["metadata"]
    subject = {
        "kind": "ServiceAccount",
        "name": autoscaler_account(cluster),
        "namespace": meta["namespace"],
    }
    reference = {"apiGroup": RBAC, "kind": "Role", "name": meta["name"]}
    return _for_autoscaler(
        cluster, f"{RBAC}/v1", "RoleBinding", subjects=[subject], roleRef=reference
    )


def token_secret(cluster: Object, token: str) -> Object:
    meta = cluster["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {names.CLUSTER: meta["name"]},
            "ownerReferences": names.owned_by(cluster),
        },
        "type": "Opaque",
        "data": {"auth_token": base64.b64encode(token.encode()).decode()},
    }
