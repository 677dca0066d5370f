"""What is wrong with a manifest, one line each: shared by the models, the plan and the operator.

Imports nothing, so that whoever only tells mistakes does not pay for the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: where it stands, and what was found and would be right."""

    path: str
    """Path of the field in its document, `spec.stages[2].resize.width`."""
    message: str
    document: str = ""
    """Which document of the file: `MultimodalPipeline/cats`; empty where there is only one."""
    line: int | None = None
    """Line in the file, from 1, where known."""

    def __str__(self) -> str:
        return f"{self.path}  {self.message}"


class InvalidManifest(Exception):
    """A manifest that does not fit the models: holds every mistake, not only the first."""

    def __init__(self, mistakes: Iterable[Mistake], source: str = "") -> None:
        self.mistakes: Sequence[Mistake] = tuple(mistakes)
        self.source = source
        super().__init__("; ".join(str(mistake) for mistake in self.mistakes))
