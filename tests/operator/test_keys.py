"""Whom a change concerns."""

from __future__ import annotations

from typing import Any

from lancemill_operator.keys import Key, concerned
from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB
from lancemill_operator.names import API_VERSION
from lancemill_operator.store import Store

Object = dict[str, Any]


def pipeline(name: str = "cats", sink: str = "lake", **status: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1"},
        "spec": {"sink": {"lance": {"dataset": sink}}},
        "status": status,
    }


def dataset(ready: str = "Unknown", **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "metadata": {"name": "lake", "namespace": "n", "uid": "d", "resourceVersion": "1"},
        "status": {"conditions": conditions, **status},
    }


def child(kind: str, api: str = API_VERSION) -> Object:
    owner = {"apiVersion": api, "kind": kind, "name": "cats", "uid": "u", "controller": True}
    return {"metadata": {"name": "c", "namespace": "n", "ownerReferences": [owner]}}


def test_an_object_concerns_itself() -> None:
    found = set(concerned(PIPELINE, pipeline(), pipeline(phase="Running"), Store()))
    assert found == {Key(PIPELINE, "n", "cats")}


def test_a_rayjob_and_a_job_concern_their_owner() -> None:
    assert list(concerned(RAY_JOB, None, child("MultimodalPipeline"), Store())) == [
        Key(PIPELINE, "n", "cats")
    ]
    assert list(concerned(JOB, child("LanceDataset"), None, Store())) == [Key(DATASET, "n", "cats")]


def test_children_of_strangers_concern_nobody() -> None:
    assert list(concerned(JOB, None, child("CronJob", "batch/v1"), Store())) == []
    assert list(concerned(JOB, None, child("LanceDataset", "other/v1"), Store())) == []


def test_a_commit_concerns_the_dataset_it_was_made_to() -> None:
    committed = pipeline(lastRun={"datasetVersion": 3})
    found = set(concerned(PIPELINE, pipeline(), committed, Store()))
    assert Key(DATASET, "n", "lake") in found


def test_a_sink_that_changes_concerns_both_datasets() -> None:
    found = set(concerned(PIPELINE, pipeline(), pipeline(sink="pond"), Store()))
    assert {Key(DATASET, "n", "lake"), Key(DATASET, "n", "pond")} <= found


def test_a_dataset_that_turns_ready_or_newer_concerns_the_pipelines_that_name_it() -> None:
    store = Store()
    store.saw(PIPELINE, pipeline())
    users = {Key(PIPELINE, "n", "cats")}
    for now in (dataset("True"), dataset(version=4), None):
        assert users <= set(concerned(DATASET, dataset(), now, store))
    same = set(concerned(DATASET, dataset(), dataset(rows=12), store))
    assert same == {Key(DATASET, "n", "lake")}
