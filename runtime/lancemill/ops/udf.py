"""udf: a function or class of the user's own, given batches of rows.

Whatever it raises for a batch, the batch is halved and tried again until single rows remain:
those alone are faults. So a function may see a row more than once, and a class with state should
not count what it is given. A result that is not what the manifest declares ends the run.

A process of its own (`isolation: process`) also survives crashes (fault WorkerCrashed) and stalls
(`rowTimeout`, fault Timeout): the process is ended, a fresh one takes its place.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.errors import Mistake, PlanError
from lancemill.ops.arrow_types import arrow_type
from lancemill.ops.entrypoint import Code, EntrypointError, locate
from lancemill.ops.operation import (
    Applied,
    Bound,
    Fault,
    Outcome,
    Place,
    WorkerContext,
    put_columns,
    require_column,
    with_columns,
)
from lancemill.ops.udf_runners import BatchFailed, InProcesses, InThreads, Runner
from lancemill_api.types import UnknownType

log = logging.getLogger(__name__)


def resolve(spec: Any, context: WorkerContext, place: Place) -> Code:
    """The function's code, found and hashed without running it; PlanError where there is none."""
    try:
        found = locate(spec.entrypoint, context.entrypoints)
    except EntrypointError as error:
        raise PlanError.at(place.at("entrypoint"), str(error)) from None
    except OSError as error:
        raise PlanError.at(place.at("entrypoint"), f"cannot be read: {error}") from None
    if context.code is None or not Path(found.origin).is_relative_to(context.code.resolve()):
        return found
    # Code that travels as one whole changes as one: also by what the function's file imports.
    whole = hashlib.sha256(f"{context.code_sha256} {found.sha256}".encode()).hexdigest()
    return replace(found, sha256=whole)


def bind(spec: Any, schema: pa.Schema, place: Place, resolved: Any = None) -> Bound:
    """Bind a function to its input columns and to the columns that it declares."""
    mistakes: list[Mistake] = []
    for index, name in enumerate(spec.inputs or ()):
        try:
            require_column(schema, name, place.at(f"inputs[{index}]"))
        except PlanError as error:
            mistakes += error.mistakes
    declared = _declared(spec, place, mistakes)
    if mistakes:
        raise PlanError(mistakes)
    inputs = tuple(spec.inputs) if spec.inputs is not None else tuple(schema.names)
    made = with_columns(schema, declared)

    def open_(context: WorkerContext) -> Applied:
        runner: Runner
        if spec.isolation == "process":
            runner = InProcesses(spec, declared, place.stage, context.entrypoints)
        else:
            runner = InThreads(spec, declared, place.stage, context.entrypoints)
        return Udf(runner, made, declared, inputs, place.stage)

    return Bound(
        stage=place.stage,
        operation="udf",
        schema=made,
        reads=frozenset(inputs),
        makes=frozenset(declared.names),
        open=open_,
        batch_rows=spec.batch_size,
        serial=spec.kind == "actor",
        summary=f"{spec.entrypoint} → {', '.join(declared.names)}",
        meaning={"code": resolved.sha256} if isinstance(resolved, Code) else {},
    )


def _declared(spec: Any, place: Place, mistakes: list[Mistake]) -> pa.Schema:
    fields = []
    for name in sorted(spec.schema_):
        try:
            fields.append(pa.field(name, arrow_type(spec.schema_[name])))
        except UnknownType as error:
            mistakes.append(Mistake(place.at(f"schema.{name}"), str(error)))
    return pa.schema(fields)


class Udf:
    """An opened function: batches in, the declared columns added, bad rows found by halving."""

    def __init__(
        self,
        runner: Runner,
        schema: pa.Schema,
        declared: pa.Schema,
        inputs: tuple[str, ...],
        stage: str,
    ) -> None:
        self._run = runner
        self._schema = schema
        self._declared = declared
        self._inputs = list(inputs)
        self._stage = stage

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        parts: list[pa.RecordBatch] = []
        faults: list[Fault] = []
        self._solve(batch.select(self._inputs), 0, parts, faults)
        table = pa.Table.from_batches(parts).combine_chunks()
        made = {name: _single(table.column(name)) for name in table.column_names}
        return Outcome(put_columns(batch, self._schema, made), tuple(faults))

    def close(self) -> None:
        self._run.close()

    def _solve(
        self, batch: pa.RecordBatch, start: int, parts: list[pa.RecordBatch], faults: list[Fault]
    ) -> None:
        try:
            parts.append(self._run(batch))
            return
        except BatchFailed as failure:
            if len(batch) <= 1:
                told = Fault(start, self._stage, failure.reason, str(failure), failure.may_pass)
                faults.append(told)
                parts.append(self._nulls(len(batch)))
                log.debug("%s: row failed\n%s", self._stage, failure.trace or failure)
                return
        half = len(batch) // 2
        self._solve(batch.slice(0, half), start, parts, faults)
        self._solve(batch.slice(half), start + half, parts, faults)

    def _nulls(self, rows: int) -> pa.RecordBatch:
        nulls = [pa.nulls(rows, field.type) for field in self._declared]
        return pa.RecordBatch.from_arrays(nulls, schema=self._declared)


def _single(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
