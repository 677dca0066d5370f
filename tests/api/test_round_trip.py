"""What is written is what was read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.manifests import documents
from lancemill_api.dataset import LanceDataset
from lancemill_api.manifest import API_VERSION, Manifest, Resource, dump, load
from lancemill_api.mistakes import InvalidManifest
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.yaml_text import read, write

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
KINDS = (MultimodalPipeline, LanceDataset)
resources = st.sampled_from(KINDS).flatmap(
    lambda model: documents(model, apiVersion=API_VERSION, kind=model.__name__)
)


def accepted(document: dict[str, Any]) -> Resource:
    """The resource that a random document is; those that break a rule between fields are left."""
    try:
        return load(write(document)).resources[0]
    except InvalidManifest as refused:
        between = (
            "needs",
            "means something",
            "expected at most",
            "is no ",
            "but workers",
            "beside",
            "Lancemill or KubeRay",
            "is a secret",
            "the head does none",
            "means something with In",
        )
        empty = ("at least one of",)
        for mistake in refused.mistakes:
            assert any(word in mistake.message for word in between + empty), str(mistake)
        assume(False)
        raise


@SETTINGS
@given(resources)
def test_a_manifest_that_is_written_and_read_again_is_the_same(document: dict[str, Any]) -> None:
    resource = accepted(document)
    again = load(dump(resource)).resources[0]
    assert again == resource
    assert dump(again) == dump(resource)


@pytest.mark.thorough
@SETTINGS
@given(resources)
def test_other_readers_of_yaml_read_what_we_write(document: dict[str, Any]) -> None:
    (ours,) = read(write(document))[0]
    assert yaml.safe_load(write(document)) == ours.value


def test_a_written_manifest_holds_no_defaults_and_keeps_the_order_of_fields() -> None:
    text = dump(
        MultimodalPipeline.model_validate(
            {
                "kind": "MultimodalPipeline",
                "apiVersion": API_VERSION,
                "metadata": {"name": "cats"},
                "spec": {
                    "sink": {"lance": {"uri": "cats.lance"}},
                    "stages": [{"decode": {"column": "bytes", "into": None}, "name": "pixels"}],
                    "source": {"objects": {"uri": "photos", "include": ["*.jpg"]}},
                },
            }
        )
    )
    assert text == (
        "apiVersion: lancemill.dev/v1alpha1\n"
        "kind: MultimodalPipeline\n"
        "metadata:\n  name: cats\n"
        "spec:\n"
        "  source:\n    objects:\n      uri: photos\n      include:\n      - '*.jpg'\n"
        "  stages:\n  - name: pixels\n    decode:\n      column: bytes\n"
        "  sink:\n    lance:\n      uri: cats.lance\n"
    )


def test_a_file_of_several_documents_is_written_as_one() -> None:
    text = (
        "apiVersion: lancemill.dev/v1alpha1\nkind: LanceDataset\n"
        "metadata:\n  name: cats\nspec:\n  uri: cats.lance\n"
        "---\n"
        "apiVersion: lancemill.dev/v1alpha1\nkind: MultimodalPipeline\n"
        "metadata:\n  name: cats\nspec:\n  source:\n    table:\n      format: csv\n"
        "      uri: a.csv\n  sink:\n    lance:\n      dataset: cats\n"
    )
    manifest = load(text)
    assert dump(manifest) == text
    assert manifest == Manifest(
        manifest.pipelines, manifest.datasets, tuple(one.value for one in read(text)[0])
    )


def test_a_null_among_a_functions_arguments_is_a_value() -> None:
    document = {
        "apiVersion": API_VERSION,
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": {"objects": {"uri": "photos"}},
            "stages": [
                {
                    "name": "f",
                    "udf": {
                        "entrypoint": "m:f",
                        "schema": {"a": "string"},
                        "args": {"limit": None, "deep": [{"x": None}]},
                    },
                }
            ],
            "sink": {"jsonl": {"uri": "out"}},
        },
    }
    (pipeline,) = load(write(document)).pipelines
    udf = pipeline.spec.stages[0].udf
    assert udf is not None
    assert udf.args == {"limit": None, "deep": [{"x": None}]}
    assert load(dump(pipeline)).pipelines == (pipeline,)
