"""What the rules of `rayjob` are given and what they say: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from kube.kuberay.names import Object


@dataclass(frozen=True)
class Settings:
    """KubeRay's intervals in seconds. Shorter ones make tests and the demo quick."""

    poll: float = 3.0
    status_check_timeout: float = 300.0
    after_ttl: float = 2.0


@dataclass(frozen=True)
class Event:
    """What is told about an object."""

    reason: str
    message: str
    action: str = "Create"
    type: str = "Normal"


@dataclass(frozen=True)
class Seen:
    """A RayJob, and what belongs to it as far as there is some."""

    job: Object
    cluster: Object | None = None
    cluster_service: Object | None = None
    job_service: Object | None = None

    @property
    def spec(self) -> Object:
        found: Object = self.job["spec"]
        return found

    @property
    def status(self) -> Object:
        found: Object = self.job.get("status", {})
        return found

    @property
    def state(self) -> str:
        return str(self.status.get("jobDeploymentStatus", ""))

    @property
    def place(self) -> str:
        return str(self.job["metadata"]["namespace"])


@dataclass(frozen=True)
class JobRecord:
    """What a dashboard says of a job. It may say anything."""

    status: str = ""
    message: str = ""
    start_time: int = 0
    end_time: int = 0


@dataclass(frozen=True)
class Unknown:
    """The dashboard knows no such job (404)."""


@dataclass(frozen=True)
class Unreachable:
    """No answer, or none that could be read."""


Answer = JobRecord | Unknown | Unreachable


@dataclass(frozen=True)
class Step:
    """What to do now. `status` None leaves the RayJob as it is."""

    status: Object | None = None
    finalized: Object | None = None
    create_cluster: Object | None = None
    delete_cluster: bool = False
    ensure_service: Object | None = None
    ask: bool = False
    submit: Object | None = None
    stop: bool = False
    events: tuple[Event, ...] = ()
    again: float | None = None
