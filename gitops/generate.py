"""Writes what GitOps tools need from what it is derived from: `python gitops/generate.py`.

| file                        | made from                                                      |
|-----------------------------|----------------------------------------------------------------|
| argocd/argocd-cm.yaml       | argocd/resource_customizations, in the form of Argo CD's own   |
| kustomize/references.yaml   | the CRDs: fields that name a Secret, a ConfigMap, a dataset, … |

A test fails when they are not what this gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CRDS = HERE.parent / "crds"
CUSTOMIZATIONS = HERE / "argocd" / "resource_customizations"

Schema = dict[str, Any]
HEADER = "# Made by gitops/generate.py; a test fails when it is not what that gives.\n"

REFERENCES: Mapping[str, tuple[str, ...]] = {
    "ConfigMap": ("configMapRef.name", "configMapKeyRef.name", "configMap.name", "code.configMap"),
    "Secret": (
        *("secretRef.name", "secretKeyRef.name", "nodePublishSecretRef.name"),
        *("secret.secretName", "imagePullSecrets.name"),
    ),
    "PersistentVolumeClaim": ("persistentVolumeClaim.claimName",),
    "ServiceAccount": ("serviceAccountName",),
    "PriorityClass": ("priorityClassName",),
    "LanceDataset": ("lance.dataset", "triggers.dataset", "link.dataset"),
}
"""By the kind that is named: how the path of a field ends that names one."""
VERSIONS = {"LanceDataset": "v1alpha1", "PriorityClass": "v1"}


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, texts of several lines as they are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)


def files() -> dict[Path, str]:
    """Every file that is made, and its text."""
    return {
        HERE / "argocd" / "argocd-cm.yaml": HEADER + dump(argocd_cm()),
        HERE / "kustomize" / "references.yaml": HEADER + dump(references()),
    }


def argocd_cm() -> dict[str, Any]:
    """A part of Argo CD's ConfigMap: apply it by server-side apply, or merge it into yours."""
    data: dict[str, str] = {}
    for folder in sorted(CUSTOMIZATIONS.glob("*/*")):
        group_kind = f"{folder.parent.name}_{folder.name}"
        data[f"resource.customizations.health.{group_kind}"] = _read(folder / "health.lua")
        if (folder / "actions").is_dir():
            data[f"resource.customizations.actions.{group_kind}"] = _actions(folder / "actions")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {
                "app.kubernetes.io/name": "argocd-cm",
                "app.kubernetes.io/part-of": "argocd",
            },
        },
        "data": data,
    }


def _actions(folder: Path) -> str:
    definitions = [
        {"name": path.parent.name, "action.lua": _read(path)}
        for path in sorted(folder.glob("*/action.lua"))
    ]
    return dump({"discovery.lua": _read(folder / "discovery.lua"), "definitions": definitions})


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def kinds() -> Iterator[tuple[str, str, str, Schema]]:
    """Group, version, kind and schema of each custom resource."""
    for path in sorted(CRDS.glob("*.yaml")):
        spec = yaml.load(_read(path), Loader=yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            yield spec["group"], version["name"], spec["names"]["kind"], schema


def references() -> dict[str, Any]:
    """Names that kustomize keeps right where it changes that of their owner."""
    made = []
    for target, ends in REFERENCES.items():
        fields = [
            {"group": group, "kind": kind, "path": "/".join(path)}
            for group, _, kind, schema in kinds()
            for path in _paths(schema["properties"]["spec"], ("spec",))
            if any(_ends(path, end) for end in ends)
        ]
        if fields:
            made.append(
                {"kind": target, "version": VERSIONS.get(target, "v1"), "fieldSpecs": fields}
            )
    return {"nameReference": made}


def _ends(path: tuple[str, ...], end: str) -> bool:
    parts = tuple(end.split("."))
    return path[-len(parts) :] == parts


def _paths(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each field that holds no others; lists do not show in a path, as kustomize has it."""
    inner = schema.get("items", schema)
    if "properties" not in inner:
        yield path
    for name, one in inner.get("properties", {}).items():
        yield from _paths(one, (*path, name))


def main() -> None:
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
