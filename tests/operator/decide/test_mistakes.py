"""What a manifest alone tells is told before anything is made, with the place and the remedy."""

from __future__ import annotations

from typing import Any

from lancemill_api.dataset import LanceDataset
from lancemill_api.status import DatasetStatus
from lancemill_operator import names
from lancemill_operator.decide.dataset import decide_dataset
from lancemill_operator.facts import DatasetFacts, Identity
from lancemill_operator.status import find
from support.simulated import DEFAULTS, START, Simulated, pipeline


def accepted(**spec: Any) -> str:
    """Status and message of Accepted, of a pipeline with this in its specification."""
    manifest = pipeline()
    manifest["spec"] |= spec
    world = Simulated(manifest)
    world.settle_down()
    found = find(world.status.conditions, "Accepted")
    assert found is not None
    assert (found.status == "True") == bool(world.made), "nothing is made of what is refused"
    return f"{found.status}: {found.message}"


def test_a_column_that_no_stage_makes_is_refused() -> None:
    decode = {"name": "decode", "decode": {"column": "bites"}}
    assert accepted(stages=[decode]).startswith(
        "False: spec.stages[0].decode.column  column 'bites' is made by no earlier stage; "
    )


def test_a_path_that_no_pod_has_is_refused() -> None:
    said = accepted(source={"objects": {"uri": "photos/"}})
    assert said.startswith("False: spec.source.objects.uri  is a relative path, 'photos/'")


def test_a_manifest_that_is_mended_starts_its_run() -> None:
    manifest = pipeline()
    manifest["spec"]["stages"] = [{"name": "f", "fetch": {"column": "url"}}]
    world = Simulated(manifest)
    world.settle_down()
    assert not world.made
    world.change(stages=[{"name": "f", "fetch": {"column": "uri"}}])
    world.settle_down()
    assert len(world.made) == 1


def test_a_dataset_on_a_disk_is_refused() -> None:
    document = {
        "apiVersion": names.API_VERSION,
        "kind": "LanceDataset",
        "metadata": {"name": "cats"},
        "spec": {"uri": "lake/cats.lance"},
    }
    facts = DatasetFacts(
        identity=Identity("ns", "cats", "uid", 1),
        dataset=LanceDataset.model_validate(document),
        document=document,
        status=DatasetStatus(),
    )
    decision = decide_dataset(facts, START, DEFAULTS)
    ready = find(decision.status.conditions, "Ready")
    assert not decision.actions and not decision.wants
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "InvalidManifest")
    assert ready.message.startswith("spec.uri  is a relative path, 'lake/cats.lance'")
