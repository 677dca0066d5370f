"""What a run's pods ask of a node, for the question whether any node could ever fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lancemill_api.cluster import Placed, Resources
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.quantities import quantity
from lancemill_api.scheduling import Toleration
from lancemill_operator.manifests import groups
from lancemill_operator.manifests.defaults import Defaults

HEAD = "head"
_WAITING = {"cpu": 0.2, "memory": 256 * 2.0**20}
"""What KubeRay's init container asks for; a pod asks for the larger of the two."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A pod as a node sees it."""

    resources: Mapping[str, float]
    """Cores, bytes and GPUs, by Kubernetes' names: `cpu`, `memory`, `nvidia.com/gpu`."""
    least: int
    """How many of them a run starts with."""
    most: int
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    path: str = ""
    """Place in the manifest: `spec.cluster.workerGroups[1].resources`."""


def demands(pipeline: MultimodalPipeline, defaults: Defaults) -> dict[str, Demand]:
    """The pods of a run, by the name of their group; `head` for the head."""
    cluster, queue = pipeline.spec.cluster, pipeline.spec.run.queue_name
    workers = groups.worker_groups(cluster)
    autoscaled = groups.is_autoscaled(workers, queue)
    head = groups.head_of(cluster, defaults)
    asked = largest_pod(head.resources, defaults)
    if autoscaled:
        beside = largest_pod(defaults.autoscaler, defaults)
        asked = {name: amount + beside.get(name, 0.0) for name, amount in asked.items()}
    made = {HEAD: _demand(head, asked, 1, 1, "spec.cluster.head.resources")}
    for at, group in enumerate(workers):
        asked = largest_pod(group.resources, defaults)
        asked = {name: max(amount, _WAITING.get(name, 0.0)) for name, amount in asked.items()}
        least = group.min_replicas if autoscaled else group.max_replicas
        path = f"spec.cluster.workerGroups[{at}].resources"
        made[group.name] = _demand(group, asked, least, group.max_replicas, path)
    return made


def largest_pod(asked: Resources, defaults: Defaults) -> dict[str, float]:
    """What a container asks for, as numbers."""
    made = {"cpu": quantity(asked.cpu), "memory": quantity(asked.memory)}
    return made | ({defaults.gpu_resource: float(asked.gpu)} if asked.gpu else {})


def _demand(placed: Placed, asked: Mapping[str, float], least: int, most: int, path: str) -> Demand:
    return Demand(asked, least, most, placed.node_selector, placed.tolerations, path)
