"""The rules of the stand-in for KubeRay, without a cluster: states, deadlines, retries, pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kube.kuberay import quantities, raycluster
from kube.kuberay.dashboard import read
from kube.kuberay.names import FINALIZER
from kube.kuberay.raycluster import CreatePod, DeletePod
from kube.kuberay.rayjob import Life
from kube.kuberay.steps import JobRecord, Seen, Settings, Unknown, Unreachable
from kube.kuberay.times import written
from kube.kuberay.validation import fault

Object = dict[str, Any]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIFE = Life(Settings(), lambda: "abcde")


def group(name: str, **fields: Any) -> Object:
    container = {"name": "ray", "image": "ray:1", "resources": {"limits": {"cpu": "1"}}}
    template = {"spec": {"containers": [container]}}
    return {"groupName": name, "replicas": 1, "maxReplicas": 5, "template": template, **fields}


def job(state: str = "", status: Object | None = None, **spec: Any) -> Object:
    cluster = {"headGroupSpec": group("head"), "workerGroupSpecs": [group("cpu")]}
    known = {
        "jobDeploymentStatus": state,
        "jobId": "job-j",
        "rayClusterName": "job-c",
        "startTime": written(NOW),
        "failed": 0,
        "succeeded": 0,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "job", "namespace": "n", "uid": "u", "finalizers": [FINALIZER]},
        "spec": {
            "submissionMode": "HTTPMode",
            "entrypoint": "run",
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": cluster,
            **spec,
        },
        "status": {**known, **(status or {})} if state else {},
    }


def cluster(**spec: Any) -> Object:
    return {
        "kind": "RayCluster",
        "metadata": {"name": "job-c", "namespace": "n", "uid": "c", "generation": 1},
        "spec": {"headGroupSpec": group("head"), "workerGroupSpecs": [group("cpu")], **spec},
        "status": {"state": "ready"},
    }


def pod(name: str, group_name: str = "cpu", index: int = 0, **status: Any) -> Object:
    kind = "head" if group_name == "headgroup" else "worker"
    return {
        "metadata": {
            "name": name,
            "labels": {
                "ray.io/group": group_name,
                "ray.io/node-type": kind,
                "ray.io/worker-group-replica-index": str(index),
            },
        },
        "spec": {"containers": [{"name": "ray"}], "restartPolicy": "Never"},
        "status": {"phase": "Running", **status},
    }


def state_after(found: Any) -> str:
    return str((found.status or {}).get("jobDeploymentStatus", ""))


def test_a_new_rayjob_gets_its_names_before_anything_is_made() -> None:
    found = LIFE.look(Seen(job()), NOW)
    assert found.status is not None
    assert found.status["jobId"] == found.status["rayClusterName"] == "job-abcde"
    assert found.create_cluster is None


def test_a_cluster_that_is_not_ready_keeps_the_rayjob_initializing() -> None:
    waiting = cluster() | {"status": {}}
    found = LIFE.look(Seen(job("Initializing"), waiting), NOW)
    assert state_after(found) == "Initializing"
    assert found.again == 3.0


@pytest.mark.parametrize(("after", "late"), [(9, False), (10, True)])
def test_a_deadline_counts_from_the_start_of_the_attempt(after: int, late: bool) -> None:
    seen = Seen(job("Running", activeDeadlineSeconds=10), cluster())
    found = LIFE.look(seen, NOW + timedelta(seconds=after))
    assert found.ask is not late
    assert (state_after(found) == "Failed") is late


def test_a_failed_job_is_tried_again_up_to_the_backoff_limit() -> None:
    seen = Seen(job("Running", backoffLimit=1), cluster())
    first = LIFE.answered(seen, JobRecord("FAILED", "bad row"), NOW)
    assert first.status is not None
    assert (first.status["jobDeploymentStatus"], first.status["failed"]) == ("Retrying", 1)
    seen = Seen(job("Running", {"failed": 1}, backoffLimit=1), cluster())
    assert state_after(LIFE.answered(seen, JobRecord("FAILED"), NOW)) == "Failed"


def test_a_job_that_the_dashboard_does_not_know_is_submitted() -> None:
    seen = Seen(job("Running", runtimeEnvYAML="env_vars: {A: '1'}"), cluster())
    assert LIFE.answered(seen, Unknown(), NOW).submit == {
        "entrypoint": "run",
        "submission_id": "job-j",
        "runtime_env": {"env_vars": {"A": "1"}},
    }


def test_a_dashboard_that_stays_away_fails_the_rayjob_after_its_time() -> None:
    seen = Seen(job("Running"), cluster())
    began = LIFE.answered(seen, Unreachable(), NOW)
    assert began.status is not None
    since = began.status["jobStatusCheckFailureStartTime"]
    seen = Seen(job("Running", {"jobStatusCheckFailureStartTime": since}), cluster())
    assert LIFE.answered(seen, Unreachable(), NOW + timedelta(seconds=299)).status is None
    late = LIFE.answered(seen, Unreachable(), NOW + timedelta(seconds=301))
    assert late.status is not None
    assert late.status["reason"] == "JobStatusCheckTimeoutExceeded"


def test_a_cluster_goes_after_the_ttl_and_no_sooner() -> None:
    ended = job("Complete", {"endTime": written(NOW)}, ttlSecondsAfterFinished=5)
    seen = Seen(ended, cluster())
    before = LIFE.look(seen, NOW + timedelta(seconds=3))
    assert (before.delete_cluster, before.again) == (False, 4.0)
    assert LIFE.look(seen, NOW + timedelta(seconds=6)).delete_cluster


def test_only_a_rayjob_that_runs_is_told_to_stop_on_its_deletion() -> None:
    for state, stops in (("Initializing", False), ("Running", True), ("Complete", False)):
        leaving = job(state)
        leaving["metadata"]["deletionTimestamp"] = written(NOW)
        found = LIFE.look(Seen(leaving, cluster()), NOW)
        assert found.stop is stops, state
        assert found.finalized is not None
        assert found.finalized["metadata"]["finalizers"] == []


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"suspend": True, "shutdownAfterJobFinishes": False}, "not allowed to be suspended"),
        ({"backoffLimit": -1}, "backoffLimit must be a positive integer"),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds must be"),
        ({"runtimeEnvYAML": "a: ["}, "failed to unmarshal RuntimeEnvYAML: a: ["),
    ],
)
def test_what_kuberay_refuses_is_refused_in_its_words(spec: Object, complaint: str) -> None:
    found = fault(job(**spec))
    assert found is not None
    assert complaint in found.message
    assert state_after(LIFE.look(Seen(job(**spec)), NOW)) == "ValidationFailed"


def test_any_json_object_is_a_job_record_and_any_other_answer_is_none() -> None:
    assert read('{"status": "Failure", "message": "m"}') == JobRecord("Failure", "m")
    assert read("{}") == JobRecord()
    assert read("500 Internal Server Error") == Unreachable()
    assert read("[]") == Unreachable()
    assert read('{"status": 3}') == Unreachable()


def test_missing_workers_take_the_lowest_free_index() -> None:
    wanted = cluster(workerGroupSpecs=[group("cpu", replicas=3)])
    actions = raycluster.needed(wanted, [pod("h", "headgroup"), pod("a", index=1)])
    made = [one.pod["metadata"]["labels"] for one in actions if isinstance(one, CreatePod)]
    assert [labels["ray.io/worker-group-replica-index"] for labels in made] == ["0", "2"]


def test_the_autoscaler_says_which_worker_goes_and_no_other_does() -> None:
    scaled = group("cpu", replicas=0, scaleStrategy={"workersToDelete": ["b"]})
    wanted = cluster(enableInTreeAutoscaling=True, workerGroupSpecs=[scaled])
    found = [pod("h", "headgroup"), pod("a"), pod("b", index=1)]
    actions = raycluster.needed(wanted, found)
    assert [one.name for one in actions if isinstance(one, DeletePod)] == ["b"]


def test_a_pod_that_ended_for_good_is_replaced() -> None:
    found = [pod("h", "headgroup", phase="Failed"), pod("a")]
    actions = raycluster.needed(cluster(), found)
    assert [one.name for one in actions if isinstance(one, DeletePod)] == ["h"]
    assert not [one for one in actions if isinstance(one, CreatePod)]


def test_a_pod_that_is_already_stopping_is_not_deleted_again() -> None:
    stopping = pod("a")
    stopping["metadata"]["deletionTimestamp"] = written(NOW)
    wanted = cluster(workerGroupSpecs=[group("cpu", replicas=0)])
    assert raycluster.needed(wanted, [pod("h", "headgroup"), stopping]) == []


def test_a_status_that_says_the_same_is_not_written_again() -> None:
    found = [pod("h", "headgroup"), pod("a")]
    fresh = cluster() | {"status": {}}
    first = raycluster.status(fresh, found, None, NOW)
    assert first is not None
    again = raycluster.status(fresh | {"status": first}, found, None, NOW + timedelta(seconds=9))
    assert again is None


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        (["2Gi", "2Gi"], "4Gi"),
        (["500m", "1"], "1500m"),
        (["1", "1"], "2"),
        ([], "0"),
        (["1.5Gi"], "1536Mi"),
    ],
)
def test_quantities_are_summed_as_kubernetes_writes_them(amounts: list[str], total: str) -> None:
    assert quantities.total(amounts) == total
