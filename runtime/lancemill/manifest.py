"""Manifest files as users give them: loaded, overridden, and one pipeline picked to work on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lancemill.errors import ManifestError, Mistake
from lancemill_api import LanceDataset, MultimodalPipeline
from lancemill_api.mistakes import InvalidManifest


@dataclass(frozen=True, slots=True)
class Job:
    """One pipeline with what it needs from its file."""

    pipeline: MultimodalPipeline
    datasets: Mapping[str, LanceDataset]
    """LanceDatasets of the same file, by name."""
    base: Path
    """Where relative paths start: the manifest's folder."""
    text: str
    """The manifest as it is run."""
    source: str = ""
    """What messages call the manifest: its path."""
    arguments: tuple[str, ...] = ()
    """What stands behind `lancemill run` to get this job; nothing where there is no file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The documents of one manifest file."""

    pipelines: tuple[MultimodalPipeline, ...]
    datasets: Mapping[str, LanceDataset]
    base: Path
    text: str
    source: str
    arguments: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The pipelines' names."""
        return [one.metadata.name for one in self.pipelines]

    def told(self) -> str:
        """What the file holds, in words."""
        kinds = [(len(self.pipelines), "pipeline"), (len(self.datasets), "LanceDataset")]
        return ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in kinds if n)

    def job(self, name: str | None = None) -> Job:
        """The one pipeline, or the one called `name`; ManifestError where that is not one."""
        found = [one for one in self.pipelines if name in (None, one.metadata.name)]
        if len(found) == 1:
            arguments = self.arguments
            if arguments and name is not None:
                arguments = (*arguments, "--pipeline", name)
            return Job(found[0], self.datasets, self.base, self.text, self.source, arguments)
        there = ", ".join(self.names) or "none"
        if name is None and not found:
            message = "there is no MultimodalPipeline in this file"
        elif name is None:
            message = f"there are several pipelines, choose one by --pipeline: {there}"
        else:
            near = difflib.get_close_matches(name, self.names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            message = f"there is no pipeline '{name}'; {hint}there are: {there}"
        raise ManifestError([Mistake("kind", message)], self.source)

    def dataset(self, name: str | None = None) -> LanceDataset:
        """The one LanceDataset, or the one called `name`; ManifestError where that is not one."""
        if name is None and len(self.datasets) == 1:
            return next(iter(self.datasets.values()))
        found = None if name is None else self.datasets.get(name)
        if found is not None:
            return found
        there = ", ".join(self.datasets) or "none"
        asked = "choose one by --dataset" if name is None else f"there is no LanceDataset '{name}'"
        raise ManifestError([Mistake("kind", f"{asked}; there are: {there}")], self.source)


def load(path: Path, overrides: Iterable[str] = ()) -> Loaded:
    """The manifest at `path`, with `path=value` overrides; ManifestError with all mistakes."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ManifestError([Mistake("", f"cannot be read: {why}")], str(path)) from None
    overrides = tuple(overrides)
    loaded = load_text(text, source=str(path), base=path.absolute().parent, overrides=overrides)
    arguments = (str(path), *(part for one in overrides for part in ("--set", one)))
    return replace(loaded, arguments=arguments)


def load_text(text: str, *, source: str, base: Path, overrides: Iterable[str] = ()) -> Loaded:
    """The manifest in `text`; `source` is what messages call it."""
    from lancemill_api import manifest as documents

    overrides = tuple(overrides)
    try:
        loaded = documents.load(text, source=source, overrides=overrides)
    except InvalidManifest as error:
        raise ManifestError(error.mistakes, error.source or source) from None
    return Loaded(
        pipelines=tuple(loaded.pipelines),
        datasets={one.metadata.name: one for one in loaded.datasets},
        base=base,
        text=documents.dump(loaded) if overrides else text,
        source=source,
    )
