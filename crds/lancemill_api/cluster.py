"""The Ray cluster that a run gets. Read in a cluster only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.quantities import Duration, Quantity
from lancemill_api.rules import NotAbove, Unique
from lancemill_api.scalars import Name

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
    ),
    Expected("a label's key, such as example.com/zone"),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=r"^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63),
    Expected("a label's value: letters, digits, -, _ and ., at most 63; numbers in quotes"),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]


class Resources(Model):
    """What a pod gets."""

    cpu: Quantity = "1"
    """CPU cores, such as 4 or "500m". Default: 1."""
    memory: Quantity = "4Gi"
    """Memory in bytes, such as 8Gi. Default: 4Gi."""
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs. Default: 0."""


class Head(Model):
    """The pod that drives the run; it does none of its work."""

    resources: Resources = Resources()
    """What it gets."""


class Toleration(Model):
    """A taint of nodes that workers may be placed on nevertheless."""

    key: LabelKey | None = None
    """Key of the taint. Default: any, with operator Exists."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Exists (any value) or Equal. Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint (operator Equal). Default: empty."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """NoSchedule, PreferNoSchedule or NoExecute. Default: all of them."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Seconds that NoExecute is borne for. Default: for ever."""


class WorkerGroup(Model):
    """Workers of one kind."""

    must_hold = (NotAbove("minReplicas", "maxReplicas"),)

    name: Name
    """Name of the group, unique in the cluster; placement.group refers to it."""
    resources: Resources = Resources()
    """What each worker gets."""
    min_replicas: Annotated[int, Field(ge=0, le=10000)] = 0
    """Fewest workers. Default: 0."""
    max_replicas: Annotated[int, Field(ge=1, le=10000)] = 1
    """Most workers. Default: 1."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a worker's node must have. Default: none."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that workers bear. Default: none."""
    idle_timeout: Duration = "60s"
    """Time without work after which a worker above minReplicas goes. Default: 60s."""
    labels: Labels = Field(default_factory=dict)
    """Labels that the workers' pods get. Default: none."""


class Cluster(Model):
    """The Ray cluster that a run gets: a head and any number of groups of workers."""

    must_hold = (Unique("workerGroups"),)

    ray_version: (
        Annotated[
            str,
            StringConstraints(pattern=r"^2\.[0-9]{1,4}\.[0-9]{1,4}$", max_length=16),
            Expected("a version of Ray in quotes, such as 2.52.0"),
        ]
        | None
    ) = None
    """Version of Ray in the image, such as 2.52.0. Default: the one that the operator's runtime
    image holds."""
    head: Head = Head()
    """The pod that drives the run."""
    worker_groups: Annotated[tuple[WorkerGroup, ...], Field(min_length=1, max_length=16)]
    """Groups of workers, 1 to 16 (Kueue bears 16 beside the head)."""
