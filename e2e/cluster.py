"""What a scenario knows of the cluster that it runs in, whoever provides it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from e2e.image.images import OPERATOR, RUNTIME, S3
from e2e.kubectl import Kubectl

Ability = Literal["autoscaler", "drain", "gpus", "network-policies", "pod-addresses"]
Reach = Callable[[str, str, int], AbstractContextManager[str]]
"""(namespace, service, port) → the address at which this process reaches it, as long as it asks."""


@dataclass(frozen=True)
class Cluster:
    provider: str
    kubectl: Kubectl
    helm: str
    """Path of Helm 3."""
    kuberay: str
    """Which KubeRay runs, as a report tells it."""
    reach: Reach
    can: frozenset[Ability]
    logs: Path
    """Where what a failed scenario leaves is put."""
    images: Mapping[str, str] = field(
        default_factory=lambda: {one.name: one.reference for one in (OPERATOR, RUNTIME, S3)}
    )
    namespaces: tuple[str, ...] = ()
    """Namespaces to use, where none may be made."""

    def helm_command(self, namespace: str, *arguments: str) -> list[str]:
        kubectl = self.kubectl
        context = [f"--kube-context={kubectl.context}"] if kubectl.context else []
        which = [f"--kubeconfig={kubectl.kubeconfig}", *context, f"--namespace={namespace}"]
        return [self.helm, *arguments, *which]


class Provider(Protocol):
    """A way to a cluster. `kind`, `existing` and `host` are the three."""

    name: str

    def why_not(self) -> str | None:
        """What is missing here for it; None where nothing is."""

    def running(self) -> AbstractContextManager[Cluster]:
        """The cluster, with KubeRay in it and our images known to it."""
