"""Files with one or several documents, as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lancemill_api.manifest import load, missing_datasets
from lancemill_api.mistakes import InvalidManifest
from lancemill_api.overrides import apply_overrides

CATS = Path(__file__).parent / "cats.yaml"

SMALL = """
apiVersion: lancemill.dev/v1alpha1
kind: MultimodalPipeline
metadata: {name: cats}
spec:
  source: {objects: {uri: photos}}
  sink: {lance: {dataset: cats-224}}
"""
DATASET = """
---
apiVersion: lancemill.dev/v1alpha1
kind: LanceDataset
metadata: {name: cats-225}
spec: {uri: cats.lance}
"""


def test_the_manifest_of_the_design_is_accepted_where_its_fields_work() -> None:
    manifest = load(CATS)
    (cats,) = manifest.pipelines
    assert manifest.source == str(CATS)
    assert [stage.given[0] for stage in cats.spec.stages] == [
        *("fetch", "decode", "resize", "infer", "udf", "encode", "format", "format", "sql"),
    ]
    assert cats.spec.source.given[0] == "objects"
    assert cats.spec.sink.given[0] == "lance"
    assert cats.spec.cluster is not None
    assert [group.name for group in cats.spec.cluster.worker_groups] == ["cpu", "gpu"]
    assert missing_datasets(manifest) == []
    dataset = manifest.dataset("cats-224")
    assert dataset is not None
    assert [column.name for column in dataset.spec.schema_ or ()] == ["key", "image", "embedding"]


def test_a_dataset_that_the_file_does_not_have_is_told_with_those_that_it_has() -> None:
    (mistake,) = missing_datasets(load(SMALL + DATASET))
    assert mistake.path == "spec.sink.lance.dataset"
    assert mistake.document == "MultimodalPipeline/cats"
    assert mistake.message == (
        "'cats-224' is no LanceDataset of this file; there are: cats-225; add one, or give uri"
    )


def test_what_an_api_server_adds_to_an_object_does_not_stop_a_local_run() -> None:
    text = SMALL.replace(
        "metadata: {name: cats}",
        "metadata: {name: cats, uid: a-b, generation: 3, resourceVersion: '17', "
        "creationTimestamp: 2026-11-21T10:00:00Z, labels: null, "
        "managedFields: [{manager: kubectl, fieldsV1: {'f:spec': {}}}]}",
    )
    (pipeline,) = load(text + "status: {phase: Running, novelty: 1}\n").pipelines
    assert pipeline.metadata.generation == 3
    assert pipeline.metadata.creation_timestamp == "2026-11-21T10:00:00Z"


def test_empty_documents_between_others_do_not_matter() -> None:
    manifest = load(f"---\n{SMALL}\n---\n# nothing\n---\n{DATASET}\n---\n")
    assert (len(manifest.pipelines), len(manifest.datasets)) == (1, 1)


def test_an_anchor_can_be_used_again() -> None:
    text = SMALL.replace("uri: photos", "uri: photos, storage: &s {region: here}") + DATASET
    text = text.replace("{uri: cats.lance}", "{uri: cats.lance}")
    manifest = load(text.replace("sink:", "stages: [{name: b, fetch: {storage: *s}}]\n  sink:"))
    fetch = manifest.pipelines[0].spec.stages[0].fetch
    assert fetch is not None
    assert fetch.storage == manifest.pipelines[0].spec.source.given[1].storage


def test_a_merged_mapping_gives_way_to_what_stands_beside_it() -> None:
    text = SMALL.replace(
        "sink:",
        "stages:\n"
        "  - {name: a, resize: &r {column: x, width: 1, height: 2}}\n"
        "  - {name: b, resize: {<<: *r, width: 9}}\n  sink:",
    )
    resize = load(text).pipelines[0].spec.stages[1].resize
    assert resize is not None
    assert (resize.column, resize.width, resize.height) == ("x", 9, 2)


def test_columns_that_a_mapping_names_come_in_the_order_of_their_names() -> None:
    text = SMALL.replace(
        "sink:",
        "stages: [{name: f, udf: {entrypoint: 'm:f', schema: {b: string, a: int8}}}]\n  sink:",
    )
    udf = load(text).pipelines[0].spec.stages[0].udf
    assert udf is not None
    assert list(udf.schema_) == ["a", "b"]


def test_overrides_change_what_is_checked() -> None:
    overrides = [
        "spec.sink.lance.mode=overwrite",
        "spec.source.objects.include=['*.png']",
        "spec.errors.maxRate=0.5",
        "spec.stages[0]={name: bytes, fetch: {}}",
        "spec.stages[bytes].fetch.maxBytes=1Mi",
        "cats-225:spec.uri=other.lance",
    ]
    manifest = load(SMALL + DATASET, overrides=overrides)
    (pipeline,) = manifest.pipelines
    lance = pipeline.spec.sink.lance
    assert lance is not None
    assert lance.mode == "overwrite"
    assert pipeline.spec.source.given[1].model_dump()["include"] == ("*.png",)
    assert pipeline.spec.errors.max_rate == 0.5
    fetch = pipeline.spec.stages[0].fetch
    assert fetch is not None
    assert fetch.max_bytes == "1Mi"
    assert manifest.datasets[0].spec.uri == "other.lance"
    assert manifest.documents[0]["spec"]["errors"] == {"maxRate": 0.5}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("spec.sink.lance.urri=x", "spec.sink.lance.urri  --set: unknown field; did you mean uri?"),
        (
            "spec.stages[a].sql.query=x",
            "spec.stages[a]  --set: no such entry; there are: 0 entries",
        ),
        ("spec.stages[1].name=x", "spec.stages[1]  --set: no such entry; there are: 0 entries"),
        (
            "spec.run",
            "spec.run  --set: expected path=value, such as spec.sink.lance.uri=demo/x.lance",
        ),
        ("spec..run=1", "spec..run  --set: cannot be read from '..run' on"),
        ("spec.run.retries=[", "spec.run.retries  --set: is not YAML"),
        (
            "spec.run.retries=many",
            "spec.run.retries  is 'many', expected a whole number from 0 to 100",
        ),
        (
            "dogs:spec.run.retries=1",
            "spec.run.retries  --set: 'dogs' names 0 documents; there are: MultimodalPipeline/cats",
        ),
        (
            "spec.source.objects.uri.x=1",
            "spec.source.objects.uri.x  --set: no such field; there stands a path",
        ),
    ],
)
def test_a_wrong_override_is_told_at_its_path(override: str, line: str) -> None:
    with pytest.raises(InvalidManifest) as refused:
        load(SMALL, overrides=[override])
    (mistake,) = refused.value.mistakes
    assert str(mistake).startswith(line)
    assert mistake.line is None or "expected a whole" in line


def test_an_override_for_two_pipelines_has_to_say_for_which() -> None:
    dogs = SMALL.replace("name: cats", "name: dogs")
    with pytest.raises(InvalidManifest, match="2 pipelines are in the file; say which one"):
        load(f"{SMALL}---{dogs}", overrides=["spec.run.retries=1"])
    manifest = load(f"{SMALL}---{dogs}", overrides=["dogs:spec.run.retries=1"])
    assert [one.spec.run.retries for one in manifest.pipelines] == [3, 1]


def test_overrides_apply_to_a_bare_document_without_changing_it() -> None:
    document = {"spec": {"stages": [{"name": "decode", "decode": {"column": "bytes"}}]}}
    overrides = [
        "spec.stages[decode].decode.mode=L",
        "spec.stages[1].name=more",
        "spec.run.retries=0",
    ]
    changed = apply_overrides(document, overrides)
    assert changed == {
        "spec": {
            "stages": [
                {"name": "decode", "decode": {"column": "bytes", "mode": "L"}},
                {"name": "more"},
            ],
            "run": {"retries": 0},
        }
    }
    assert document == {"spec": {"stages": [{"name": "decode", "decode": {"column": "bytes"}}]}}
    with pytest.raises(InvalidManifest) as refused:
        apply_overrides(document, ["spec.stages[resize].name=x", "spec.sinks=1"])
    assert [str(mistake) for mistake in refused.value.mistakes] == [
        "spec.stages[resize]  --set: no such entry; there are: decode",
        "spec.sinks  --set: unknown field; did you mean sink?",
    ]
