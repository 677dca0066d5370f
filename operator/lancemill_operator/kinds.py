"""The kinds of Kubernetes that the operator touches, and where each is served.

Written down rather than discovered: what is not here the operator never reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lancemill_operator import names

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind, by its API version, its plural name in addresses, and its name."""

    api_version: str
    plural: str
    name: str
    namespaced: bool = True

    def path(self, namespace: str | None, name: str = "", sub: str = "") -> str:
        """The address of the kind, of an object of it, or of a part of that."""
        root = "/apis" if "/" in self.api_version else "/api"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        ends = "".join(f"/{part}" for part in (name, sub) if part)
        return f"{root}/{self.api_version}{place}/{self.plural}{ends}"

    def __str__(self) -> str:
        return self.name


PIPELINE = Kind(names.API_VERSION, "multimodalpipelines", "MultimodalPipeline")
DATASET = Kind(names.API_VERSION, "lancedatasets", "LanceDataset")
RAY_JOB = Kind("ray.io/v1", "rayjobs", "RayJob")
RAY_CLUSTER = Kind("ray.io/v1", "rayclusters", "RayCluster")
JOB = Kind("batch/v1", "jobs", "Job")
POD = Kind("v1", "pods", "Pod")
NODE = Kind("v1", "nodes", "Node", namespaced=False)
RESOURCE_QUOTA = Kind("v1", "resourcequotas", "ResourceQuota")
CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
SECRET = Kind("v1", "secrets", "Secret")
SERVICE_ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount")
SERVICE = Kind("v1", "services", "Service")
VOLUME_CLAIM = Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", namespaced=False)
NETWORK_POLICY = Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
EVENT = Kind("events.k8s.io/v1", "events", "Event")
LEASE = Kind("coordination.k8s.io/v1", "leases", "Lease")

WATCHED = (PIPELINE, DATASET, RAY_JOB, JOB)
"""What the operator keeps a picture of; all else is read when it is needed."""

_BY_NAME = {
    (kind.api_version, kind.name): kind
    for kind in (
        *WATCHED,
        RAY_CLUSTER,
        POD,
        NODE,
        RESOURCE_QUOTA,
        CONFIG_MAP,
        SECRET,
        SERVICE_ACCOUNT,
        SERVICE,
        VOLUME_CLAIM,
        PRIORITY_CLASS,
        NETWORK_POLICY,
        EVENT,
        LEASE,
    )
}
_BY_SHORT_NAME = {name: kind for (_, name), kind in _BY_NAME.items()}


def of(api_version: str, name: str) -> Kind:
    """The kind of that version and name. Raises KeyError where we have nothing to do with it."""
    return _BY_NAME[api_version, name]


def of_body(body: Body) -> Kind:
    """The kind of an object that says what it is."""
    return of(body["apiVersion"], body["kind"])


def named(name: str) -> Kind:
    """The kind of that name alone."""
    return _BY_SHORT_NAME[name]
