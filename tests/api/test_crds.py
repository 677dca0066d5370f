"""The CRDs are what the models give, and what an API server accepts.

An API server's own words for a schema that it takes: structural. These tests hold its rules; no
API server is needed for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lancemill_api import crds
from lancemill_api.crds import RESOURCES, Resource, definition, root_schema

FOLDER = Path(__file__).parents[2] / "crds"
MOST_BYTES = 262_144
RESERVED = {
    *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"),
    *("function", "if", "import", "let", "loop", "package", "namespace", "return", "var"),
    *("void", "while"),
}
"""Names that CEL takes for itself; Kubernetes escapes fields that are called so."""
FORBIDDEN = {
    *("$ref", "$defs", "definitions", "const", "discriminator", "prefixItems", "title"),
    *("patternProperties", "propertyNames", "uniqueItems", "deprecated", "oneOf", "allOf", "not"),
    *("dependencies", "id", "readOnly", "writeOnly", "xml", "examples"),
}
by_kind = pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.kind)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, one in schema.get("properties", {}).items():
        yield from nodes(one, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


@by_kind
def test_the_file_in_the_repository_is_what_the_models_give(resource: Resource) -> None:
    written = (FOLDER / resource.file).read_text(encoding="utf-8")
    assert written == crds.text(resource), "run `make crds`"
    assert yaml.safe_load(written) == definition(resource)


def test_there_is_no_file_for_a_kind_that_is_gone() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {one.file for one in RESOURCES}


@by_kind
def test_it_fits_into_an_annotation_of_kubectl_apply(resource: Resource) -> None:
    annotation = json.dumps(definition(resource), separators=(",", ":"))
    assert len(annotation.encode()) < MOST_BYTES * 3 / 4


@by_kind
def test_the_schema_is_structural(resource: Resource) -> None:
    for path, node in nodes(root_schema(resource.model)):
        assert not FORBIDDEN & node.keys(), path
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node, path
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
        else:
            assert node["type"] in ("object", "array", "string", "integer", "number", "boolean")
            assert "anyOf" not in node, path
        assert not ("properties" in node and "additionalProperties" in node), path
        if node.get("type") == "array":
            assert "items" in node, path
        if node.get("type") == "object":
            free = ("properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields")
            assert any(word in node for word in free), path
        assert isinstance(node.get("exclusiveMinimum", True), bool), path


@by_kind
def test_lists_maps_and_texts_of_a_specification_are_bounded(resource: Resource) -> None:
    spec = root_schema(resource.model)["properties"]["spec"]
    for path, node in nodes(spec, "spec"):
        if node.get("type") == "array":
            assert node["maxItems"] <= 1024, path
        if "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node:
            assert node["maxProperties"] <= 256, path
        if node.get("type") == "string" and "enum" not in node:
            assert node["maxLength"] <= 65536, path


@by_kind
def test_lists_of_named_entries_are_maps_by_name(resource: Resource) -> None:
    for path, node in nodes(root_schema(resource.model)):
        keys = node.get("x-kubernetes-list-map-keys")
        assert (node.get("x-kubernetes-list-type") == "map") == bool(keys), path
        if keys:
            assert set(keys) <= set(node["items"]["required"]), path
    named = {
        path: node["x-kubernetes-list-map-keys"]
        for path, node in nodes(root_schema(resource.model))
        if "x-kubernetes-list-map-keys" in node
    }
    expected = {
        "MultimodalPipeline": {
            ".spec.stages": ["name"],
            ".spec.validate": ["name"],
            ".spec.summary": ["name"],
            ".spec.cluster.workerGroups": ["name"],
            ".spec.cluster.workerGroups[].volumes": ["name"],
            ".spec.cluster.workerGroups[].volumeMounts": ["mountPath"],
            ".spec.cluster.head.volumes": ["name"],
            ".spec.cluster.head.volumeMounts": ["mountPath"],
            ".spec.runtime.env": ["name"],
            ".spec.runtime.imagePullSecrets": ["name"],
            ".status.conditions": ["type"],
        },
        "LanceDataset": {
            ".spec.schema": ["name"],
            ".spec.runtime.env": ["name"],
            ".spec.runtime.imagePullSecrets": ["name"],
            ".status.conditions": ["type"],
        },
    }
    assert named == expected[resource.kind]


@by_kind
def test_rules_speak_of_fields_that_exist_and_of_no_reserved_word(resource: Resource) -> None:
    for path, node in nodes(root_schema(resource.model)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert "\n" not in rule["message"]
            assert rule["message"].strip(), path
            assert rule["rule"].count("(") == rule["rule"].count(")"), path
            for name in re.findall(r"\bself\.(\w+)", rule["rule"]):
                assert name in node["properties"], f"{path}: {rule['rule']}"
                assert name not in RESERVED


def test_rules_say_what_structure_cannot() -> None:
    (pipeline, _) = RESOURCES
    found = {
        path: [rule["message"] for rule in node["x-kubernetes-validations"]]
        for path, node in nodes(root_schema(pipeline.model))
        if "x-kubernetes-validations" in node
    }
    assert found[".spec.source"] == ["expected exactly one source: objects or table"]
    assert found[".spec.sink"] == ["expected exactly one sink: lance, parquet or jsonl"]
    assert found[".spec.stages[]"][0].startswith("expected exactly one operation: fetch, ")
    assert found[".spec.stages[].placement.concurrency"] == ["min must be at most max"]
    assert found[".spec.cluster.workerGroups[]"] == [
        "minReplicas must be at most maxReplicas",
        "name is taken by Lancemill or KubeRay; expected another one",
        "labels has a key that Lancemill or KubeRay set; remove it",
        "annotations has a key that Lancemill or KubeRay set; remove it",
        "each volumeMounts[].name must name one of volumes",
    ]
    assert found[".spec.runtime.env[]"][0] == "expected exactly one value: value or valueFrom"
    assert found[".spec.runtime.env[]"][2].startswith("value is a secret, by its name or its form")
    assert found[".spec.validate[].expect"] == [
        "expected at least one of min, max, equals",
        "min must be at most max",
    ]
    lance = found[".spec.sink.lance"]
    assert "expected exactly one target: dataset or uri" in lance
    assert "mode upsert needs key: the columns that tell rows apart" in lance


@by_kind
def test_an_object_that_the_operator_has_not_seen_does_not_look_finished(
    resource: Resource,
) -> None:
    schema = root_schema(resource.model)
    assert schema["properties"]["status"]["default"] == {"observedGeneration": -1}
    version = definition(resource)["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}


@by_kind
def test_defaults_fit_their_own_schema(resource: Resource) -> None:
    for path, node in nodes(root_schema(resource.model)):
        if "default" not in node:
            continue
        default = node["default"]
        if node.get("type") == "object":
            assert not node.get("required"), f"{path}: {{}} is no default for it"
        if "enum" in node:
            assert default in node["enum"], path
        if "pattern" in node:
            assert re.search(node["pattern"], str(default)), path
        if node.get("type") in ("integer", "number"):
            assert default >= node.get("minimum", default), path


@by_kind
def test_every_field_is_explained_in_one_line(resource: Resource) -> None:
    for path, node in nodes(root_schema(resource.model)["properties"]["spec"], "spec"):
        if not path.endswith(("[]", "{}")):
            assert node["description"].endswith("."), path
        assert "\n" not in node.get("description", ""), path


def test_kubectl_get_shows_the_columns_of_the_design() -> None:
    headings = {
        one.plural: [column.name.upper() for column in one.columns if not column.priority]
        for one in RESOURCES
    }
    assert headings["multimodalpipelines"] == [
        *("READY", "PHASE", "PROGRESS", "ROWS", "ROWS/S", "DATASET", "VERSION", "AGE")
    ]
    assert headings["lancedatasets"] == [
        *("READY", "VERSION", "ROWS", "FRAGMENTS", "SIZE", "LASTCOMMIT", "AGE")
    ]
    for one in RESOURCES:
        names = definition(one)["spec"]["names"]
        assert names["categories"] == ["lancemill"]
    assert [one.short for one in RESOURCES] == ["mmp", "lds"]


@by_kind
def test_columns_of_kubectl_get_show_fields_that_exist(resource: Resource) -> None:
    paths = {path for path, _ in nodes(root_schema(resource.model))}
    for column in resource.columns:
        if column.path != ".metadata.creationTimestamp":
            assert re.sub(r"\[\?.*\]", "[]", column.path) in paths, column.path


def test_the_generator_writes_a_file_for_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crds.main([str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.count("wrote ") == 2
    for resource in RESOURCES:
        assert (tmp_path / "new" / resource.file).read_text() == crds.text(resource)
    assert crds.main([]) == 2
