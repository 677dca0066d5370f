"""A run's frozen specification: whole, without what is not the pipeline's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lancemill_api.manifest import load
from lancemill_api.mistakes import InvalidManifest
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import frozen, thawed, too_large

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
RUN = "ab12cd34ef"
OWNER = Identity("ns", "cats", "u-1", 3)


def document(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats", "namespace": "ns", **metadata},
        "spec": {
            "source": {"table": {"format": "csv", "uri": "s3://a/b.csv"}},
            "sink": {"lance": {"dataset": "cats"}},
        },
    }


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_can_be_frozen_and_read_back(file: Path) -> None:
    manifest = load(file)
    documents = {
        one["metadata"]["name"]: one
        for one in manifest.documents
        if one["kind"] == "MultimodalPipeline"
    }
    for pipeline in manifest.pipelines:
        body = frozen(OWNER, documents[pipeline.name], manifest.datasets, run=RUN)
        found = thawed(body["data"])
        assert found.pipeline == pipeline
        assert found.datasets == manifest.datasets


def test_status_and_what_others_keep_in_the_metadata_are_left_out() -> None:
    given = document(
        uid="u-1",
        generation=3,
        resourceVersion="77",
        managedFields=[{"manager": "kubectl"}],
        ownerReferences=[{"uid": "x"}],
        finalizers=["a/b"],
        annotations={
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "argocd.argoproj.io/tracking-id": "x",
            "lancemill.dev/run-requested-at": "now",
        },
    ) | {"status": {"phase": "Running"}}

    text = frozen(OWNER, given, (), run=RUN)["data"]["manifest.yaml"]

    kept = thawed({"manifest.yaml": text}).pipeline.metadata
    assert kept.annotations == {"lancemill.dev/run-requested-at": "now"}
    assert (kept.uid, kept.generation, kept.namespace) == ("u-1", 3, "ns")
    for word in ("status", "managedFields", "resourceVersion", "finalizers", "argocd", "kubectl"):
        assert word not in text


def test_it_is_found_by_its_run_and_cannot_be_changed() -> None:
    body = frozen(OWNER, document(), (), run=RUN)
    assert body["metadata"]["name"] == f"cats-{RUN}"
    assert body["metadata"]["labels"]["lancemill.dev/run"] == RUN
    assert body["immutable"] is True


def test_one_that_is_too_large_is_told_with_its_size_and_a_way_out() -> None:
    large = document()
    large["spec"]["summary"] = [
        {"name": f"q{at}", "query": f"select '{'x' * 65000}'"} for at in range(20)
    ]
    assert too_large(document(), ()) is None
    told = too_large(large, ())
    assert told is not None
    assert "bytes" in told
    assert "expected at most" in told


def test_what_an_older_version_froze_and_this_one_refuses_is_told() -> None:
    text = frozen(OWNER, document(), (), run=RUN)["data"]["manifest.yaml"]
    with pytest.raises(InvalidManifest, match="unknown field"):
        thawed({"manifest.yaml": text + "  colour: red\n"})
