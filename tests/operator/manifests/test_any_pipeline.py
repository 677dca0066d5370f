"""What holds for the objects of every pipeline that the API accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.manifests import documents
from kube.kuberay.validation import fault
from lancemill_api.dataset import LanceDataset
from lancemill_api.manifest import load
from lancemill_api.mistakes import InvalidManifest
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline
from lancemill_api.yaml_text import write
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import (
    Defaults,
    dataset_manifest,
    dataset_probe,
    demands,
    frozen,
    network_policy,
    rayjob,
    references,
    service_account,
    settle_probe,
    thawed,
)

SETTINGS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
UID = "6a0cd5a9-6b39-4e05-9a06-3a3a4c0a1d3e"
DEFAULTS = Defaults()

pipelines = documents(MultimodalPipeline, apiVersion=API_VERSION, kind="MultimodalPipeline")
datasets = documents(LanceDataset, apiVersion=API_VERSION, kind="LanceDataset")
runs = st.text("0123456789abcdef", min_size=10, max_size=10)
attempts = st.integers(1, 9999)
spans = st.floats(-1e3, 1e12)


def loaded(document: dict[str, Any]) -> Any:
    """The resource that a random document is; those that break a rule between fields are left."""
    try:
        return load(write(document)).resources[0]
    except InvalidManifest:
        assume(False)
        raise


def identity(resource: Any) -> Identity:
    return Identity("ns", resource.name, UID, 7)


def objects_of(
    pipeline: MultimodalPipeline, run: str, attempt: int, remaining: float
) -> list[dict[str, Any]]:
    own: dict[str, Any] = {"run": run, "attempt": attempt, "defaults": DEFAULTS}
    owner = identity(pipeline)
    bodies = (
        rayjob(owner, pipeline, (), remaining=remaining, **own),
        settle_probe(owner, pipeline, (), **own),
        service_account(owner),
        network_policy(owner, DEFAULTS),
    )
    return [json.loads(json.dumps(body)) for body in bodies]


def templates(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pod templates of a RayJob or a Job."""
    if body["kind"] == "Job":
        yield body["spec"]["template"]
    if body["kind"] == "RayJob":
        cluster = body["spec"]["rayClusterSpec"]
        yield cluster["headGroupSpec"]["template"]
        yield from (group["template"] for group in cluster["workerGroupSpecs"])


@SETTINGS
@given(pipelines, runs, attempts, spans)
def test_kuberay_accepts_the_rayjob_and_its_groups_can_live(
    document: dict[str, Any], run: str, attempt: int, remaining: float
) -> None:
    job = objects_of(loaded(document), run, attempt, remaining)[0]
    assert fault(job) is None
    name = job["metadata"]["name"]
    assert len(name) <= 47
    assert DNS_1035.fullmatch(name)
    assert name.endswith(f"-{run}-{attempt}")
    cluster = job["spec"]["rayClusterSpec"]
    groups = cluster["workerGroupSpecs"]
    names = [group["groupName"] for group in groups]
    assert len(set(names)) == len(names)
    assert not {"head", "headgroup"} & set(names)
    assert all(g["minReplicas"] <= g["replicas"] <= g["maxReplicas"] for g in groups)
    assert all(("idleTimeoutSeconds" in g) == cluster["enableInTreeAutoscaling"] for g in groups)


@SETTINGS
@given(pipelines, runs, attempts)
def test_no_text_of_a_user_is_part_of_a_command(
    document: dict[str, Any], run: str, attempt: int
) -> None:
    pipeline = loaded(document)
    job, probe, *_ = objects_of(pipeline, run, attempt, 60)
    entrypoint = job["spec"]["entrypoint"]
    assert entrypoint == (
        f"lancemill run /etc/lancemill/run/manifest.yaml --pipeline {pipeline.name} "
        f"--run-id {run} --epoch {attempt} --engine ray"
    )
    (container,) = probe["spec"]["template"]["spec"]["containers"]
    assert all(re.fullmatch(r"[-a-z0-9/.]+", word) for word in container["command"])
    for template in templates(job):
        (container,) = template["spec"]["containers"]
        assert not {"command", "args"} & container.keys(), "KubeRay would run them in a shell"


@SETTINGS
@given(pipelines, runs, attempts)
def test_names_and_labels_are_such_as_kubernetes_takes(
    document: dict[str, Any], run: str, attempt: int
) -> None:
    for body in objects_of(loaded(document), run, attempt, 60):
        assert SUBDOMAIN.fullmatch(body["metadata"]["name"])
        assert len(body["metadata"]["name"]) <= 63
        for metadata in (body["metadata"], *(one["metadata"] for one in templates(body))):
            for value in metadata["labels"].values():
                assert len(value) <= 63
                assert LABEL_VALUE.fullmatch(value)
        for template in templates(body):
            volumes = [one["name"] for one in template["spec"]["volumes"]]
            assert len(set(volumes)) == len(volumes)
            assert all(LABEL.fullmatch(one) and len(one) <= 63 for one in volumes)
            (container,) = template["spec"]["containers"]
            assert {one["name"] for one in container["volumeMounts"]} <= set(volumes)
            paths = [one["mountPath"] for one in container["volumeMounts"]]
            assert len(set(paths)) == len(paths)


@SETTINGS
@given(pipelines, runs, attempts)
def test_every_container_is_restricted_and_no_pod_has_a_token_by_itself(
    document: dict[str, Any], run: str, attempt: int
) -> None:
    for body in objects_of(loaded(document), run, attempt, 60):
        for template in templates(body):
            spec = template["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["securityContext"]["runAsNonRoot"] is True
            for container in spec["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert "memory" in container["resources"]["limits"]


@SETTINGS
@given(pipelines, runs, attempts)
def test_equal_inputs_give_equal_objects_and_their_owner_is_the_pipeline(
    document: dict[str, Any], run: str, attempt: int
) -> None:
    bodies = objects_of(loaded(document), run, attempt, 60)
    assert bodies == objects_of(loaded(document), run, attempt, 60)
    for body in bodies:
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (UID, True)
        assert body["metadata"]["namespace"] == "ns"


@SETTINGS
@given(pipelines, st.lists(datasets, max_size=1), runs)
def test_what_was_frozen_is_what_thaws(
    document: dict[str, Any], others: list[dict[str, Any]], run: str
) -> None:
    pipeline, named = loaded(document), [loaded(one) for one in others]
    body = frozen(identity(pipeline), document, named, run=run)
    found = thawed(json.loads(json.dumps(body["data"])))
    assert found.pipeline.spec == pipeline.spec
    assert [one.spec for one in found.datasets] == [one.spec for one in named]
    assert body["immutable"] is True


@SETTINGS
@given(datasets)
def test_a_datasets_probe_reads_the_dataset_that_was_asked_for(document: dict[str, Any]) -> None:
    dataset = loaded(document)
    owner = identity(dataset)
    manifest = dataset_manifest(owner, document)
    job = dataset_probe(owner, dataset, token="7/0", defaults=DEFAULTS)
    (mounted,) = (
        volume["configMap"]["name"]
        for volume in job["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    )
    assert mounted == manifest["metadata"]["name"]
    (again,) = load(manifest["data"]["manifest.yaml"]).datasets
    assert again.spec == dataset.spec


@SETTINGS
@given(pipelines)
def test_each_reference_leads_to_the_name_in_the_manifest(document: dict[str, Any]) -> None:
    pipeline = loaded(document)
    for reference in references(pipeline):
        value: Any = document
        for step in re.findall(r"[A-Za-z]+|\d+", reference.path):
            value = value[int(step) if step.isdigit() else step]
        assert value == reference.name


@SETTINGS
@given(pipelines)
def test_there_is_a_demand_for_the_head_and_for_each_group(document: dict[str, Any]) -> None:
    pipeline = loaded(document)
    found = demands(pipeline, DEFAULTS)
    (job, *_) = objects_of(pipeline, "ab12cd34ef", 1, 60)
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert list(found) == ["head", *(group["groupName"] for group in groups)]
    for group in groups:
        assert found[group["groupName"]].least == group["minReplicas"]
