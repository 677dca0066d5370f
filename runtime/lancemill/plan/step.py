"""What a plan is made of: steps with their specification, bound to the columns before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from lancemill.ops.operation import Bound, Place


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a step's work is to run; only a cluster heeds it."""

    group: str | None = None
    gpus: float = 0
    cpus: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One stage of the manifest: its operation, its specification, its place."""

    operation: str
    spec: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Step:
    """One or several stages (fused) that run as one operation."""

    parts: tuple[Part, ...]
    placement: Placement = field(default_factory=Placement)
    bound: Bound | None = None

    @property
    def name(self) -> str:
        """The stages' names, joined: `decode+small`."""
        return "+".join(part.place.stage for part in self.parts)

    @property
    def operation(self) -> str:
        """The operations' names, joined: `decode+resize`."""
        return "+".join(part.operation for part in self.parts)

    @property
    def done(self) -> Bound:
        """The bound operation, of a step that has been bound."""
        if self.bound is None:
            raise AssertionError(f"step {self.name} has not been bound")
        return self.bound


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest that fits together: pure data, ready to run anywhere."""

    pipeline: str
    source: pa.Schema
    """What the source has."""
    sink_columns: tuple[str, ...] | None
    """What the manifest asks the sink to keep; None keeps all."""
    steps: tuple[Step, ...]
    keeps: tuple[tuple[str, ...], ...] = ()
    """Columns that travel on after the source and after each step (one more than steps)."""
    notes: tuple[str, ...] = ()
    """What the rules did, and what a reader should know."""
    resolved: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """By stage: facts that needed IO, such as a model's signature."""
    key: str | None = None
    """The source column that names a row to a person."""
    local_uris: str | None = None
    """The source column whose URIs all name files of this machine, where there is one."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns that are read from the source."""
        return self.keeps[0]

    @property
    def output(self) -> pa.Schema:
        """What reaches the sink."""
        schema = self.steps[-1].done.schema if self.steps else self.source
        return pa.schema([schema.field(name) for name in self.keeps[-1]])
