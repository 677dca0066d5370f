"""Our own resources as an API server hands them out."""

from __future__ import annotations

import copy
from typing import Any

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import DatasetStatus, PipelineStatus
from lancemill_operator.facts import Identity
from lancemill_operator.manifests.frozen import frozen as freeze
from lancemill_operator.parse import documents

Object = dict[str, Any]
PIPELINE: Object = {
    "apiVersion": "lancemill.dev/v1alpha1",
    "kind": "MultimodalPipeline",
    "metadata": {
        "name": "cats",
        "namespace": "n",
        "uid": "u",
        "generation": 2,
        "resourceVersion": "7",
        "creationTimestamp": "2026-11-21T10:00:00Z",
        "annotations": {"lancemill.dev/cancel-run": "x"},
        "ownerReferences": [{"kind": "Thing", "name": "a"}],
    },
    "spec": {
        "source": {"objects": {"uri": "s3://b/x/"}},
        "sink": {"lance": {"dataset": "lake"}},
    },
}
DATASET: Object = {
    "apiVersion": "lancemill.dev/v1alpha1",
    "kind": "LanceDataset",
    "metadata": {"name": "lake", "namespace": "n", "uid": "d", "generation": 4},
    "spec": {"uri": "s3://lake/cats.lance"},
}


def condition(kind: str, status: str, generation: int = 4, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-11-21T10:00:00Z",
        "reason": "Why",
        "message": message,
    }


def test_an_object_as_the_api_server_has_it_is_a_model() -> None:
    made, mistakes = documents.resource(MultimodalPipeline, PIPELINE)
    assert mistakes == ()
    assert made is not None
    assert made.name == "cats"


def test_what_the_models_refuse_comes_back_with_its_places() -> None:
    wrong = copy.deepcopy(PIPELINE)
    wrong["spec"]["sink"]["lance"]["mode"] = "appendix"
    wrong["spec"]["source"]["objects"].pop("uri")
    made, mistakes = documents.resource(MultimodalPipeline, wrong)
    assert made is None
    assert {one.partition("  ")[0] for one in mistakes} == {
        "spec.sink.lance.mode",
        "spec.source.objects.uri",
    }


def test_an_object_without_a_specification_is_a_mistake_and_no_error() -> None:
    bare = {key: value for key, value in PIPELINE.items() if key != "spec"}
    made, mistakes = documents.resource(MultimodalPipeline, bare)
    assert made is None
    assert mistakes


def test_an_object_is_known_by_its_metadata() -> None:
    found = documents.identity(PIPELINE)
    assert (found.namespace, found.name, found.uid) == ("n", "cats", "u")
    assert (found.generation, found.resource_version, found.deleting) == (2, "7", False)
    assert found.annotations == {"lancemill.dev/cancel-run": "x"}
    deleted = {**PIPELINE, "metadata": {**PIPELINE["metadata"], "deletionTimestamp": "x"}}
    assert documents.identity(deleted).deleting


def test_a_status_that_is_not_there_is_the_empty_one() -> None:
    assert documents.status(PipelineStatus, PIPELINE) == PipelineStatus()


def test_of_a_status_of_a_newer_version_what_can_be_read_is_read() -> None:
    newer = {
        "phase": "Running",
        "observedGeneration": 2,
        "currentRun": {"id": "r", "state": "Pondering"},
        "novelty": {"a": 1},
    }
    read = documents.status(PipelineStatus, {"status": newer})
    assert (read.phase, read.observed_generation, read.current_run) == ("Running", 2, None)


def test_a_status_is_written_without_what_is_not_there() -> None:
    written = documents.dumped(PipelineStatus(phase="Running"))
    assert written["phase"] == "Running"
    assert "currentRun" not in written
    assert documents.status(PipelineStatus, {"status": written}) == PipelineStatus(phase="Running")


def test_a_dataset_that_is_not_there_is_seen_so() -> None:
    view = documents.dataset_view("lake", None)
    assert (view.exists, view.ready, view.spec) == (False, False, None)


def test_a_dataset_is_ready_for_its_present_generation_only() -> None:
    for generation, ready in ((4, True), (3, False)):
        body = {
            **DATASET,
            "status": {"version": 9, "conditions": [condition("Ready", "True", generation)]},
        }
        view = documents.dataset_view("lake", body)
        assert view.ready is ready
        assert view.version == 9
        assert isinstance(view.spec, LanceDataset)


def test_a_dataset_that_is_stalled_says_why() -> None:
    conditions = [condition("Ready", "False", message="no bucket"), condition("Stalled", "True")]
    view = documents.dataset_view("lake", {**DATASET, "status": {"conditions": conditions}})
    assert (view.ready, view.stalled, view.problem) == (False, True, "no bucket")


def test_what_a_run_was_started_with_is_read_back() -> None:
    dataset, _ = documents.resource(LanceDataset, DATASET)
    assert dataset is not None
    owner = Identity("n", "cats", "u", 2)
    config_map = freeze(owner, PIPELINE, [dataset], run="r")
    found = documents.frozen(config_map)
    assert found is not None
    assert found.pipeline.spec == documents.resource(MultimodalPipeline, PIPELINE)[0].spec  # type: ignore[union-attr]
    assert [one.spec for one in found.datasets] == [dataset.spec]


def test_a_config_map_of_somebody_else_holds_no_specification() -> None:
    assert documents.frozen({}) is None
    assert documents.frozen({"data": {"manifest.yaml": "kind: Nonsense"}}) is None
    assert documents.frozen({"data": {"manifest.yaml": "{"}}) is None


def test_a_datasets_status_is_read_too() -> None:
    assert documents.status(DatasetStatus, {"status": {"rows": 3}}).rows == 3
