"""The example trees: built by kubectl, and what comes out are manifests that hold."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.argocd import Document
from kube.binaries import ROOT, Binaries
from lancemill_api import LanceDataset, MultimodalPipeline

GITOPS = ROOT / "gitops"
KINDS = {"MultimodalPipeline": MultimodalPipeline, "LanceDataset": LanceDataset}
TREES = sorted(
    path.parent
    for path in GITOPS.rglob("kustomization.yaml")
    if "kind: Component" not in path.read_text(encoding="utf-8")
)


def build(programs: Binaries, folder: Path) -> list[Document]:
    command = [programs.path("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns"
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def one(documents: list[Document], kind: str) -> Document:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


@pytest.mark.parametrize("tree", TREES, ids=lambda path: str(path.relative_to(GITOPS)))
def test_a_tree_builds_into_manifests_that_the_models_accept(
    programs: Binaries, tree: Path
) -> None:
    documents = build(programs, tree)
    assert documents
    for document in documents:
        if document["kind"] in KINDS:
            KINDS[document["kind"]].model_validate(document)


def test_names_follow_when_kustomize_changes_them(programs: Binaries) -> None:
    documents = build(programs, GITOPS / "pipelines" / "staging")
    pipeline = one(documents, "MultimodalPipeline")
    dataset, settings = one(documents, "LanceDataset"), one(documents, "ConfigMap")
    assert pipeline["metadata"]["name"] == "cats-staging"
    assert pipeline["spec"]["sink"]["lance"]["dataset"] == dataset["metadata"]["name"]
    assert dataset["metadata"]["name"] == "cats-224-staging"
    (source,) = pipeline["spec"]["runtime"]["envFrom"]
    assert source["configMapRef"]["name"] == settings["metadata"]["name"]
    assert re.fullmatch(r"cats-settings-staging-\w+", settings["metadata"]["name"])
    assert {document["metadata"]["namespace"] for document in documents} == {"vision-staging"}


def test_a_patch_changes_an_entry_and_leaves_order_and_the_rest(programs: Binaries) -> None:
    base, production = (
        one(build(programs, GITOPS / "pipelines" / name), "MultimodalPipeline")["spec"]
        for name in ("base", "production")
    )
    base["cluster"]["workerGroups"][0]["maxReplicas"] = 40
    assert base["stages"][3]["name"] == "jpeg"
    base["stages"][3]["encode"]["quality"] = 95
    assert production == base


def test_a_patch_of_an_entry_that_has_moved_fails(programs: Binaries, tmp_path: Path) -> None:
    for name in ("kustomize", "pipelines"):
        shutil.copytree(GITOPS / name, tmp_path / name)
    manifest = tmp_path / "pipelines" / "base" / "cats.yaml"
    manifest.write_text(manifest.read_text().replace("name: jpeg", "name: webp"))
    with pytest.raises(AssertionError, match="stages/3/name"):
        build(programs, tmp_path / "pipelines" / "production")


def test_every_field_that_names_an_object_is_among_the_references() -> None:
    known = {
        (field["kind"], field["path"])
        for target in yaml.safe_load((GITOPS / "kustomize" / "references.yaml").read_text())[
            "nameReference"
        ]
        for field in target["fieldSpecs"]
    }
    named = {
        (kind, path)
        for kind in KINDS
        for path, text in _fields(kind)
        if re.match(
            r"(Name of (the|a) (Secret|ConfigMap|PersistentVolumeClaim|LanceDataset))", text
        )
    }
    assert ("MultimodalPipeline", "spec/run/triggers/dataset") in known
    assert len(named) > 5
    assert named <= known


def _fields(kind: str) -> Iterator[tuple[str, str]]:
    (path,) = (ROOT / "crds").glob(f"{kind.lower()}s.*.yaml")
    crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    yield from _texts(schema, "spec")


def _texts(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    inner = schema.get("items", schema)
    if "properties" not in inner:
        yield path, " ".join(schema.get("description", "").split())
    for name, one in inner.get("properties", {}).items():
        yield from _texts(one, f"{path}/{name}")
