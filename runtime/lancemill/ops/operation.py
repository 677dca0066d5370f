"""The contract of an operation: bound once (pure), opened once per worker, applied to batches.

Every operation is one module `lancemill.ops.<name>`, named as its field in the manifest, with

    bind(spec, schema, place, resolved) -> Bound      pure; raises PlanError
    resolve(spec, context, place) -> object           optional; facts that need IO, for bind

Operations know Arrow record batches and nothing of engines. A column of type `null` in the schema
given to `bind` is one whose maker is already known to be wrong: accept it, so that one mistake is
told once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.errors import PlanError

Shape = Literal["map", "filter", "expand"]
BoundBy = Literal["io", "cpu", "device"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the manifest an operation stands."""

    stage: str
    """The stage's name, as faults and metrics carry it."""
    path: str
    """The operation's path, `spec.stages[2].resize`."""

    def at(self, field_path: str) -> str:
        """The path of a field below this operation."""
        return f"{self.path}.{field_path}"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker gives to the operations that it opens."""

    cores: int = 1
    """Threads that may compute at once."""
    io_concurrency: int = 64
    """Requests that may be in flight at once."""
    base: Path = field(default_factory=Path)
    """Folder of the manifest: relative paths start here, and local user code."""
    storage: Any = None
    """The source's storage block, for operations that have none of their own."""
    code: Path | None = None
    """Folder of the user's code, where the manifest tells of one; else it lies in `base`."""
    code_sha256: str | None = None
    """What all the code in `code` is."""

    @property
    def entrypoints(self) -> Path:
        """Where the user's functions are looked for."""
        return self.code or self.base


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that an operation could not do."""

    row: int
    """Position in the batch that was given to the operation."""
    stage: str
    reason: str
    """A code in CamelCase: `Truncated`, `HttpStatus`, `TooManyPixels`, …"""
    message: str
    may_pass: bool = False
    """Whether a later attempt at the run may not meet it: the network's or the machine's fault, not
    the row's. In doubt it may."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch.

    A `map` operation gives exactly one row for each row that it got, in order; what it makes is
    null in rows with a fault (the engine decides, by `spec.errors`, whether such a row is set
    aside, kept with its null, or ends the run). `filter` and `expand` leave faulty rows out and
    say in `origin` from which input row each output row comes (ascending).
    """

    rows: pa.RecordBatch
    faults: tuple[Fault, ...] = ()
    origin: npt.NDArray[np.int64] | None = None


class Applied(Protocol):
    """An opened operation. Called from several threads at once unless `Bound.serial`."""

    def __call__(self, batch: pa.RecordBatch) -> Outcome: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """An operation that fits its input: what it reads and makes, and how to open it."""

    stage: str
    operation: str
    schema: pa.Schema
    """What comes out."""
    reads: frozenset[str]
    """Columns that it needs; others may be dropped before it."""
    makes: frozenset[str]
    """Columns that it makes or replaces."""
    open: Callable[[WorkerContext], Applied]
    shape: Shape = "map"
    bound_by: BoundBy = "cpu"
    batch_rows: int | None = None
    """Rows a call should get at most; None: as they come."""
    serial: bool = False
    """True when one call at a time is right (a model on a device, a stateful function)."""
    summary: str = ""
    """What the plan prints for it: `→ image: uint8[224,224,3]`."""
    meaning: Mapping[str, Any] = field(default_factory=dict)
    """Facts beyond the specification that decide the output: a model's hash, a function's code."""


UNKNOWN = pa.null()


def require_column(
    schema: pa.Schema,
    column: str,
    path: str,
    accepts: Callable[[pa.DataType], bool] = lambda _: True,
    expected: str = "",
) -> pa.DataType:
    """The type of `column`; PlanError at `path` tells what there is and what would be right."""
    if column not in schema.names:
        near = difflib.get_close_matches(column, schema.names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise PlanError.at(
            path,
            f"column '{column}' is made by no earlier stage; {hint}there are: "
            + ", ".join(schema.names),
        )
    found = schema.field(column).type
    if found != UNKNOWN and not accepts(found):
        raise PlanError.at(path, f"column '{column}' is {found}, expected {expected}")
    return found


def with_columns(schema: pa.Schema, fields: Iterable[pa.Field]) -> pa.Schema:
    """`schema` with `fields` replaced where they stand, or added at the end."""
    for one in fields:
        at = schema.get_field_index(one.name)
        schema = schema.append(one) if at < 0 else schema.set(at, one)
    return schema


def put_columns(
    batch: pa.RecordBatch, schema: pa.Schema, columns: Mapping[str, pa.Array]
) -> pa.RecordBatch:
    """`batch` with `columns` put in, laid out as `schema`."""
    arrays = [columns[name] if name in columns else batch.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def is_binary(kind: pa.DataType) -> bool:
    """Any of Arrow's byte-string types."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def is_string(kind: pa.DataType) -> bool:
    """Any of Arrow's text types."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
