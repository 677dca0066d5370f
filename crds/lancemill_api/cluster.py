"""The Ray cluster that a run gets. Read in a cluster only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.pod_rules import MountsNameVolumes, NoGpuOnHead, NoOwnedKeys, NotReserved
from lancemill_api.quantities import Duration, Quantity
from lancemill_api.rules import NotAbove, Rule, Unique
from lancemill_api.scalars import Name, ObjectName
from lancemill_api.scheduling import Affinity, LabelKey, Labels, Toleration, TopologySpread
from lancemill_api.volumes import Volume, VolumeMount

Annotations = Annotated[
    dict[LabelKey, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=64)
]


class Resources(Model):
    """What a pod gets."""

    cpu: Quantity = "1"
    """CPU cores, such as 4 or "500m". Default: 1."""
    memory: Quantity = "4Gi"
    """Memory in bytes, such as 8Gi. Default: 4Gi."""
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs. Default: 0."""


class Placed(Model):
    """What head and workers share: where their pods are placed and what they are given."""

    node_selector: Labels = Field(default_factory=dict)
    """Labels that the pod's node must have. Default: none."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the pod bears. Default: none."""
    affinity: Affinity | None = None
    """Nodes and pods that it is drawn to or kept from. Default: none."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pod. Default: the cluster's."""
    labels: Labels = Field(default_factory=dict)
    """Labels that the pod gets. Default: none."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations that the pod gets. Default: none."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16)] = ()
    """Volumes that volumeMounts refer to. Default: none."""
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=32)] = ()
    """Where they are mounted. Default: nowhere."""


_PLACED: tuple[Rule, ...] = (
    NoOwnedKeys("labels"),
    NoOwnedKeys("annotations"),
    Unique("volumes"),
    Unique("volumeMounts", "mountPath"),
    MountsNameVolumes(),
)


class _Sized(Model):
    """Stands behind `Placed` in the bases, so that its field comes first."""

    resources: Resources = Resources()
    """What the pod gets."""


class Head(Placed, _Sized):
    """The pod that drives the run; it does none of its work."""

    must_hold = (NoGpuOnHead(), *_PLACED)


class _Workers(Model):
    """Stands behind `Placed` in the bases, so that its fields come first."""

    name: Name
    """Name of the group, unique in the cluster; placement.group refers to it."""
    resources: Resources = Resources()
    """What each worker gets."""
    min_replicas: Annotated[int, Field(ge=0, le=10000)] = 0
    """Fewest workers. Default: 0."""
    max_replicas: Annotated[int, Field(ge=1, le=10000)] = 1
    """Most workers. Default: 1."""
    idle_timeout: Duration = "60s"
    """Time without work after which a worker above minReplicas goes. Default: 60s."""


class WorkerGroup(Placed, _Workers):
    """Workers of one kind."""

    must_hold = (
        NotAbove("minReplicas", "maxReplicas"),
        NotReserved("name", ("head", "headgroup")),
        *_PLACED,
    )

    topology_spread_constraints: Annotated[tuple[TopologySpread, ...], Field(max_length=8)] = ()
    """How evenly the workers are spread. Default: as the cluster does."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pods, such as nvidia. Default: the cluster's."""


class Cluster(Model):
    """The Ray cluster that a run gets: a head and any number of groups of workers."""

    must_hold = (Unique("workerGroups"),)

    ray_version: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^2\.(?:5[2-9]|[6-9][0-9]|[1-9][0-9]{2})\.[0-9]{1,4}$", max_length=16
            ),
            Expected("a version of Ray from 2.52.0 on, in quotes (older ones have no tokens)"),
        ]
        | None
    ) = None
    """Version of Ray in the image, such as 2.52.0. Default: the one that the operator's runtime
    image holds."""
    head: Head = Head()
    """The pod that drives the run."""
    worker_groups: Annotated[tuple[WorkerGroup, ...], Field(min_length=1, max_length=16)]
    """Groups of workers, 1 to 16 (Kueue bears 16 beside the head)."""
