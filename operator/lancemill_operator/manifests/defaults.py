"""What the operator's configuration decides of the objects that it makes.

A manifest says what a run needs; a cluster's administrator says with which image it runs by
default, what a short probe may take, and who may speak to a run's pods. The operator fills this in
from its settings and hands it to every builder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from lancemill_api.cluster import Resources
from lancemill_api.prices import Prices


def _restricted_pod() -> dict[str, Any]:
    """What Pod Security's level restricted asks of a pod; the group lets it read its volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRules:
    """Who may speak to a run's pods, and where these may not speak to."""

    operator_namespace: str = "lancemill-system"
    """Namespace of the operator, which asks for a run's progress."""
    operator_labels: Mapping[str, str] = field(
        default_factory=lambda: {"app.kubernetes.io/name": "lancemill-operator"}
    )
    """Labels of the operator's pods."""
    kuberay_namespace: str = ""
    """Namespace of KubeRay's operator, which submits jobs; empty for any."""
    kuberay_labels: Mapping[str, str] = field(
        default_factory=lambda: {"app.kubernetes.io/name": "kuberay-operator"}
    )
    """Labels of KubeRay's operator's pods."""
    metrics_namespaces: tuple[str, ...] = ()
    """Namespaces of whoever scrapes metrics; none by default."""
    control_cidrs: tuple[str, ...] = ()
    """Addresses that may reach dashboard and progress beside those: the API server's, where the
    operator runs outside the cluster and asks through its proxy."""
    blocked_cidrs: tuple[str, ...] = ("169.254.169.254/32", "fd00:ec2::254/128")
    """Addresses that a run's pods may not reach. The cloud's metadata server hands out the node's
    own credentials to any code; GKE's workload identity is served from there, so take it out where
    that is used. IRSA, EKS Pod Identity and Azure's workload identity do not need it."""

    def __post_init__(self) -> None:
        """Raises ValueError at the operator's start rather than at the first run."""
        for one in (*self.control_cidrs, *self.blocked_cidrs):
            ip_network(one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What stands in objects where the manifest does not say."""

    image: str = "lancemill/runtime:0.1.0"
    """Runtime image: Lancemill and Ray."""
    image_pull_policy: str | None = None
    """When images are pulled; None leaves it to Kubernetes."""
    ray_version: str = "2.60.0"
    """Version of Ray in `image`."""
    gpu_resource: str = "nvidia.com/gpu"
    """Resource that a GPU is."""
    cpu_limits: bool = False
    """Whether CPU is limited to what is requested. Off: a worker may use what its node has left,
    and is never throttled. Namespaces whose quota counts limits.cpu need it on."""
    head: Resources = field(default_factory=lambda: Resources(cpu="1", memory="4Gi"))
    """The head, where the manifest has no spec.cluster: it runs the driver and Ray's services."""
    autoscaler: Resources = field(default_factory=lambda: Resources(cpu="200m", memory="512Mi"))
    """The autoscaler beside the head."""
    object_store_share: float = 0.3
    """Part of a worker's memory that Ray keeps objects in."""
    progress_seconds: float = 5.0
    """How often a running attempt's head is asked how far it is: what the operator's setting
    progress_interval says, whatever is given here."""
    dataset_refresh_seconds: float = 6 * 3600.0
    """How often a dataset is looked at without anybody having said that it changed."""
    progress_port: int = 8787
    """Port of the head on which the driver tells its progress."""
    termination_grace_seconds: int = 30
    """Time that pods have to stop."""
    worker_pre_stop: tuple[str, ...] = ("ray", "stop")
    """Command with which a worker leaves before it is stopped: the cluster then knows at once, and
    need not wait for its heartbeat. Empty for none."""
    pod_security: Mapping[str, Any] = field(default_factory=_restricted_pod)
    """Security context of pods. Take runAsUser, runAsGroup and fsGroup out where the platform
    chooses them (OpenShift)."""
    probe: Resources = field(default_factory=lambda: Resources(cpu="100m", memory="1Gi"))
    """A probe's pod."""
    probe_deadline_seconds: int = 300
    """Longest time of a probe."""
    probe_ttl_seconds: int = 600
    """Time after which a finished probe is deleted by Kubernetes."""
    network_policies: bool = True
    """Whether runs get a NetworkPolicy."""
    network: NetworkRules = field(default_factory=NetworkRules)
    """Who may speak to a run's pods."""
    prices: Prices = field(default_factory=Prices)
    """What time costs, for the cost of runs."""
