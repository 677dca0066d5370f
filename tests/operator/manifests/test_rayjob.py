"""What a run's RayJob says, on the example that names every field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lancemill_api.manifest import load
from lancemill_api.prices import Prices
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import Defaults, demands, rayjob

HERE = Path(__file__).parent
RUN = "ab12cd34ef"
GOLDEN = HERE / "everything.rayjob.yaml"


def built(text: str | Path, *, remaining: float = 21600, **changed: Any) -> dict[str, Any]:
    """The RayJob of the second attempt, as the API server gets it."""
    manifest = load(text)
    (pipeline,) = manifest.pipelines
    body = rayjob(
        Identity("vision", pipeline.name, "6a0cd5a9-6b39-4e05-9a06-3a3a4c0a1d3e", 3),
        pipeline,
        manifest.datasets,
        run=RUN,
        attempt=2,
        remaining=remaining,
        defaults=Defaults(**changed),
    )
    made: dict[str, Any] = json.loads(json.dumps(body))
    return made


def pipeline(**spec: Any) -> str:
    """The least pipeline, with more in its spec."""
    return json.dumps(
        {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "MultimodalPipeline",
            "metadata": {"name": "cats"},
            "spec": {
                "source": {"table": {"format": "csv", "uri": "s3://a/b.csv"}},
                "sink": {"jsonl": {"uri": "s3://a/b.jsonl"}},
                **spec,
            },
        }
    )


def group(name: str = "cpu", **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def head_pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    return found


def workers(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return found


def test_the_example_gives_the_rayjob_that_is_written_beside_it() -> None:
    job = built(HERE / "everything.yaml")
    assert job == yaml.safe_load(GOLDEN.read_text()), f"to write it anew: python {__file__}"


def test_a_run_is_submitted_once_and_kuberay_never_retries_it() -> None:
    spec = built(pipeline())["spec"]
    assert spec["submissionMode"] == "HTTPMode"
    assert spec["backoffLimit"] == 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert "suspend" not in spec, "Kueue's to set"
    assert spec["entrypoint"] == (
        "lancemill run /etc/lancemill/run/manifest.yaml --pipeline cats "
        f"--run-id {RUN} --epoch 2 --engine ray"
    )


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        ({}, 600),
        ({"ttlAfterFinished": "2m"}, 120),
        ({"ttlAfterFinished": "2m", "keepClusterOnFailure": "1h"}, 3600),
        ({"ttlAfterFinished": "0s"}, 0),
    ],
)
def test_the_cluster_stays_as_long_as_the_longer_of_both_times(
    run: dict[str, str], seconds: int
) -> None:
    assert built(pipeline(run=run))["spec"]["ttlSecondsAfterFinished"] == seconds


@pytest.mark.parametrize(
    ("remaining", "seconds"), [(0.2, 1), (-5.0, 1), (59.1, 60), (1e15, 2**31 - 1)]
)
def test_an_attempt_has_at_least_a_second_and_no_more_than_kubernetes_can_count(
    remaining: float, seconds: int
) -> None:
    job = built(pipeline(), remaining=remaining)
    assert job["spec"]["activeDeadlineSeconds"] == seconds
    (container,) = head_pod(job)["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["LANCEMILL_DEADLINE_SECONDS"] == str(seconds)


def test_a_driver_is_told_of_prices_where_there_are_any() -> None:
    def told(**changed: Any) -> str | None:
        (container,) = head_pod(built(pipeline(), **changed))["containers"]
        return {one["name"]: one["value"] for one in container["env"]}.get("LANCEMILL_PRICES")

    prices = Prices(gpu_hour=2.5, currency="EUR")
    assert Prices.of_text(told(prices=prices) or "") == prices
    assert told() is None


def test_without_a_cluster_there_is_one_worker_and_no_autoscaler() -> None:
    cluster = built(pipeline())["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"] is False
    assert "autoscalerOptions" not in cluster
    (only,) = cluster["workerGroupSpecs"]
    assert (only["groupName"], only["replicas"]) == ("workers", 1)
    assert "idleTimeoutSeconds" not in only, "KubeRay refuses it without its autoscaler"
    assert not any("projected" in one for one in head_pod(built(pipeline()))["volumes"])


def test_groups_that_can_grow_start_at_their_least_and_grow_by_the_autoscaler() -> None:
    job = built(HERE / "everything.yaml")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    cpu, gpu = workers(job)
    assert (cpu["replicas"], cpu["minReplicas"], cpu["maxReplicas"]) == (1, 1, 10)
    assert (gpu["replicas"], gpu["minReplicas"], gpu["maxReplicas"]) == (0, 0, 2)
    assert (cpu["idleTimeoutSeconds"], gpu["idleTimeoutSeconds"]) == (60, 90)


def test_in_a_queue_a_run_has_all_its_workers_from_the_start() -> None:
    groups = [group("cpu", minReplicas=1, maxReplicas=4), group("gpu", maxReplicas=2)]
    job = built(pipeline(run={"queueName": "vision"}, cluster={"workerGroups": groups}))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "vision"
    assert job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"] is False
    assert [one["replicas"] for one in workers(job)] == [4, 2]
    labels = json.dumps(job["spec"])
    assert "kueue" not in labels, "on the cluster too, the quota would be counted twice"


def test_gpus_and_memory_are_limits_and_cpu_is_only_asked_for() -> None:
    _, gpu = workers(built(HERE / "everything.yaml"))
    (container,) = gpu["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
    }
    _, limited = workers(built(HERE / "everything.yaml", cpu_limits=True))
    (container,) = limited["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["cpu"] == "4"


@pytest.mark.parametrize(("cpu", "counted"), [("4", "4"), ("500m", "1"), (0, "1"), ("1500m", "2")])
def test_ray_is_told_how_many_cpus_a_worker_has(cpu: Any, counted: str) -> None:
    groups = [group(resources={"cpu": cpu})]
    (only,) = workers(built(pipeline(cluster={"workerGroups": groups})))
    assert only["rayStartParams"]["num-cpus"] == counted


def test_the_head_does_no_work_and_names_its_dashboard() -> None:
    job = built(pipeline())
    assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (container,) = head_pod(job)["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports["dashboard"] == 8265
    assert ports["lancemill"] == 8787
    assert ports["metrics"] == 8080


def test_an_older_ray_is_looked_at_in_kuberays_own_way() -> None:
    cluster = {"rayVersion": "2.52.1", "workerGroups": [group()]}
    (container,) = head_pod(built(pipeline(cluster=cluster)))["containers"]
    assert "readinessProbe" not in container


def test_nothing_of_the_pipelines_own_labels_and_annotations_is_copied() -> None:
    job = built(HERE / "everything.yaml")
    assert "annotations" not in job["metadata"]
    assert set(job["metadata"]["labels"]) == {
        "app.kubernetes.io/managed-by",
        "lancemill.dev/pipeline",
        "lancemill.dev/pipeline-uid",
        "lancemill.dev/run",
        "lancemill.dev/attempt",
    }


def test_pods_can_be_found_by_pipeline_run_attempt_and_group() -> None:
    job = built(HERE / "everything.yaml")
    cpu, _ = workers(job)
    labels = cpu["template"]["metadata"]["labels"]
    assert labels.items() >= job["metadata"]["labels"].items()
    assert labels["lancemill.dev/group"] == "cpu"
    assert cpu["labels"] == {"lancemill.dev/group": "cpu"}


def test_every_stores_secret_is_mounted_everywhere_for_reading() -> None:
    job = built(HERE / "everything.yaml")
    pods = [head_pod(job), *(one["template"]["spec"] for one in workers(job))]
    for pod in pods:
        (container,) = pod["containers"]
        mounted = {
            one["mountPath"]: one["readOnly"]
            for one in container["volumeMounts"]
            if one["mountPath"].startswith("/var/run/lancemill/secrets/")
        }
        assert mounted == {
            "/var/run/lancemill/secrets/lake.writer": True,
            "/var/run/lancemill/secrets/models-reader": True,
            "/var/run/lancemill/secrets/photos-reader": True,
        }


def test_the_image_of_the_settings_comes_with_its_own_pull_policy() -> None:
    changed = {"image": "mirror.example/lancemill:1", "image_pull_policy": "Always"}
    (container,) = head_pod(built(pipeline(), **changed))["containers"]
    assert container["image"] == "mirror.example/lancemill:1"
    assert container["imagePullPolicy"] == "Always"
    (own,) = head_pod(built(pipeline(runtime={"image": "a/b"}), **changed))["containers"]
    assert own["image"] == "a/b"
    assert "imagePullPolicy" not in own


def test_a_home_of_the_users_own_is_kept() -> None:
    runtime = {"env": [{"name": "HOME", "value": "/scratch"}]}
    (container,) = head_pod(built(pipeline(runtime=runtime)))["containers"]
    assert [one for one in container["env"] if one["name"] == "HOME"] == runtime["env"]


def test_what_nodes_must_fit_is_the_pod_as_kuberay_makes_it() -> None:
    (pipeline,) = load(HERE / "everything.yaml").pipelines
    found = demands(pipeline, Defaults())
    gi = 2.0**30
    assert found["head"].resources == {"cpu": 0.7, "memory": 2.5 * gi}
    assert found["cpu"].resources == {"cpu": 4.0, "memory": 8 * gi}
    assert found["gpu"].resources == {"cpu": 4.0, "memory": 16 * gi, "nvidia.com/gpu": 1.0}
    assert (found["gpu"].least, found["gpu"].most) == (0, 2)
    assert found["gpu"].node_selector == {"accelerator": "a100"}
    assert found["gpu"].path == "spec.cluster.workerGroups[1].resources"


if __name__ == "__main__":
    GOLDEN.write_text(
        "# Made of everything.yaml by `python tests/operator/manifests/test_rayjob.py`.\n"
        + yaml.safe_dump(built(HERE / "everything.yaml"), sort_keys=False, width=100)
    )
