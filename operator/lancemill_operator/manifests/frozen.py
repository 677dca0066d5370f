"""A run's frozen specification: what was asked when it started, whatever is edited afterwards.

A ConfigMap that nobody can change, mounted into the run's pods; no text of a user's ever stands in
a command line. It is written as YAML that the loader reads back to equal values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lancemill_api import yaml_text
from lancemill_api.dataset import LanceDataset
from lancemill_api.manifest import as_document, load
from lancemill_operator import names
from lancemill_operator.actions import Body
from lancemill_operator.facts import Frozen, Identity
from lancemill_operator.manifests.metadata import Kind, metadata, owner_labels, run_labels
from lancemill_operator.manifests.volumes import MANIFEST_KEY

MOST_BYTES = 2**20 - 4096
"""Kubernetes allows a ConfigMap 1 MiB; its metadata needs some of it."""
_KEPT = ("name", "namespace", "uid", "generation", "labels")


def frozen(
    identity: Identity,
    document: Mapping[str, Any],
    datasets: Sequence[LanceDataset],
    *,
    run: str,
) -> Body:
    """The ConfigMap of run `run`: the pipeline as it is, and the LanceDatasets that it names."""
    return config_map(
        identity,
        "MultimodalPipeline",
        names.config_map(identity.name, run),
        run_labels(identity, run),
        text(document, datasets),
    )


def config_map(
    owner: Identity, kind: Kind, name: str, labels: Mapping[str, str], content: str
) -> Body:
    """A ConfigMap that holds a manifest for good."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, kind, name, owner_labels(owner, kind) | dict(labels)),
        "immutable": True,
        "data": {MANIFEST_KEY: content},
    }


def thawed(data: Mapping[str, str]) -> Frozen:
    """What a frozen ConfigMap's `data` says. Raises InvalidManifest where this version's models
    refuse what an earlier one has frozen, and KeyError where the key is missing."""
    manifest = load(data[MANIFEST_KEY], "the run's ConfigMap")
    (pipeline,) = manifest.pipelines
    return Frozen(pipeline, manifest.datasets)


def too_large(document: Mapping[str, Any], datasets: Sequence[LanceDataset]) -> str | None:
    """What is wrong where the specification is too large to be frozen; None where it fits."""
    size = len(text(document, datasets).encode())
    if size <= MOST_BYTES:
        return None
    return (
        f"spec is {size} bytes with the LanceDatasets it names, expected at most {MOST_BYTES} "
        "(Kubernetes' limit for the ConfigMap that a run reads it from); put long queries and "
        "argument lists into files of the image"
    )


def text(document: Mapping[str, Any], datasets: Sequence[LanceDataset]) -> str:
    """The documents as one manifest."""
    written: Iterable[Mapping[str, Any]] = (document, *(as_document(one) for one in datasets))
    return "---\n".join(yaml_text.write(_stripped(one)) for one in written)


def _stripped(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its status, and without what others keep in its metadata."""
    given = document.get("metadata") or {}
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    annotations = {
        name: value
        for name, value in (given.get("annotations") or {}).items()
        if name.startswith(f"{names.GROUP}/")
    }
    return {
        "apiVersion": document.get("apiVersion", names.API_VERSION),
        "kind": document["kind"],
        "metadata": kept | ({"annotations": annotations} if annotations else {}),
        "spec": document["spec"],
    }
