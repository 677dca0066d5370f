"""Between bytes as operations know them and blobs as Lance stores them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from lancemill.tables.types import is_blob


def blob_columns(schema: pa.Schema) -> list[str]:
    """Names of the blob columns of `schema`."""
    return [field.name for field in schema if is_blob(field.type)]


def logical_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` as its readers see it: blobs as plain bytes."""
    fields = [
        pa.field(one.name, pa.large_binary(), one.nullable, one.metadata)
        if is_blob(one.type)
        else one
        for one in schema
    ]
    return pa.schema(fields)


def to_blobs(values: pa.Array) -> pa.Array:
    """Byte strings as a blob array; no copy where they are large_binary already."""
    import lance

    storage_type = lance.blob_field("blob").type.storage_type
    data = values.cast(pa.large_binary())
    nothing = [pa.nulls(len(data), field.type) for field in storage_type][1:]
    names = [field.name for field in storage_type]
    storage = pa.StructArray.from_arrays([data, *nothing], names=names, mask=data.is_null())
    return pa.ExtensionArray.from_storage(lance.blob_field("blob").type, storage)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with the columns, order and types of `schema`: other columns are left out, and those
    that it does not have are null."""
    there = set(batch.schema.names)
    columns = [
        _conformed(batch.column(field.name), field)
        if field.name in there
        else _nothing(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _conformed(values: pa.Array, field: pa.Field) -> pa.Array:
    if is_blob(field.type):
        return to_blobs(values)
    if values.type == field.type:
        return values
    if isinstance(field.type, pa.ExtensionType):
        return pa.ExtensionArray.from_storage(
            field.type, _storage(values).cast(field.type.storage_type)
        )
    return _storage(values).cast(field.type)


def _nothing(rows: int, kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(rows, kind.storage_type))
    return pa.nulls(rows, kind)


def _storage(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def take_rows(
    dataset: Any, positions: Sequence[int], columns: Sequence[str], blobs: Collection[str]
) -> pa.RecordBatch:
    """Rows of `dataset` by their place in it, in the order asked for, blobs as bytes."""
    plain = [name for name in columns if name not in blobs]
    found: dict[str, pa.Array] = {}
    if plain:
        table = dataset.take(list(positions), columns=plain).combine_chunks()
        found = {name: _one_chunk(table.column(name)) for name in plain}
    for name in blobs:
        if name in columns:
            read = dataset.read_blobs(name, indices=list(positions), preserve_order=True)
            found[name] = pa.array([data for _, data in read], pa.large_binary())
    return pa.RecordBatch.from_arrays([found[name] for name in columns], names=list(columns))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
