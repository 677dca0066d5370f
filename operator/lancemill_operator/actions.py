"""What `decide` may ask for: each safe to do twice, since a crash may come after any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from lancemill_api.status import DatasetStatus, PipelineStatus

Body = Mapping[str, Any]
StatusT = TypeVar("StatusT", PipelineStatus, DatasetStatus)


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object that never changes afterwards (a RayJob, a Job, a frozen ConfigMap).

    A plain create under a deterministic name: where the name is taken by the same owner it is
    done, and an object that exists is never touched.
    """

    body: Body


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring an object to this form by server-side apply (ServiceAccount, NetworkPolicy)."""

    body: Body


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete this very object; gone already is done."""

    api_version: str
    kind: str
    name: str
    uid: str = ""
    """Precondition; empty where the name alone tells it (a name that holds a run's id)."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell of a transition by a Kubernetes Event, once for each `token`."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str
    token: str
    """Tells this transition from others of the same reason; part of the Event's name."""


Action = Create | Apply | Delete | Emit


class Want(StrEnum):
    """What `decide` needs to see before it can go on, and what costs an API call to read."""

    PREFLIGHT = "preflight"
    """Whether what the manifest names is there, and whether nodes could fit it."""
    PODS = "pods"
    """Pods and RayClusters of all attempts."""
    FROZEN = "frozen"
    """What the present run was started with."""
    PROBES = "probes"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Decision(Generic[StatusT]):
    """What is true now, what is to be done about it, and when to look again."""

    status: StatusT
    """Written before the actions, where it differs from what was written last."""
    before: tuple[Action, ...] = ()
    """Done before the status is written: removals of what the new status no longer remembers."""
    actions: tuple[Action, ...] = ()
    """Done after the status was written: what it says is about to be done."""
    wants: frozenset[Want] = frozenset()
    """Where not empty, the rest is void: read these and decide anew, at the same moment."""
    look_again: timedelta | None = None
    """At the latest then; None where only an event can change anything."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the log line of this reconcile says beside namespace and name: run, attempt."""
