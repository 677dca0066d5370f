"""Whether rows fit a dataset: told before a run starts, by names and types alone.

Lance changes some types on their way through a file (a list's item gets another name, large and
small variants are told apart), so what counts is the meaning: what a reader gets back.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

import pyarrow as pa

from lancemill.errors import Mistake
from lancemill.ops.arrow_types import type_text
from lancemill.tables.types import is_blob

BYTES = "bytes"
TEXT = "text"


def fit(
    output: pa.Schema,
    target: pa.Schema,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    partial: bool = False,
) -> list[Mistake]:
    """What keeps rows of `output` from going into `target`, the schema of dataset `name`.

    `columns` is the sink's list, where the manifest has one: mistakes are told at its entries.
    `partial` is true where columns that are not given keep their values (upsert of known rows).
    Paths are relative to the sink: `columns[1]`, or empty where there is no list.
    """
    mistakes = []
    for index, field in enumerate(output):
        path = _path(field.name, index, columns)
        if field.name not in target.names:
            near = difflib.get_close_matches(field.name, target.names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            mistakes.append(
                Mistake(
                    path,
                    f"'{field.name}' is no column of {name}; {hint}it has: "
                    + ", ".join(target.names)
                    + ". New columns are added by mode addColumns",
                )
            )
            continue
        into = target.field(field.name)
        if field.type != pa.null() and meaning(field.type) != meaning(into.type):
            told = f"{type_text(field.type)}, {name} has {type_text(into.type)}"
            mistakes.append(Mistake(path, f"'{field.name}' is {told}"))
    mistakes += [
        Mistake(
            "columns" if columns is not None else "",
            f"{name} has the column '{field.name}' ({type_text(field.type)}, never null), "
            "which the pipeline does not make",
        )
        for field in target
        if not field.nullable and field.name not in output.names and not partial
    ]
    return mistakes


def fits_new(
    output: pa.Schema, named: Collection[str], path: str, what: str = "column"
) -> list[Mistake]:
    """Names at `path` (a sink's key or blobs) that `output` does not have."""
    mistakes = []
    for index, name in enumerate(named):
        if name not in output.names:
            near = difflib.get_close_matches(name, output.names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            mistakes.append(
                Mistake(
                    f"{path}[{index}]",
                    f"'{name}' is no {what} of the output; {hint}it has: "
                    + ", ".join(output.names),
                )
            )
    return mistakes


def storable(output: pa.Schema, columns: Sequence[str] | None) -> list[Mistake]:
    """Columns of `output` that no Lance dataset can have. `columns` is the sink's list."""
    return [
        Mistake(
            _path(name, index, columns),
            f"'{name}' has a dot in its name, which Lance keeps for fields of structs; expected "
            "another name, such as by a sql stage",
        )
        for index, name in enumerate(output.names)
        if "." in name
    ]


def meaning(kind: pa.DataType) -> object:
    """What tells types apart that a writer cannot turn into each other without loss."""
    if is_blob(kind) or _is_bytes(kind):
        return BYTES
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return TEXT
    if isinstance(kind, pa.FixedShapeTensorType):
        return ("tensor", meaning(kind.value_type), tuple(kind.shape))
    if pa.types.is_fixed_size_list(kind):
        return ("vector", meaning(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ("list", meaning(kind.value_type))
    if pa.types.is_struct(kind):
        return ("struct", tuple((one.name, meaning(one.type)) for one in kind))
    if pa.types.is_map(kind):
        return ("map", meaning(kind.key_type), meaning(kind.item_type))
    if pa.types.is_dictionary(kind):
        return meaning(kind.value_type)
    return str(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _path(name: str, index: int, columns: Sequence[str] | None) -> str:
    if columns is None:
        return ""
    return f"columns[{list(columns).index(name) if name in columns else index}]"
