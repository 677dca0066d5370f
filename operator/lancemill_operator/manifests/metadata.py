"""Names, labels and owners of what we make: how children are found again, and how they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lancemill_operator import names
from lancemill_operator.facts import Identity

Kind = Literal["MultimodalPipeline", "LanceDataset"]


def owner_labels(owner: Identity, kind: Kind) -> dict[str, str]:
    """The labels by which children of `owner` are found."""
    if kind == "MultimodalPipeline":
        return {names.PIPELINE_UID: owner.uid, names.PIPELINE: owner.name}
    return {names.DATASET_UID: owner.uid, names.DATASET: owner.name}


def run_labels(owner: Identity, run: str, attempt: int | None = None) -> dict[str, str]:
    """The labels of what belongs to a run, or to one attempt of it."""
    of_attempt = {} if attempt is None else {names.ATTEMPT: str(attempt)}
    return owner_labels(owner, "MultimodalPipeline") | {names.RUN: run} | of_attempt


def metadata(owner: Identity, kind: Kind, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Metadata of a child of `owner`.

    Labels and annotations of the owner are not copied: Argo CD and kubectl would take the child
    for one of theirs. The owner's deletion is never blocked by a child.
    """
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": names.labels(labels),
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
