"""The CustomResourceDefinitions, made from the models: `python -m lancemill_api.crds FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lancemill_api import yaml_text
from lancemill_api.base import Model
from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline
from lancemill_api.structural import Schema, structural

GROUP, _, VERSION = API_VERSION.partition("/")
HEADER = "# Made from crds/lancemill_api by `make crds`; a test fails when they differ.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    """0 is always shown, 1 with `-o wide`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind: its model and its names."""

    model: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]

    @property
    def kind(self) -> str:
        return self.model.__name__

    @property
    def file(self) -> str:
        return f"{self.plural}.{GROUP}.yaml"


_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

RESOURCES = (
    Resource(
        MultimodalPipeline,
        "multimodalpipelines",
        "mmp",
        (
            _READY,
            Column("Phase", ".status.phase"),
            Column("Progress", ".status.progress.text"),
            Column("Rows", ".status.progress.rowsDone", "integer"),
            Column("Rows/s", ".status.progress.rowsPerSecond", "integer"),
            Column("Dataset", ".spec.sink.lance.dataset"),
            Column("Version", ".status.lastRun.datasetVersion", "integer"),
            Column("Run", ".status.currentRun.id", priority=1),
            _AGE,
        ),
    ),
    Resource(
        LanceDataset,
        "lancedatasets",
        "lds",
        (
            _READY,
            Column("Version", ".status.version", "integer"),
            Column("Rows", ".status.rows", "integer"),
            Column("Fragments", ".status.fragments", "integer"),
            Column("Size", ".status.size"),
            Column("LastCommit", ".status.lastCommit.text"),
            Column("URI", ".spec.uri", priority=1),
            _AGE,
        ),
    ),
)


def definition(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short],
                "categories": ["lancemill"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_printed(one) for one in resource.columns],
                    "schema": {"openAPIV3Schema": root_schema(resource.model)},
                }
            ],
        },
    }


def root_schema(model: type[Model]) -> Schema:
    """The schema of a whole object: what Kubernetes owns is said as it allows it to be said.

    Of metadata an API server lets a CRD restrict the name only. The status has a default of its
    own, so that an object which the operator has not seen yet does not look finished to GitOps.
    """
    schema = structural(model)
    properties = schema["properties"]
    name = properties["metadata"]["properties"]["name"]
    kept = ("type", "pattern", "maxLength")
    properties["metadata"] = {
        "type": "object",
        "properties": {"name": {word: name[word] for word in kept}},
    }
    for owned in ("apiVersion", "kind"):
        properties[owned] = {"type": "string"}
    properties["status"]["default"] = {"observedGeneration": -1}
    return {**schema, "required": ["spec"]}


def text(resource: Resource) -> str:
    """The file of one kind."""
    return HEADER + yaml_text.write(definition(resource))


def write(folder: Path) -> list[Path]:
    """Write the files of all kinds into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / resource.file for resource in RESOURCES]
    for resource, path in zip(RESOURCES, paths, strict=True):
        path.write_text(text(resource), encoding="utf-8")
    return paths


def _printed(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
    }
    return made | ({"priority": column.priority} if column.priority else {})


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m lancemill_api.crds FOLDER", file=sys.stderr)
        return 2
    for path in write(Path(arguments[0])):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
