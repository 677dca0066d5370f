"""A cluster that somebody has: a kubeconfig and a context, both named on purpose.

Scenarios kill pods and operators. So the current context is never enough: E2E_CONTEXT must name it,
and what is not named there is not touched. KubeRay must be installed, and the images must be where
the cluster's nodes can pull them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.cache import CACHE, Unavailable
from e2e.cluster import Ability, Cluster
from e2e.image.images import IMAGES
from e2e.kubectl import Kubectl
from e2e.providers.addresses import forwarding

CONTEXT = "E2E_CONTEXT"
NAMESPACES = "E2E_NAMESPACES"
REGISTRY = "E2E_REGISTRY"
"""Where the images lie, without a slash at the end."""
ABILITIES = "E2E_CAN"
"""Words of `Ability` with commas between; to drain a node, for one, is for its owner to allow."""
ABILITY_WORDS: tuple[Ability, ...] = (
    *("autoscaler", "drain", "gpus", "network-policies", "pod-addresses"),
)


class Existing:
    name = "existing"

    def why_not(self) -> str | None:
        if CONTEXT not in os.environ:
            return f"{CONTEXT} does not name a context of your kubeconfig"
        lacking = [one for one in ("kubectl", "helm") if shutil.which(one) is None]
        return f"no {', '.join(lacking)} on PATH" if lacking else None

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        kubectl = named(os.environ)
        _must_have_kuberay(kubectl)
        logs = CACHE / "logs" / time.strftime("%Y%m%d-%H%M%S")
        yield Cluster(
            "existing",
            kubectl,
            shutil.which("helm") or "helm",
            "the KubeRay that is installed there",
            forwarding(kubectl),
            abilities(os.environ.get(ABILITIES, "")),
            logs,
            images(os.environ.get(REGISTRY)),
            tuple(os.environ.get(NAMESPACES, "").replace(",", " ").split()),
        )


def named(environment: Mapping[str, str]) -> Kubectl:
    """kubectl for the context that was named, which the kubeconfig must have."""
    kubeconfig = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    context = environment[CONTEXT]
    kubectl = Kubectl(shutil.which("kubectl") or "kubectl", kubeconfig, context)
    known = kubectl("config", "get-contexts", "-o", "name").split()
    if context not in known:
        raise Unavailable(f"{CONTEXT}={context}: {kubeconfig} knows {', '.join(known) or 'none'}")
    return kubectl


def abilities(words: str) -> frozenset[Ability]:
    """Raises Unavailable at a word that means nothing."""
    asked = {one for one in words.replace(",", " ").split() if one}
    unknown = asked - set(ABILITY_WORDS)
    if unknown:
        raise Unavailable(f"{ABILITIES}: {', '.join(sorted(unknown))} is none of {ABILITY_WORDS}")
    return frozenset(one for one in ABILITY_WORDS if one in asked)


def images(registry: str | None) -> dict[str, str]:
    prefix = f"{registry}/" if registry else ""
    return {one.name: f"{prefix}{one.reference}" for one in IMAGES}


def _must_have_kuberay(kubectl: Kubectl) -> None:
    if not kubectl("get", "crd", "rayjobs.ray.io", "--ignore-not-found", "-o", "name").strip():
        raise Unavailable(f"context {kubectl.context} has no KubeRay (rayjobs.ray.io)")
