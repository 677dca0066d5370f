"""infer: an ONNX model run on columns, as many rows at once as are measured to be fast.

A row with a null in any input has nulls in all outputs, and no fault. Batches are cut and put
together again only along the rows, so their size decides nothing but the speed (a model's last
bits may depend on it where its kernels do).
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.errors import Mistake, PlanError, RunError, StorageError
from lancemill.ops import infer_inputs, infer_outputs
from lancemill.ops.batch_sizer import BatchSizer
from lancemill.ops.infer_inputs import Input, UnfitError, usable_rows
from lancemill.ops.infer_outputs import Output
from lancemill.ops.onnx_model import Array, Model, ModelError, Value, find, open_session, read
from lancemill.ops.operation import (
    UNKNOWN,
    Bound,
    Fault,
    Outcome,
    Place,
    WorkerContext,
    put_columns,
    require_column,
    with_columns,
)

log = logging.getLogger(__name__)


def resolve(spec: Any, context: WorkerContext, place: Place) -> Model:
    """The model's hash and signature; PlanError where it is missing or another one."""
    try:
        return find(spec.model, context.base)
    except (ModelError, StorageError) as error:
        field = "model.sha256" if "SHA-256" in str(error) else "model.uri"
        raise PlanError.at(place.at(field), str(error)) from None


def bind(spec: Any, schema: pa.Schema, place: Place, resolved: Any = None) -> Bound:
    """Bind columns to the model's inputs, and its outputs to new columns."""
    model: Model | None = resolved
    mistakes: list[Mistake] = []
    inputs = _inputs(spec, schema, place, model, mistakes)
    outputs = _outputs(spec, place, model, inputs, mistakes)
    if mistakes:
        raise PlanError(mistakes)
    kinds = {output.column: output.kind for output in outputs}
    fields = [pa.field(name, kinds.get(name, UNKNOWN)) for name in spec.outputs.values()]
    made = with_columns(schema, fields)

    def open_(context: WorkerContext) -> Infer:
        assert model is not None, "a step whose model is not known is never opened"
        return Infer(model, inputs, outputs, made, place.stage, spec.batch_size, context)

    return Bound(
        stage=place.stage,
        operation="infer",
        schema=made,
        reads=frozenset(spec.inputs),
        makes=frozenset(spec.outputs.values()),
        open=open_,
        bound_by="device",
        batch_rows=spec.batch_size,
        serial=True,
        summary=f"→ {', '.join(f'{field.name}: {field.type}' for field in fields)}",
        meaning={"model": model.sha256} if model is not None else {},
    )


def _inputs(
    spec: Any, schema: pa.Schema, place: Place, model: Model | None, mistakes: list[Mistake]
) -> list[Input]:
    """The model's inputs, each with its column; a column of unknown type is left out."""
    bound: list[Input] = []
    for column, name in spec.inputs.items():
        path = place.at(f"inputs.{column}")
        try:
            kind = require_column(schema, column, path)
            if model is None:
                continue
            value = _named(model.inputs, name, "input", path)
            if kind != UNKNOWN:
                options = {"normalize": spec.normalize, "layout": spec.layout}
                bound.append(infer_inputs.fit(column, kind, value, **options))
        except PlanError as error:
            mistakes += error.mistakes
        except UnfitError as error:
            mistakes.append(Mistake(path, str(error)))
    if model is not None:
        mistakes += _unfed(spec, place, model)
    return bound


def _unfed(spec: Any, place: Place, model: Model) -> list[Mistake]:
    fed = list(spec.inputs.values())
    path = place.at("inputs")
    missing = [str(value) for value in model.inputs if value.name not in fed]
    twice = sorted({name for name in fed if fed.count(name) > 1})
    found = [Mistake(path, f"nothing feeds the model's input {each}") for each in missing]
    return found + [Mistake(path, f"two columns feed the model's input {name}") for name in twice]


def _outputs(
    spec: Any, place: Place, model: Model | None, inputs: Sequence[Input], mistakes: list[Mistake]
) -> list[Output]:
    columns = list(spec.outputs.values())
    mistakes += [
        Mistake(place.at("outputs"), f"two outputs become the column '{name}'")
        for name in sorted({name for name in columns if columns.count(name) > 1})
    ]
    if model is None:
        return []
    values: list[Value] = []
    for name in spec.outputs:
        path = place.at(f"outputs.{name}")
        try:
            values.append(_named(model.outputs, name, "output", path))
        except PlanError as error:
            mistakes += error.mistakes
    if mistakes or len(inputs) < len(model.inputs):
        return []
    shapes = _shapes(model, values, inputs, place, mistakes)
    return [
        infer_outputs.fit(value, spec.outputs[value.name], shapes[value.name])
        for value in values
        if value.name in shapes
    ]


def _named(values: Sequence[Value], name: str, what: str, path: str) -> Value:
    for value in values:
        if value.name == name:
            return value
    names = [value.name for value in values]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    there = ", ".join(map(str, values))
    raise PlanError.at(path, f"the model has no {what} '{name}'; {hint}it has: {there}")


def _shapes(
    model: Model,
    values: Sequence[Value],
    inputs: Sequence[Input],
    place: Place,
    mistakes: list[Mistake],
) -> dict[str, tuple[int, ...]]:
    """Whole shapes of the outputs for the smallest batch that the model takes."""
    rows = fixed_rows(model, inputs)
    shapes: dict[str, tuple[int, ...]] = {}
    for value in values:
        path = place.at(f"outputs.{value.name}")
        if value.element is None:
            mistakes.append(Mistake(path, f"{value} is of a kind that no column can hold"))
            continue
        shape = infer_outputs.known_shape(value.shape)
        if shape is None:
            shape = _tried(model, inputs, rows or 1, place)[value.name]
        if not shape or (isinstance(value.shape[0], int) and value.shape[0] != (rows or 1)):
            mistakes.append(Mistake(path, f"{value} has no axis for the rows"))
            continue
        shapes[value.name] = shape
    return shapes


def _tried(
    model: Model, inputs: Sequence[Input], rows: int, place: Place
) -> dict[str, tuple[int, ...]]:
    try:
        return model.output_shapes({each.name: (rows, *each.shape) for each in inputs})
    except Exception as error:
        shapes = ", ".join(f"{each.name} {[rows, *each.shape]}" for each in inputs)
        first = str(error).strip().splitlines()[0]
        message = f"the model cannot be run on inputs of these shapes ({shapes}): {first}"
        raise PlanError.at(place.at("inputs"), message) from None


def fixed_rows(model: Model, inputs: Sequence[Input]) -> int | None:
    """The batch size that the model insists on, None where any will do."""
    fed = {each.name for each in inputs}
    sizes = [value.shape[0] for value in model.inputs if value.name in fed]
    return next((size for size in sizes if isinstance(size, int)), None)


class Infer:
    """An opened model. One call at a time."""

    def __init__(
        self,
        model: Model,
        inputs: Sequence[Input],
        outputs: Sequence[Output],
        schema: pa.Schema,
        stage: str,
        batch_size: int,
        context: WorkerContext,
    ) -> None:
        try:
            found = read(model.place, model.storage)
            if found.sha256 != model.sha256:
                raise ModelError(
                    f"{model.place} has SHA-256 {found.sha256}, but the run was planned with "
                    f"{model.sha256}"
                )
            self._session = open_session(found, cores=context.cores)
        except ModelError as error:
            raise RunError(f"stage '{stage}': {error}") from error
        self._inputs = inputs
        self._outputs = outputs
        self._schema = schema
        self._stage = stage
        self._fixed = fixed_rows(model, inputs)
        self._sizer = BatchSizer(self._fixed or batch_size)
        self.gpus = 1.0 if "CUDAExecutionProvider" in self._session.get_providers() else 0.0
        """GPUs that the model lies on."""

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        filled = usable_rows([batch.column(each.column) for each in self._inputs])
        rows = batch if filled.all() else batch.filter(pa.array(filled))
        numbers = np.flatnonzero(filled)
        parts: list[list[Array]] = []
        faults: list[Fault] = []
        start = 0
        while start < len(rows):
            size = self._fixed or self._sizer.size()
            self._run(rows.slice(start, size), numbers[start : start + size], parts, faults)
            start += size
        filled[[fault.row for fault in faults]] = False
        made = {
            output.column: output.array(self._joined(parts, index, output), filled)
            for index, output in enumerate(self._outputs)
        }
        return Outcome(put_columns(batch, self._schema, made), tuple(faults))

    def close(self) -> None:
        """Let the model's memory go."""
        self._session = None

    def _run(
        self,
        rows: pa.RecordBatch,
        numbers: Array,
        parts: list[list[Array]],
        faults: list[Fault],
    ) -> None:
        """The model on a few rows; on one after the other where it refuses them together."""
        began = time.perf_counter()
        try:
            parts.append(self._asked(rows))
        except RunError:
            raise
        except Exception as error:
            if len(rows) > 1:
                for at in range(len(rows)):
                    self._run(rows.slice(at, 1), numbers[at : at + 1], parts, faults)
                return
            first = str(error).strip().splitlines()[0]
            log.debug("%s: the model failed\n%s", self._stage, error)
            # Of what a session raises, this alone is said of the values that it was given.
            may_pass = type(error).__name__ != "InvalidArgument"
            faults.append(Fault(int(numbers[0]), self._stage, "ModelError", first, may_pass))
        else:
            self._sizer.record(len(rows), time.perf_counter() - began)

    def _asked(self, rows: pa.RecordBatch) -> list[Array]:
        feeds: Mapping[str, Array] = {
            each.name: _padded(each.feed(rows.column(each.column)), self._fixed)
            for each in self._inputs
        }
        found = self._session.run([output.name for output in self._outputs], feeds)
        return [
            self._checked(output, values, len(rows))
            for output, values in zip(self._outputs, found, strict=True)
        ]

    def _checked(self, output: Output, values: Array, rows: int) -> Array:
        inner = tuple(values.shape[1:])
        shape = () if inner == (1,) else inner
        if shape != output.shape or len(values) != (self._fixed or rows):
            raise RunError(
                f"stage '{self._stage}': the model's output {output.name} has the shape "
                f"{list(values.shape)} for {rows} rows, planned was {[rows, *output.shape]}",
                final=True,
            )
        return values[:rows]

    def _joined(self, parts: Sequence[Sequence[Array]], index: int, output: Output) -> Array:
        if not parts:
            return np.zeros((0, *output.shape), output.element)
        return np.concatenate([part[index] for part in parts])


def _padded(values: Array, rows: int | None) -> Array:
    """`values` with their last row repeated, for a model that takes batches of one size only."""
    if rows is None or len(values) == rows:
        return values
    return np.concatenate([values, np.repeat(values[-1:], rows - len(values), axis=0)])
