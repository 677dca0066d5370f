"""A manifest's documents on an API server: all looked at first, then applied, datasets first.

The API server is asked with a dry run what it would refuse, for all documents together, so that
nothing is applied by half and every mistake is told at once.
"""

from __future__ import annotations

import json as encoder
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.errors import Refused
from lancemill.errors import ManifestError, Mistake
from lancemill.report.lines import write_lines
from lancemill_api import manifest as manifests
from lancemill_api.mistakes import InvalidManifest

Object = dict[str, Any]

_OURS = ("name", "namespace", "labels", "annotations", "finalizers", "ownerReferences")
"""What of an object's metadata is whoever's applies it; the API server sets the rest."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the manifest."""

    kind: str
    name: str
    body: Object

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What has become of a document."""

    kind: str
    name: str
    namespace: str
    generation: int
    done: str
    """created, configured or unchanged."""


def read_documents(
    path: Path, overrides: Sequence[str], pipeline: str | None, namespace: str | None
) -> tuple[Document, ...]:
    """What is to be applied: LanceDatasets first, then pipelines (or the one that is named).

    `namespace` is the one that was asked for, if one was: a document may not name another.
    """
    try:
        found = manifests.load(path, str(path), overrides)
    except InvalidManifest as error:
        raise ManifestError(error.mistakes, error.source or str(path)) from None
    known = [one.name for one in found.pipelines]
    if pipeline is not None and pipeline not in known:
        there = ", ".join(known) or "none"
        message = f"there is no pipeline '{pipeline}'; there are: {there}"
        raise ManifestError([Mistake("kind", message)], str(path))
    documents = [_document(dict(one)) for one in found.documents]
    _require_namespace(documents, namespace, str(path))
    datasets = [one for one in documents if one.kind == paths.DATASET]
    pipelines = [one for one in documents if one.kind == paths.PIPELINE]
    return (*datasets, *(one for one in pipelines if pipeline in (None, one.name)))


def to_follow(documents: Sequence[Document], source: str) -> Document:
    """The one pipeline among them."""
    found = [one for one in documents if one.kind == paths.PIPELINE]
    if len(found) == 1:
        return found[0]
    if not found:
        message = "there is no MultimodalPipeline in this file, so that there is no run to follow"
    else:
        there = ", ".join(one.name for one in found)
        message = f"there are several pipelines, choose one to follow by --pipeline: {there}"
    raise ManifestError([Mistake("kind", message)], source)


def apply(
    api: Api,
    documents: Sequence[Document],
    source: str,
    *,
    force: bool,
    json: bool,
    people: TextIO,
) -> dict[str, Applied]:
    """Apply them all, and tell people (or, as JSON, scripts) for each what was done; by label."""
    _dry_run(api, documents, source, force)
    made = {}
    for one in documents:
        made[one.label] = _apply(api, one, source, force)
        _tell(made[one.label], None if json else people)
    return made


def _require_namespace(documents: Sequence[Document], wanted: str | None, source: str) -> None:
    wrong = [
        Mistake("metadata.namespace", f"is {own}, but --namespace is {wanted}", one.label)
        for one in documents
        if (own := one.body["metadata"].get("namespace")) not in (None, wanted)
    ]
    if wanted is not None and wrong:
        raise ManifestError(wrong, source)


def _document(value: Object) -> Document:
    given = value.get("metadata") or {}
    metadata = {key: given[key] for key in _OURS if given.get(key)}
    if "annotations" in metadata:
        kept = {key: one for key, one in metadata["annotations"].items() if key != _LAST_APPLIED}
        metadata["annotations"] = kept
    body = {key: one for key, one in value.items() if key != "status"} | {"metadata": metadata}
    return Document(str(value["kind"]), str(metadata["name"]), body)


def _path(api: Api, document: Document) -> str:
    namespace = document.body["metadata"].get("namespace") or api.namespace
    return paths.ours(document.kind, namespace, document.name)


def _dry_run(api: Api, documents: Sequence[Document], source: str, force: bool) -> None:
    mistakes: list[Mistake] = []
    for one in documents:
        try:
            api.apply(_path(api, one), one.body, about=one.label, force=force, dry_run=True)
        except Refused as refused:
            if not refused.is_of_the_manifest:
                raise
            mistakes += refused.mistakes(one.label if len(documents) > 1 else "")
    if mistakes:
        raise ManifestError(mistakes, source)


def _apply(api: Api, document: Document, source: str, force: bool) -> Applied:
    path = _path(api, document)
    before = api.find(path, about=document.label)
    try:
        after = api.apply(path, document.body, about=document.label, force=force)
    except Refused as refused:
        if refused.is_of_the_manifest:
            raise ManifestError(refused.mistakes(document.label), source) from None
        raise
    return _what_was_done(document, before, after)


def _what_was_done(document: Document, before: Object | None, after: Object) -> Applied:
    metadata = after["metadata"]
    if before is None:
        done = "created"
    else:
        same = before["metadata"].get("generation") == metadata.get("generation") and _marks(
            before
        ) == _marks(after)
        done = "unchanged" if same else "configured"
    return Applied(
        document.kind, document.name, metadata["namespace"], metadata.get("generation", 0), done
    )


def _marks(body: Object) -> tuple[Any, ...]:
    """What a user may change without a new generation."""
    metadata = body["metadata"]
    return tuple(metadata.get(key) or None for key in _OURS)


def _tell(applied: Applied, people: TextIO | None) -> None:
    if people is None:
        facts = {
            "event": "applied",
            "kind": applied.kind,
            "name": applied.name,
            "namespace": applied.namespace,
            "generation": applied.generation,
            "result": applied.done,
        }
        print(encoder.dumps(facts), flush=True)
        return
    again = ""
    if applied.kind == paths.PIPELINE and applied.done == "unchanged":
        again = f" (starts no run; lancemill rerun {applied.name} -n {applied.namespace} does)"
    where = f" in namespace {applied.namespace}"
    write_lines([f"{applied.kind} {applied.name} {applied.done}{where}{again}"], people)
