"""What is known of the world at one moment: frozen values that `decide` looks at.

`world` makes them from live objects; nothing here knows a client, a clock or a dictionary as the
API server sends it. A field that was not looked at is None, which is not the same as "there is
none"; `looked` says what was looked at, and `decide` says in `Decision.wants` what it needs to see
next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import DatasetStatus, PipelineStatus, Progress
from lancemill_operator.actions import Want


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object, and which state of it."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str = ""
    created: datetime | None = None
    deleting: bool = False
    orphaning: bool = False
    """Whether its children are to outlive it (`kubectl delete --cascade=orphan`)."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class Deployment(StrEnum):
    """KubeRay's `jobDeploymentStatus`."""

    NEW = ""
    INITIALIZING = "Initializing"
    WAITING = "Waiting"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"
    RETRYING = "Retrying"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    VALIDATION_FAILED = "ValidationFailed"


@dataclass(frozen=True, slots=True)
class RayJobView:
    """A RayJob of ours as KubeRay last described it."""

    name: str
    uid: str
    run: str
    attempt: int
    deployment: str = Deployment.NEW
    """One of Deployment, or a text that this version does not know."""
    job_status: str = ""
    """Any text: KubeRay copies what the dashboard says, whatever it is."""
    reason: str = ""
    message: str = ""
    cluster: str = ""
    """Name of its RayCluster; empty before there is one."""
    created: datetime | None = None
    ended: datetime | None = None
    """KubeRay's endTime."""
    unreachable_since: datetime | None = None
    """KubeRay's jobStatusCheckFailureStartTime."""
    head_problem: str = ""
    """HeadPodReady's reason and message where it is False."""
    replica_failure: str = ""
    """ReplicaFailure's message: quota, admission."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class PodSummary:
    """A pod of an attempt's cluster: what tells why it waits or died."""

    name: str
    cluster: str
    group: str
    """Name of the worker group; `headgroup` for the head."""
    phase: str
    ready: bool = False
    problem: str = ""
    """Why it waits or died, as `Unschedulable: 0/3 nodes …` or `ImagePullBackOff: …`; empty when
    there is nothing to say."""
    since: datetime | None = None
    """When it was created."""
    deleting: bool = False


class Verdict(StrEnum):
    """What the ledger says of a run."""

    COMMITTED = "Committed"
    """Its rows are in the dataset, or there was nothing to do."""
    NOT_COMMITTED = "NotCommitted"
    FAILED = "Failed"
    """The driver ended the run for a reason that another attempt meets again: its budget, a
    validation, a manifest that does not fit its data."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run, from its driver's last word or from its ledger: never from KubeRay."""

    run: str
    attempt: int
    """The attempt that says so. A ledger asked under attempt N+1 is closed to all up to N."""
    verdict: Verdict
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0
    dataset_version: int | None = None
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    gpu_idle_seconds: float = 0.0
    diagnosis: str = ""
    """What held it up, in its driver's words."""
    summary: tuple[Mapping[str, Any], ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProbeView:
    """A short Job of ours that looked at a store, and what it said on ending."""

    name: str
    purpose: str
    """`settle`, `dataset`: what it was made for."""
    token: str
    """The question that it answers: a run and attempt, or a dataset's state."""
    finished: bool = False
    answer: Mapping[str, Any] | None = None
    """The JSON of its termination message; None while it runs or when it said nothing."""
    problem: str = ""
    """Why it waits or gave no answer."""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that the manifest names and that is not there."""

    path: str
    """Place in the manifest: `spec.source.objects.storage.secretRef.name`."""
    kind: str
    name: str

    @property
    def told(self) -> str:
        """For the user, with its place and the remedy."""
        return (
            f"{self.path}  there is no {self.kind} '{self.name}' in this namespace; create it, "
            "or name another"
        )


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A LanceDataset that a pipeline writes to or waits for."""

    name: str
    exists: bool
    ready: bool = False
    problem: str = ""
    """Why it is not ready."""
    stalled: bool = False
    """Whether it will not become ready by itself."""
    version: int | None = None
    spec: LanceDataset | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What nodes could bear at most: the largest allocatable of each resource, and which."""

    nodes: int
    unfit: Mapping[str, str] = field(default_factory=dict)
    """For each worker group (or `head`) that no node or quota could ever fit: why, in words."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A run's specification as its ConfigMap holds it."""

    pipeline: MultimodalPipeline
    datasets: tuple[LanceDataset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """Everything known of one MultimodalPipeline."""

    identity: Identity
    pipeline: MultimodalPipeline | None
    """None where the models refuse what the API server has accepted."""
    document: Mapping[str, Any]
    """The object as it is: what is frozen into a run's ConfigMap."""
    mistakes: tuple[str, ...] = ()
    """What is wrong with it, each with its place."""
    status: PipelineStatus
    """What we said last."""
    rayjobs: tuple[RayJobView, ...] = ()
    """All of this pipeline, by owner."""
    datasets: Mapping[str, DatasetView] = field(default_factory=dict)
    """By name: the sink's and the triggers'."""
    looked: frozenset[Want] = frozenset()
    """What of the following was looked at, whether or not there was anything."""
    missing: tuple[Missing, ...] | None = None
    capacity: Capacity | None = None
    pods: tuple[PodSummary, ...] | None = None
    """Pods of every cluster of this pipeline's attempts, also of those given up: by our own label
    PIPELINE_UID on them."""
    clusters: tuple[str, ...] | None = None
    """RayClusters of this pipeline that are still there; looked at together with the pods, since a
    cluster that is going may still make one."""
    frozen: Frozen | None = None
    """What the present run was started with."""
    progress: Progress | None = None
    """What the present attempt's head said last."""
    last_word: Outcome | None = None
    """The driver's result, where its head gave it before it ended."""
    probes: tuple[ProbeView, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """Everything known of one LanceDataset."""

    identity: Identity
    dataset: LanceDataset | None
    """None where the models refuse what the API server has accepted."""
    document: Mapping[str, Any]
    """The object as it is: what is frozen into the ConfigMap that its probes read."""
    mistakes: tuple[str, ...] = ()
    status: DatasetStatus
    looked: frozenset[Want] = frozenset()
    missing: tuple[Missing, ...] | None = None
    probes: tuple[ProbeView, ...] | None = None
    committed: Mapping[str, int] = field(default_factory=dict)
    """Latest version that each pipeline says it committed here, by the pipeline's name."""
