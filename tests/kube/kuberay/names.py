"""Labels, annotations and names of what KubeRay makes."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

MANAGER = "kuberay-operator"
VERSION = "v1.7.0"
FINALIZER = "ray.io/rayjob-finalizer"

CLUSTER = "ray.io/cluster"
GROUP = "ray.io/group"
IDENTIFIER = "ray.io/identifier"
NODE_TYPE = "ray.io/node-type"
IS_RAY_NODE = "ray.io/is-ray-node"
REPLICA_INDEX = "ray.io/worker-group-replica-index"
ORIGIN_NAME = "ray.io/originated-from-cr-name"
ORIGIN_KIND = "ray.io/originated-from-crd"
SUBMISSION_MODE = "ray.io/job-submission-mode"
HEAD_GROUP = "headgroup"
MADE_BY_KUBERAY = {
    "app.kubernetes.io/created-by": MANAGER,
    "app.kubernetes.io/name": "kuberay",
}

LONGEST_JOB_NAME = 47
LONGEST_POD_PREFIX = 50
SUFFIX_LENGTH = 5

# What belongs to the tool that applied the RayJob, not to what is made from it.
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", "argocd.argoproj.io/")


def pod_prefix(owner: str, role: str) -> str:
    """The beginning of a pod's name; a long cluster name loses its end, and the group with it."""
    return f"{owner[:LONGEST_POD_PREFIX]}-{role}-"


def head_service(owner: str) -> str:
    return f"{owner}-head-svc"


def head_host(cluster: str, namespace: str) -> str:
    return f"{head_service(cluster)}.{namespace}.svc.cluster.local"


def head_labels(cluster: str) -> dict[str, str]:
    """The labels of a cluster's head Service, which are also what it selects the head pod by."""
    return {
        **MADE_BY_KUBERAY,
        CLUSTER: cluster,
        IDENTIFIER: f"{cluster}-head",
        NODE_TYPE: "head",
    }


def copied(marks: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (marks or {}).items() if not key.startswith(_NOT_COPIED)}


def owned_by(owner: Object) -> list[Object]:
    meta = owner["metadata"]
    return [
        {
            "apiVersion": "ray.io/v1",
            "kind": owner["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
