"""Probes: short Jobs with the tenant's credentials, and nothing else of the tenant's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lancemill_api.manifest import load
from lancemill_operator import names
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import (
    Defaults,
    dataset_manifest,
    dataset_probe,
    settle_probe,
    storage_secrets,
)
from lancemill_operator.manifests.probe import settle_token

EVERYTHING = load(Path(__file__).parent / "everything.yaml")
(PIPELINE,), (DATASET,) = EVERYTHING.pipelines, EVERYTHING.datasets
CATS = Identity("vision", "cats", "u-1", 3)
LAKE = Identity("vision", "cats-224", "u-2", 4)


def settle(**changed: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"run": "ab12cd34ef", "attempt": 2, "defaults": Defaults(), **changed}
    return dict(settle_probe(CATS, PIPELINE, [DATASET], **asked))


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_a_settle_probe_closes_the_ledger_to_all_attempts_so_far() -> None:
    assert " ".join(container(settle())["command"]) == (
        "lancemill probe run /etc/lancemill/run/manifest.yaml --pipeline cats "
        "--run-id ab12cd34ef --epoch 3"
    )


def test_it_is_tried_once_and_tells_by_its_last_words() -> None:
    job = settle()
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert container(job)["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert job["metadata"]["labels"][names.PURPOSE] == "settle"
    token = names.digest(settle_token("ab12cd34ef", 2))
    assert job["metadata"]["labels"][names.TOKEN] == token


def test_another_question_is_another_job_and_the_same_one_is_the_same() -> None:
    assert settle() == settle()
    told = {settle(**more)["metadata"]["name"] for more in ({}, {"attempt": 3}, {"number": 1})}
    assert len(told) == 3


def test_an_owner_of_the_same_name_that_came_later_asks_anew() -> None:
    later = replace(LAKE, uid="u-3")
    first, second = (
        dataset_probe(one, DATASET, token="4/0", defaults=Defaults()) for one in (LAKE, later)
    )
    assert first["metadata"]["name"] != second["metadata"]["name"]
    document = EVERYTHING.documents[0]
    assert (
        dataset_manifest(LAKE, document)["metadata"]["name"]
        != dataset_manifest(later, document)["metadata"]["name"]
    )


def test_its_pod_is_not_taken_for_one_of_an_attempt() -> None:
    template = settle()["spec"]["template"]
    assert names.PIPELINE_UID not in template["metadata"]["labels"]


def test_it_has_the_credentials_of_every_store_and_the_heads_nodes() -> None:
    spec = settle()["spec"]["template"]["spec"]
    mounted = {one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one}
    assert mounted == set(storage_secrets(PIPELINE, DATASET))
    assert spec["nodeSelector"] == {"pool": "steady"}
    assert spec["serviceAccountName"] == "vision"


def test_a_dataset_is_looked_at_as_the_account_that_it_names() -> None:
    job = dict(dataset_probe(LAKE, DATASET, token="4/0", defaults=Defaults()))
    spec = job["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "lake-writer"
    assert spec["automountServiceAccountToken"] is False
    assert container(job)["command"][-2:] == ["--dataset", "cats-224"]
