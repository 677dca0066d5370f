"""A real API server takes what the builders make, and Pod Security admits the pods of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from api.manifests import documents
from kube.control_plane import ControlPlane
from kube.kubectl import Kubectl
from kube.kuberay import pods
from kube.namespaces import fresh_namespace
from kube.rest import resource
from lancemill_api.cluster import WorkerGroup
from lancemill_api.manifest import load
from lancemill_api.mistakes import InvalidManifest
from lancemill_api.runtime import Runtime
from lancemill_api.yaml_text import write
from lancemill_operator import manifests
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import Defaults

EVERYTHING = Path(__file__).parents[1] / "operator" / "manifests" / "everything.yaml"
RUN = "ab12cd34ef"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
PRIORITY = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "batch"},
    "value": 10,
}
NVIDIA = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}


@pytest.fixture
def restricted(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """A namespace where only pods of that level are admitted; kubectl in it."""
    with fresh_namespace(control_plane, labels=RESTRICTED) as namespace:
        kubectl = Kubectl(control_plane, namespace)
        for thing in (PRIORITY, NVIDIA):
            kubectl("apply", "--server-side", "-f", "-", input=thing)
        for account in ("vision", "lake-writer"):
            kubectl("create", "serviceaccount", account)
        try:
            yield kubectl
        finally:
            kubectl("delete", "priorityclass/batch", "runtimeclass/nvidia", "--wait=false")


def identity(namespace: str, name: str) -> Identity:
    return Identity(namespace, name, "6a0cd5a9-6b39-4e05-9a06-3a3a4c0a1d3e", 1)


def made(namespace: str, **changed: Any) -> list[dict[str, Any]]:
    """Everything that the builders can make of the example."""
    manifest, defaults = load(EVERYTHING), Defaults(**changed)
    (pipeline,), (dataset,) = manifest.pipelines, manifest.datasets
    of_dataset, document = manifest.documents
    cats, lake = identity(namespace, pipeline.name), identity(namespace, dataset.name)
    attempt: dict[str, Any] = {"run": RUN, "attempt": 1, "defaults": defaults}
    bodies = [
        manifests.rayjob(cats, pipeline, [dataset], remaining=21600.0, **attempt),
        manifests.settle_probe(cats, pipeline, [dataset], **attempt),
        manifests.frozen(cats, document, [dataset], run=RUN),
        manifests.service_account(cats),
        manifests.network_policy(cats, defaults),
        manifests.dataset_manifest(lake, of_dataset),
        manifests.dataset_probe(lake, dataset, token="g1", defaults=defaults),
    ]
    return [json.loads(json.dumps(body)) for body in bodies]


def least(**spec: Any) -> dict[str, Any]:
    """The least pipeline, with this in its spec."""
    return {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": {"table": {"format": "csv", "uri": "s3://a/b.csv"}},
            "sink": {"jsonl": {"uri": "s3://a/b.jsonl"}},
            **spec,
        },
    }


def ray_pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The head and a worker of each group, as KubeRay makes them of the RayJob."""
    cluster = {
        "kind": "RayCluster",
        "metadata": {"name": "c", "namespace": job["metadata"]["namespace"], "uid": "u"},
        "spec": job["spec"]["rayClusterSpec"],
    }
    groups = cluster["spec"]["workerGroupSpecs"]
    made = [pods.head(cluster), *(pods.worker(cluster, group, 0) for group in groups)]
    for pod in made:
        del pod["metadata"]["ownerReferences"]
    return made


def dry_run(kubectl: Kubectl, body: dict[str, Any]) -> str:
    """What the API server says of it, warnings included; nothing is stored."""
    arguments = ("--dry-run=server", "--validate=strict", "-f", "-")
    verb = "apply" if "name" in body["metadata"] else "create"
    return kubectl(verb, *arguments, input=body).stderr


def test_a_manifest_with_every_field_is_accepted_and_read_back_as_it_was(
    restricted: Kubectl,
) -> None:
    restricted("apply", "--validate=strict", "-f", str(EVERYTHING))

    manifest = load(EVERYTHING)
    for kind, ours in (("mmp/cats", manifest.pipelines[0]), ("lds/cats-224", manifest.datasets[0])):
        stored = restricted.json("get", kind)
        again = load(json.dumps(stored)).resources[0]
        assert again.spec.model_dump() == ours.spec.model_dump()


def test_the_api_server_takes_every_object_that_is_made_without_a_warning(
    restricted: Kubectl, kuberay_crds: None
) -> None:
    for body in made(restricted.namespace):
        assert dry_run(restricted, body) == "", body["kind"]


def test_pods_of_head_workers_and_probes_are_admitted_at_the_level_restricted(
    restricted: Kubectl,
) -> None:
    bodies = made(restricted.namespace)
    found = ray_pods(bodies[0])
    found += [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "probe-", **body["spec"]["template"]["metadata"]},
            "spec": body["spec"]["template"]["spec"],
        }
        for body in bodies
        if body["kind"] == "Job"
    ]
    assert len(found) == 5
    for pod in found:
        assert dry_run(restricted, pod) == "", pod["metadata"]["generateName"]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(groups=documents(WorkerGroup), runtime=documents(Runtime))
def test_every_worker_that_the_models_allow_is_a_pod_that_the_api_server_takes(
    control_plane: ControlPlane,
    restricted: Kubectl,
    groups: dict[str, Any],
    runtime: dict[str, Any],
) -> None:
    named = ("priorityClassName", "runtimeClassName")  # must be there: preflight's business
    group = {name: value for name, value in groups.items() if name not in named}
    text = write(least(cluster={"workerGroups": [group]}, runtime=runtime))
    try:
        (pipeline,) = load(text).pipelines
    except InvalidManifest:
        assume(False)
        raise
    body = manifests.rayjob(
        identity(restricted.namespace, "cats"),
        pipeline,
        (),
        run=RUN,
        attempt=1,
        remaining=60.0,
        defaults=Defaults(),
    )
    _, worker = ray_pods(json.loads(json.dumps(body)))
    worker["spec"]["serviceAccountName"] = "vision"
    control_plane.rest().create(
        resource("v1", "pods", restricted.namespace),
        worker,
        dryRun="All",
        fieldValidation="Strict",
    )


def test_only_the_autoscaler_gets_a_token_of_the_api_server(restricted: Kubectl) -> None:
    holders = []
    for pod in ray_pods(made(restricted.namespace)[0]):
        stored = json.loads(restricted("create", "-f", "-", "-o", "json", input=pod).stdout)
        holders += [
            container["name"]
            for container in stored["spec"]["containers"] + stored["spec"].get("initContainers", [])
            for mount in container["volumeMounts"]
            if mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        ]
    assert holders == ["autoscaler"]


def test_a_frozen_specification_cannot_be_changed(restricted: Kubectl) -> None:
    frozen = next(one for one in made(restricted.namespace) if one["kind"] == "ConfigMap")
    frozen["metadata"].pop("ownerReferences")
    restricted("create", "-f", "-", input=frozen)

    frozen["data"] = {"manifest.yaml": "other"}
    refused = restricted(
        "apply", "--server-side", "--force-conflicts", "-f", "-", input=frozen, check=False
    )

    assert "immutable" in refused.stderr


WORKERS = "spec.cluster.workerGroups[0]"
NO_DISK = {"name": "disk", "emptyDir": {}}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"runtime": {"env": [{"name": "PGPASSWORD", "value": "x"}]}}, "value is a secret"),
        (
            {"runtime": {"env": [{"name": "DB", "value": "postgres://me:pw@db/x"}]}},
            "value is a secret",
        ),
        ({"runtime": {"env": [{"name": "LANCEMILL_RUN", "value": "1"}]}}, "name is taken"),
        (
            {"runtime": {"env": [{"name": "A"}]}},
            "expected exactly one value: value or valueFrom",
        ),
        (
            {"source": {"table": {"format": "csv", "uri": "https://me:pw@host/a.csv"}}},
            "spec.source.table.uri",
        ),
        (
            {
                "source": {"objects": {"uri": "s3://photos/", "incremental": True}},
                "sink": {"lance": {"uri": "s3://lake/cats.lance", "mode": "overwrite"}},
            },
            "replace the rows of earlier runs",
        ),
        ({"cluster": {"workerGroups": [{"name": "head"}]}}, "name is taken"),
        (
            {"cluster": {"workerGroups": [{"name": "a", "labels": {"ray.io/group": "x"}}]}},
            "labels has a key",
        ),
        (
            {
                "cluster": {
                    "workerGroups": [
                        {
                            "name": "a",
                            "volumes": [NO_DISK],
                            "volumeMounts": [{"name": "other", "mountPath": "/a"}],
                        }
                    ]
                }
            },
            "must name one of volumes",
        ),
        (
            {
                "cluster": {
                    "workerGroups": [
                        {"name": "a", "volumes": [{"name": "disk", "hostPath": {"path": "/"}}]}
                    ]
                }
            },
            f'unknown field "{WORKERS}.volumes[0].hostPath"',
        ),
        (
            {"cluster": {"rayVersion": "2.40.0", "workerGroups": [{"name": "a"}]}},
            "spec.cluster.rayVersion",
        ),
    ],
)
def test_the_api_server_refuses_what_the_models_refuse(
    kubectl: Kubectl, spec: dict[str, Any], told: str
) -> None:
    document = least(**spec)
    with pytest.raises(InvalidManifest):
        load(json.dumps(document))
    refused = kubectl("apply", "-f", "-", input=document, check=False)
    assert refused.returncode != 0
    assert told in refused.stderr
