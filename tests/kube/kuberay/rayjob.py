"""The life of a RayJob as KubeRay leads it: from what is seen to what is written. Pure.

A reconcile is `look`, then, where it says `ask`, the dashboard is asked for the job and `answered`
says what follows; where that says `submit`, the job is posted and `submitted` says the rest. Each
returns a Step: writes, and when to look again. A write of the RayJob itself brings the next look.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kube.kuberay import names, objects, times
from kube.kuberay.names import Object
from kube.kuberay.steps import Answer, Event, JobRecord, Seen, Settings, Step, Unknown, Unreachable
from kube.kuberay.validation import fault, runtime_env

NO_CLUSTER: Object = {
    "desiredCPU": "0",
    "desiredGPU": "0",
    "desiredMemory": "0",
    "desiredTPU": "0",
    "head": {},
}
TERMINAL = ("Complete", "Failed")
_OF_AN_ATTEMPT = ("jobId", "rayClusterName", "dashboardURL", "jobStatus", "message", "reason")


@dataclass(frozen=True)
class Life:
    """The rules, with what they depend on: the intervals and where suffixes come from."""

    settings: Settings = field(default_factory=Settings)
    suffix: Callable[[], str] = lambda: "xxxxx"

    def look(self, seen: Seen, now: datetime) -> Step:
        if seen.job["metadata"].get("deletionTimestamp"):
            return _leave(seen)
        if wrong := fault(seen.job):
            return _refuse(seen, wrong.reason, wrong.message)
        states: dict[str, Callable[[Seen, datetime], Step]] = {
            "": self._begin,
            "Initializing": self._initializing,
            "Running": self._running,
            "Suspending": self._give_up_cluster,
            "Retrying": self._give_up_cluster,
            "Suspended": self._suspended,
            "Complete": self._ended,
            "Failed": self._ended,
        }
        return states.get(seen.state, _nothing)(seen, now)

    def answered(self, seen: Seen, answer: Answer, now: datetime) -> Step:
        if isinstance(answer, Unreachable):
            return self._unreachable(seen, now)
        if isinstance(answer, Unknown):
            if seen.spec.get("submissionMode") != "HTTPMode":
                return Step(again=self.settings.poll)
            return Step(submit=_submission(seen))
        return self._known(seen, answer, now)

    def submitted(self, seen: Seen, accepted: bool, now: datetime) -> Step:
        if not accepted:
            return self._unreachable(seen, now)
        status = _without(seen.status, "jobStatusCheckFailureStartTime")
        return Step(status=status, again=self.settings.poll)

    def _begin(self, seen: Seen, now: datetime) -> Step:
        name = seen.job["metadata"]["name"]
        finalized = None
        if names.FINALIZER not in seen.job["metadata"].get("finalizers", ()):
            finalized = objects.as_kuberay_writes_it(seen.job)
        status = _filled(seen.status) | {
            "jobDeploymentStatus": "Initializing",
            "jobId": f"{name}-{self.suffix()}",
            "rayClusterName": f"{name}-{self.suffix()}",
            "startTime": times.written(now),
        }
        return Step(finalized=finalized, status=status)

    def _initializing(self, seen: Seen, now: datetime) -> Step:
        if seen.spec.get("suspend"):
            return Step(status=seen.status | {"jobDeploymentStatus": "Suspending"})
        if late := self._too_late(seen, now, "active", "preRunning"):
            return late
        if seen.cluster is None:
            return self._make_cluster(seen)
        cluster = seen.cluster.get("status", {})
        if cluster.get("state") != "ready":
            # Before its first status a cluster says as little as no cluster does.
            status = seen.status | {"rayClusterStatus": cluster or NO_CLUSTER}
            return Step(status=status, again=self.settings.poll)
        port = _dashboard_port(seen)
        if port is None:
            return Step(again=self.settings.poll)
        host = names.head_host(seen.cluster["metadata"]["name"], seen.place)
        running = {"jobDeploymentStatus": "Running", "dashboardURL": f"{host}:{port}"}
        return Step(status=seen.status | running)

    def _running(self, seen: Seen, now: datetime) -> Step:
        if seen.spec.get("suspend"):
            return Step(status=seen.status | {"jobDeploymentStatus": "Suspending"})
        if late := self._too_late(seen, now, "active"):
            return late
        if seen.cluster is None:
            return replace(self._make_cluster(seen), ask=True)
        service, events = _service(seen, seen.cluster)
        return Step(ensure_service=service, events=events, ask=True)

    def _make_cluster(self, seen: Seen) -> Step:
        name = seen.status["rayClusterName"]
        return Step(
            create_cluster=objects.ray_cluster(seen.job, name),
            events=(Event("CreatedRayCluster", f"Created RayCluster {seen.place}/{name}"),),
            again=self.settings.poll,
        )

    def _too_late(self, seen: Seen, now: datetime, *kinds: str) -> Step | None:
        started = seen.status["startTime"]
        for kind in kinds:
            limit = seen.spec.get(f"{kind}DeadlineSeconds")
            if limit is None or now < times.read(started) + timedelta(seconds=limit):
                continue
            what = kind[0].upper() + kind[1:]
            message = (
                f"The RayJob has passed the {kind}DeadlineSeconds. "
                f"StartTime: {times.said(started)}. {what}DeadlineSeconds: {limit}"
            )
            reason = f"{'' if kind == 'active' else what}DeadlineExceeded"
            return self._failed(seen, reason, message, now)
        return None

    def _unreachable(self, seen: Seen, now: datetime) -> Step:
        timeout = self.settings.status_check_timeout
        since = seen.status.get("jobStatusCheckFailureStartTime")
        if since is None:
            failing = {"jobStatusCheckFailureStartTime": times.written(now)}
            return Step(status=seen.status | failing, again=self.settings.poll)
        if now <= times.read(since) + timedelta(seconds=timeout):
            return Step(again=self.settings.poll)
        message = (
            f"Job status checks have been failing since {times.said(since)}; "
            f"exceeded timeout of {timeout:g}s"
        )
        return self._failed(seen, "JobStatusCheckTimeoutExceeded", message, now)

    def _known(self, seen: Seen, record: JobRecord, now: datetime) -> Step:
        status = _without(seen.status, "jobStatusCheckFailureStartTime", "jobStatus", "message")
        info = dict(status.get("rayJobInfo", {}))
        if record.start_time:
            info["startTime"] = times.of_milliseconds(record.start_time)
        if record.end_time:
            info["endTime"] = times.of_milliseconds(record.end_time)
        status["rayJobInfo"] = info
        if record.status:
            status["jobStatus"] = record.status
        if record.message:
            status["message"] = record.message
        if seen.cluster is not None and "status" in seen.cluster:
            status["rayClusterStatus"] = seen.cluster["status"]
        if record.status in ("SUCCEEDED", "STOPPED"):
            succeeded = status["succeeded"] + (record.status == "SUCCEEDED")
            end = {"jobDeploymentStatus": "Complete", "endTime": times.written(now)}
            return Step(status=status | end | {"succeeded": succeeded})
        if record.status == "FAILED":
            changed = replace(seen, job=seen.job | {"status": status})
            return self._failed(changed, "AppFailed", record.message, now)
        return Step(status=status, again=self.settings.poll)

    def _failed(self, seen: Seen, reason: str, message: str, now: datetime) -> Step:
        failed = seen.status["failed"] + 1
        told = {"reason": reason, "message": message, "failed": failed}
        if reason != "DeadlineExceeded" and failed <= seen.spec.get("backoffLimit", 0):
            return Step(status=seen.status | told | {"jobDeploymentStatus": "Retrying"})
        end = {"jobDeploymentStatus": "Failed", "endTime": times.written(now)}
        return Step(status=seen.status | told | end)

    def _give_up_cluster(self, seen: Seen, now: datetime) -> Step:
        if seen.cluster is not None:
            return self._delete_cluster(seen)
        status = _without(
            seen.status, "jobDeploymentStatus", "jobStatusCheckFailureStartTime", *_OF_AN_ATTEMPT
        )
        status |= {"rayClusterStatus": NO_CLUSTER, "rayJobInfo": {}}
        if seen.state == "Suspending":
            status["jobDeploymentStatus"] = "Suspended"
        return Step(status=status)

    def _delete_cluster(self, seen: Seen) -> Step:
        assert seen.cluster is not None
        meta = seen.cluster["metadata"]
        if meta.get("deletionTimestamp"):
            return Step(again=self.settings.poll)
        told = Event("DeletedRayCluster", f"Deleted cluster {seen.place}/{meta['name']}", "Delete")
        return Step(delete_cluster=True, events=(told,), again=self.settings.poll)

    def _suspended(self, seen: Seen, now: datetime) -> Step:
        if seen.spec.get("suspend"):
            return Step()
        return Step(status=_without(seen.status, "jobDeploymentStatus"))

    def _ended(self, seen: Seen, now: datetime) -> Step:
        if not seen.spec.get("shutdownAfterJobFinishes") or seen.cluster is None:
            return Step()
        ttl = timedelta(seconds=seen.spec.get("ttlSecondsAfterFinished", 0))
        left = (times.read(seen.status["endTime"]) + ttl - now).total_seconds()
        if left > 0:
            # KubeRay cuts the wait to whole seconds: so 1 to 2 s after the TTL.
            wait = left + self.settings.after_ttl
            return Step(again=float(int(wait)) if self.settings.after_ttl >= 1 else wait)
        return self._delete_cluster(seen)


def _nothing(seen: Seen, now: datetime) -> Step:
    return Step()


def _leave(seen: Seen) -> Step:
    """A deleted RayJob: the finalizer goes, and a job that may still run is told to stop."""
    meta = seen.job["metadata"]
    if names.FINALIZER not in meta.get("finalizers", ()):
        return Step()
    kept = [name for name in meta["finalizers"] if name != names.FINALIZER]
    freed = {**seen.job, "metadata": {**meta, "finalizers": kept}}
    return Step(finalized=freed, stop=seen.state == "Running")


def _refuse(seen: Seen, reason: str, message: str) -> Step:
    place = f"{seen.place}/{seen.job['metadata']['name']}"
    told = Event(reason, f"{place}: {message}", "Validate", "Warning")
    refused = {"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed"}
    return Step(status=_filled(seen.status) | refused | {"message": message}, events=(told,))


def _filled(status: Object) -> Object:
    """With what every status of a RayJob holds, since Go writes these fields even at zero."""
    zero: Object = {
        "failed": 0,
        "succeeded": 0,
        "rayClusterStatus": copy.deepcopy(NO_CLUSTER),
        "rayJobInfo": {},
    }
    return zero | status


def _without(status: Object, *fields: str) -> Object:
    return {name: value for name, value in status.items() if name not in fields}


def _submission(seen: Seen) -> Object:
    body: Object = {
        "entrypoint": seen.spec.get("entrypoint", ""),
        "submission_id": seen.status["jobId"],
    }
    environment = runtime_env(seen.spec.get("runtimeEnvYAML", ""))
    return body | ({"runtime_env": environment} if environment else {})


def _dashboard_port(seen: Seen) -> int | None:
    ports: list[dict[str, Any]] = (seen.cluster_service or {}).get("spec", {}).get("ports", [])
    return next((port["port"] for port in ports if port["name"] == "dashboard"), None)


def _service(seen: Seen, cluster: Object) -> tuple[Object | None, tuple[Event, ...]]:
    wanted = objects.job_service(seen.job, cluster)
    name = f"{seen.place}/{wanted['metadata']['name']}"
    if seen.job_service is None:
        return wanted, (Event("CreatedService", f"Created the service {name}"),)
    if seen.job_service["spec"]["selector"] != wanted["spec"]["selector"]:
        updated = copy.deepcopy(seen.job_service)
        updated["spec"]["selector"] = wanted["spec"]["selector"]
        return updated, (Event("UpdatedService", f"Updated the service {name}", "Update"),)
    return None, ()
