"""format: columns put together into text, by a known template or by one of your own.

A text template is literal but for `{column}`; a brace written twice stands for itself. A row in
which any of the template's columns is null has null text: half a sentence is worse than none.
The alpaca template is one JSON object for each row, `{"instruction", "input", "output"}`, whose
input are the row's pictures in hexadecimal, without those that are null or empty; without an
instruction the text is null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lancemill.errors import Mistake, PlanError
from lancemill.media.types import ByteRows
from lancemill.ops.operation import (
    Applied,
    Bound,
    Outcome,
    Place,
    WorkerContext,
    is_binary,
    is_string,
    put_columns,
    require_column,
    with_columns,
)
from lancemill_api import template


def bind(spec: Any, schema: pa.Schema, place: Place, resolved: Any = None) -> Bound:
    """Bind a template to its columns; the new column is text."""
    del resolved
    if spec.template == "alpaca":
        columns: Sequence[str] = [spec.instruction, *spec.images]
        require_column(schema, spec.instruction, place.at("instruction"), is_string, "string")
        for index, name in enumerate(spec.images):
            require_column(schema, name, place.at(f"images[{index}]"), is_binary, "encoded bytes")
    else:
        columns = _template_columns(spec.text, schema, place)
    made = with_columns(schema, [pa.field(spec.into, pa.string())])

    def open_(_: WorkerContext) -> Applied:
        if spec.template == "alpaca":
            return Alpaca(made, spec.instruction, spec.images, spec.into)
        return TextTemplate(made, template.pieces(spec.text), spec.into)

    return Bound(
        stage=place.stage,
        operation="format",
        schema=made,
        reads=frozenset(columns),
        makes=frozenset({spec.into}),
        open=open_,
        summary=f"→ {spec.into}: string",
    )


def _template_columns(text: str, schema: pa.Schema, place: Place) -> Sequence[str]:
    path = place.at("text")
    try:
        columns = template.columns(text)
    except template.NoTemplate as error:
        raise PlanError.at(path, str(error)) from None
    mistakes: list[Mistake] = []
    for name in dict.fromkeys(columns):
        try:
            require_column(schema, name, path, _is_plain, "text, a number or true/false")
        except PlanError as error:
            mistakes += error.mistakes
    if mistakes:
        raise PlanError(mistakes)
    return columns


def _is_plain(kind: pa.DataType) -> bool:
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return numeric or is_string(kind)


class TextTemplate:
    """An opened text template. Numbers are written as Arrow casts them to text."""

    def __init__(self, schema: pa.Schema, parts: Sequence[str], into: str) -> None:
        self._schema = schema
        self._parts = parts
        self._into = into

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        parts = [
            pc.cast(batch.column(part), pa.string()) if index % 2 else pa.scalar(part)
            for index, part in enumerate(self._parts)
        ]
        if len(parts) == 1:
            text = pa.array([self._parts[0]] * len(batch), pa.string())
        else:
            text = pc.binary_join_element_wise(*parts, "")
        return Outcome(put_columns(batch, self._schema, {self._into: text}))

    def close(self) -> None:
        """Nothing is held."""


class Alpaca:
    """An opened alpaca template."""

    def __init__(
        self, schema: pa.Schema, instruction: str, images: Sequence[str], into: str
    ) -> None:
        self._schema = schema
        self._instruction = instruction
        self._images = images
        self._into = into

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        instructions = batch.column(self._instruction).to_pylist()
        columns = [ByteRows(batch.column(name)) for name in self._images]
        records = map(partial(_record, columns), range(len(batch)), instructions)
        text = pa.array(records, pa.string(), size=len(batch))
        return Outcome(put_columns(batch, self._schema, {self._into: text}))

    def close(self) -> None:
        """Nothing is held."""


def _record(columns: Sequence[ByteRows], row: int, instruction: str | None) -> str | None:
    if instruction is None:
        return None
    pictures = [column[row] for column in columns]
    record = {
        "instruction": instruction,
        "input": [picture.hex() for picture in pictures if picture],
        "output": "",
    }
    return json.dumps(record)
