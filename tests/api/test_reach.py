"""Paths that no pod has are told before a pod starts."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline
from lancemill_api.reach import mistakes, mistakes_of_dataset

MOUNT = {"name": "data", "mountPath": "/data"}
VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
WORKERS = {"name": "cpu", "volumes": [VOLUME], "volumeMounts": [MOUNT]}


def told(source: str = "s3://a/", sink: str = "s3://b.lance", **spec: Any) -> list[str]:
    document = {
        "apiVersion": API_VERSION,
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": {"objects": {"uri": source}},
            "sink": {"lance": {"uri": sink}},
            **spec,
        },
    }
    return [str(one) for one in mistakes(MultimodalPipeline.model_validate(document))]


def test_stores_are_within_reach() -> None:
    assert told() == []
    assert told("https://a.example/x/", "gs://b/c.lance") == []


def test_a_relative_path_is_told_with_what_would_be_right() -> None:
    assert told("photos/", "out.lance") == [
        "spec.source.objects.uri  is a relative path, 'photos/': a pod has no such folder; "
        "expected s3://… or an absolute path on a volume of cluster.workerGroups[].volumes",
        "spec.sink.lance.uri  is a relative path, 'out.lance': a pod has no such folder; "
        "expected s3://… or an absolute path on a volume of cluster.workerGroups[].volumes",
    ]


@pytest.mark.parametrize("uri", ["/images/photos", "file:///images/photos", "~/photos"])
def test_what_is_read_may_lie_in_the_image(uri: str) -> None:
    assert told(uri) == []


@pytest.mark.parametrize("uri", ["/data/out.lance", "file:///data/deep/out.lance"])
def test_what_is_written_must_lie_on_a_volume(uri: str) -> None:
    assert told(sink=uri, cluster={"workerGroups": [WORKERS]}) == []
    (only,) = told(sink=uri, cluster={"workerGroups": [{"name": "cpu"}]})
    assert only == (
        f"spec.sink.lance.uri  is '{uri}', which lies on no volume: it would be gone with the "
        "pod; expected s3://… or an absolute path on a volume of cluster.workerGroups[].volumes"
    )


def test_a_folder_that_only_begins_like_a_mount_is_not_below_it() -> None:
    assert len(told(sink="/database/x.lance", cluster={"workerGroups": [WORKERS]})) == 1


def test_models_and_code_beside_the_manifest_are_told() -> None:
    infer = {"model": {"uri": "m.onnx"}, "inputs": {"key": "x"}, "outputs": {"y": "y"}}
    udf = {"entrypoint": "colours.py:of", "schema": {"a": "int8"}}
    found = told(stages=[{"name": "a", "infer": infer}, {"name": "b", "udf": udf}])
    assert [one.partition("  ")[0] for one in found] == [
        "spec.stages[0].infer.model.uri",
        "spec.stages[1].udf.entrypoint",
    ]
    assert "is a file beside the manifest, 'colours.py'" in found[1]
    udf["entrypoint"] = "my.module:of"
    assert told(stages=[{"name": "b", "udf": udf}]) == []


@pytest.mark.parametrize(
    "code", [{"uri": "s3://code/a.zip", "sha256": "0" * 64}, {"configMap": "colours"}]
)
def test_a_function_that_is_a_file_of_the_code_is_within_reach(code: dict[str, str]) -> None:
    udf = {"entrypoint": "colours.py:of", "schema": {"a": "int8"}}
    assert told(stages=[{"name": "b", "udf": udf}], code=code) == []


def test_code_beside_the_manifest_is_told() -> None:
    code = {"uri": "build/a.zip", "sha256": "0" * 64}
    assert told(code=code) == [
        "spec.code.uri  is a relative path, 'build/a.zip': a pod has no such file; expected s3://…"
    ]


@pytest.mark.parametrize("uri", ["cats.lance", "/data/cats.lance", "file:///data/cats.lance"])
def test_a_dataset_of_a_cluster_lies_in_a_store(uri: str) -> None:
    def dataset(place: str) -> LanceDataset:
        return LanceDataset.model_validate(
            {
                "apiVersion": API_VERSION,
                "kind": "LanceDataset",
                "metadata": {"name": "cats"},
                "spec": {"uri": place},
            }
        )

    (only,) = mistakes_of_dataset(dataset(uri))
    assert (only.path, only.message.endswith("expected s3://…")) == ("spec.uri", True)
    assert mistakes_of_dataset(dataset("s3://lake/cats.lance")) == ()
