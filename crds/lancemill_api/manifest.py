"""A manifest file: one or several documents, read with all mistakes, written without defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lancemill_api import wording, yaml_text
from lancemill_api.anatomy import Choice, Fields, nearest
from lancemill_api.dataset import LanceDataset
from lancemill_api.examination import examine, without_nulls
from lancemill_api.mistakes import InvalidManifest, Mistake
from lancemill_api.overrides import Override, apply, parse
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline
from lancemill_api.places import parent

Resource = MultimodalPipeline | LanceDataset

KINDS: Mapping[str, type[MultimodalPipeline] | type[LanceDataset]] = {
    "MultimodalPipeline": MultimodalPipeline,
    "LanceDataset": LanceDataset,
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says."""

    pipelines: tuple[MultimodalPipeline, ...] = ()
    datasets: tuple[LanceDataset, ...] = ()
    documents: tuple[Mapping[str, Any], ...] = ()
    """The documents as JSON values, in the file's order, overrides applied."""
    source: str = ""
    """Where it comes from, for messages."""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Datasets, then the pipelines that write to them."""
        return (*self.datasets, *self.pipelines)

    def dataset(self, name: str) -> LanceDataset | None:
        """The LanceDataset of that name."""
        return next((one for one in self.datasets if one.name == name), None)


def load(manifest: Path | str, source: str = "", overrides: Sequence[str] = ()) -> Manifest:
    """The manifest in a file (a Path) or a text (a str).

    `overrides` are `path=value` texts, applied before anything is checked. Raises InvalidManifest
    with every mistake of every document.
    """
    source = source or (str(manifest) if isinstance(manifest, Path) else "")
    documents, mistakes = yaml_text.read(_text(manifest, source))
    labels = _labels(documents)
    mistakes += _override(documents, labels, overrides)
    resources: list[Resource] = []
    for document, label in zip(documents, labels, strict=True):
        resource, wrong = _resource(document, label)
        mistakes += wrong
        if resource is not None:
            resources.append(resource)
    mistakes += _repeated(documents, labels)
    if not documents and not mistakes:
        mistakes = [Mistake("", f"has no document; expected {_kinds()}")]
    if mistakes:
        raise InvalidManifest(_in_order(mistakes), source)
    return Manifest(
        tuple(one for one in resources if isinstance(one, MultimodalPipeline)),
        tuple(one for one in resources if isinstance(one, LanceDataset)),
        tuple(document.value for document in documents),
        source,
    )


def dump(manifest: Manifest | Resource) -> str:
    """The manifest as YAML that loads to equal values: what was given, in the models' order."""
    resources = manifest.resources if isinstance(manifest, Manifest) else (manifest,)
    return "---\n".join(yaml_text.write(as_document(one)) for one in resources)


def as_document(resource: Resource) -> dict[str, Any]:
    """The resource as a JSON value, without defaults and status."""
    value = resource.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"status"})
    document: dict[str, Any] = without_nulls(Fields(type(resource)), value)
    return document


def missing_datasets(manifest: Manifest) -> list[Mistake]:
    """Datasets that pipelines write to by name and that the file does not have.

    In a cluster they may exist apart from the file; a local run knows the file only.
    """
    there = ", ".join(one.name for one in manifest.datasets) or "none"
    return [
        Mistake(
            "spec.sink.lance.dataset",
            f"'{lance.dataset}' is no LanceDataset of this file; there are: {there}; "
            "add one, or give uri",
            document=_label(pipeline.kind, pipeline.name),
        )
        for pipeline in manifest.pipelines
        if (lance := pipeline.spec.sink.lance) is not None
        and lance.dataset is not None
        and manifest.dataset(lance.dataset) is None
    ]


def _text(manifest: Path | str, source: str) -> str:
    if isinstance(manifest, str):
        return manifest
    try:
        return manifest.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidManifest(
            [Mistake("", f"is no text: byte {error.start} is not UTF-8")], source
        ) from None
    except OSError as error:
        reason = (error.strerror or "").lower() or str(error)
        raise InvalidManifest([Mistake("", f"cannot be read: {reason}")], source) from None


def _kinds() -> str:
    return " or ".join(KINDS)


def _label(kind: Any, name: Any) -> str:
    return f"{kind}/{name}"


def _labels(documents: Sequence[yaml_text.Document]) -> list[str]:
    """How messages call each document; nothing where there is only one."""
    if len(documents) == 1:
        return [""]
    return [_own_label(one.value) or f"document {at}" for at, one in enumerate(documents, 1)]


def _own_label(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return _label(kind, name) if isinstance(kind, str) and isinstance(name, str) else None


def _override(
    documents: Sequence[yaml_text.Document], labels: Sequence[str], overrides: Sequence[str]
) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for text in overrides:
        try:
            override = parse(text)
            document = _addressed(documents, override)
            model = _model(document.value)
            document.value = apply(Fields(model), document.value, override)
        except InvalidManifest as wrong:
            mistakes += wrong.mistakes
            continue
        inside = (override.path, f"{override.path}.", f"{override.path}[")
        document.lines = {
            path: line
            for path, line in document.lines.items()
            if path != inside[0] and not path.startswith(inside[1:])
        }
    return mistakes


def _addressed(documents: Sequence[yaml_text.Document], override: Override) -> yaml_text.Document:
    """The document that an override is for: the one it names, else the only pipeline."""
    if override.document:
        of_name = [
            one
            for one in documents
            if (label := _own_label(one.value))
            and override.document in (label, label.partition("/")[2])
        ]
    else:
        of_name = [one for one in documents if _model(one.value) is MultimodalPipeline]
    if len(of_name) == 1:
        return of_name[0]
    there = ", ".join(label for one in documents if (label := _own_label(one.value))) or "none"
    problem = (
        f"'{override.document}' names {len(of_name)} documents"
        if override.document
        else f"{len(of_name)} pipelines are in the file; say which one: NAME:{override.path}=VALUE"
    )
    raise InvalidManifest([Mistake(override.path, f"--set: {problem}; there are: {there}")])


def _model(value: Any) -> type[MultimodalPipeline] | type[LanceDataset]:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    near = nearest(kind, KINDS) if isinstance(kind, str) else None
    return KINDS[near] if near else MultimodalPipeline


def _resource(document: yaml_text.Document, label: str) -> tuple[Resource | None, list[Mistake]]:
    found = [Mistake(one.path, one.message, label, one.line) for one in document.mistakes]
    if not isinstance(document.value, dict):
        if not found:
            message = f"is {wording.found(document.value)}, expected a mapping: {_kinds()}"
            found = [Mistake("", message, label, document.line)]
        return None, found
    spoken_for = {one.path for one in found}
    resource, wrong = _examined(document.value)
    found += [
        Mistake(path, message, label, _line(document, path))
        for path, message in wrong
        if path not in spoken_for
    ]
    return (None if found else resource), found


def _examined(value: dict[str, Any]) -> tuple[Resource | None, list[tuple[str, str]]]:
    kind = value.get("kind")
    if not isinstance(kind, str) or nearest(kind, KINDS) is None:
        choice = Choice(tuple(KINDS))
        message = wording.missing(choice) if kind is None else wording.wrong(kind, choice)
        return None, [("kind", message)]
    return examine(_model(value), {key: one for key, one in value.items() if key != "status"})


def _line(document: yaml_text.Document, path: str) -> int:
    """Line of the field, else of what it would stand in."""
    while path and path not in document.lines:
        path = parent(path)
    return document.lines.get(path, document.line)


def _repeated(documents: Sequence[yaml_text.Document], labels: Sequence[str]) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for document, label in zip(documents, labels, strict=True):
        own = _own_label(document.value)
        if own in seen:
            message = f"{own} stands in line {seen[own]} already; expected another name"
            yield Mistake("metadata.name", message, label, _line(document, "metadata.name"))
        elif own is not None:
            seen[own] = document.line


def _in_order(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """By line, so that they read as the file does; those without a line first."""
    return sorted(mistakes, key=lambda one: one.line or 0)


__all__ = [
    "API_VERSION",
    "KINDS",
    "Manifest",
    "Resource",
    "as_document",
    "dump",
    "load",
    "missing_datasets",
]
