"""Arrow values as JSON has them, and back.

| Arrow | JSON |
|---|---|
| binary, blobs | base64 text |
| timestamp, date, time | ISO 8601 text; with a zone, in UTC with Z |
| decimal, duration | text, as Arrow writes it |
| NaN, infinities | null: JSON has no such numbers |
| list, vector | array; a tensor is an array of arrays, in its shape |
| struct | object |
| map | array of [key, value] |

Intervals, unions, list views and run-end-encoded values have none: `has_json` tells.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pyarrow as pa

Values = list[Any]


def to_json(values: pa.Array) -> Values:
    """One JSON value for each of `values`."""
    kind = values.type
    if isinstance(kind, pa.FixedShapeTensorType):
        shape = tuple(kind.shape)
        return [None if v is None else _nested(v, shape) for v in to_json(values.storage)]
    if isinstance(kind, pa.BaseExtensionType):
        return to_json(values.storage)
    if pa.types.is_dictionary(kind):
        return to_json(values.dictionary_decode())
    if pa.types.is_floating(kind):
        return [None if v is None or not math.isfinite(v) else v for v in values.to_pylist()]
    if _is_bytes(kind):
        plain = values.to_pylist()
        return [None if v is None else base64.b64encode(v).decode() for v in plain]
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            values = values.cast(pa.timestamp(kind.unit, "UTC"))
        texts = values.cast(pa.string()).to_pylist()
        return [None if text is None else text.replace(" ", "T", 1) for text in texts]
    if pa.types.is_struct(kind):
        return _struct_to_json(values)
    if pa.types.is_map(kind):
        keys, items = to_json(values.keys), to_json(values.items)
        pairs = [[key, item] for key, item in zip(keys, items, strict=True)]
        return _cut(values, pairs, values.offsets)
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        flat = to_json(values.values.slice(values.offset * size, len(values) * size))
        valid = values.is_valid().to_pylist()
        return [flat[i * size : (i + 1) * size] if ok else None for i, ok in enumerate(valid)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _cut(values, to_json(values.values), values.offsets)
    if _is_plain(kind):
        return list(values.to_pylist())
    return list(values.cast(pa.string()).to_pylist())


def from_json(values: Values, kind: pa.DataType) -> pa.Array:
    """The array of `kind` that `to_json` made `values` of (but for what JSON has no number for)."""
    if isinstance(kind, pa.FixedShapeTensorType):
        flat = [None if v is None else np.asarray(v).ravel().tolist() for v in values]
        return pa.ExtensionArray.from_storage(kind, from_json(flat, kind.storage_type))
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, from_json(values, kind.storage_type))
    if pa.types.is_dictionary(kind):
        return from_json(values, kind.value_type).dictionary_encode().cast(kind)
    if _is_bytes(kind):
        return pa.array([None if v is None else base64.b64decode(v) for v in values], kind)
    if pa.types.is_struct(kind):
        children = [
            from_json([None if v is None else v[one.name] for v in values], one.type)
            for one in kind
        ]
        mask = pa.array([v is None for v in values], pa.bool_())
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=mask)
    if pa.types.is_map(kind):
        return _map_from_json(values, kind)
    if _is_any_list(kind):
        return _list_from_json(values, kind)
    if pa.types.is_time(kind):
        # Arrow reads times of day as a part of timestamps only.
        texts = [None if v is None else f"1970-01-01T{v}" for v in values]
        return pa.array(texts, pa.string()).cast(pa.timestamp(kind.unit)).cast(kind)
    if pa.types.is_duration(kind):
        return pa.array([None if v is None else int(v) for v in values], kind)
    if _is_plain(kind) or pa.types.is_floating(kind):
        return pa.array(values, kind)
    return pa.array(values, pa.string()).cast(kind)


def has_json(kind: pa.DataType) -> bool:
    """Whether JSON has a way to write values of `kind`."""
    if isinstance(kind, pa.BaseExtensionType):
        return has_json(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return has_json(kind.value_type)
    if (
        pa.types.is_interval(kind)
        or pa.types.is_union(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or pa.types.is_run_end_encoded(kind)
    ):
        return False
    return all(has_json(kind.field(index).type) for index in range(kind.num_fields))


def _map_from_json(values: Values, kind: pa.DataType) -> pa.Array:
    pairs = [pair for v in values if v is not None for pair in v]
    ends = np.cumsum([0, *(0 if v is None else len(v) for v in values)])
    return pa.MapArray.from_arrays(
        pa.array(ends, pa.int32()),
        from_json([key for key, _ in pairs], kind.key_type),
        from_json([item for _, item in pairs], kind.item_type),
        type=kind,
        mask=pa.array([v is None for v in values], pa.bool_()),
    )


def _list_from_json(values: Values, kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        nothing = [None] * kind.list_size
        flat = [one for v in values for one in (nothing if v is None else v)]
        mask = pa.array([v is None for v in values], pa.bool_())
        inner = from_json(flat, kind.value_type)
        return pa.FixedSizeListArray.from_arrays(inner, kind.list_size, mask=mask).cast(kind)
    flat = [one for v in values if v is not None for one in v]
    ends = np.cumsum([0, *(0 if v is None else len(v) for v in values)])
    offsets = pa.array(ends, pa.int64() if pa.types.is_large_list(kind) else pa.int32())
    maker = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    mask = pa.array([v is None for v in values], pa.bool_())
    return maker.from_arrays(offsets, from_json(flat, kind.value_type), mask=mask).cast(kind)


def _struct_to_json(values: pa.Array) -> Values:
    columns = [to_json(column) for column in values.flatten()]
    names = [one.name for one in values.type]
    valid = values.is_valid().to_pylist()
    rows = zip(*columns, strict=True) if columns else iter([()] * len(values))
    return [
        dict(zip(names, row, strict=True)) if ok else None
        for ok, row in zip(valid, rows, strict=True)
    ]


def _cut(values: pa.Array, flat: Values, offsets: pa.Array) -> Values:
    ends = offsets.to_pylist()
    valid = values.is_valid().to_pylist()
    return [flat[ends[i] : ends[i + 1]] if ok else None for i, ok in enumerate(valid)]


def _nested(flat: Values, shape: tuple[int, ...]) -> Any:
    """`flat` in `shape`; by slices, since its values may be null."""
    if len(shape) == 1:
        return flat
    size = len(flat) // shape[0]
    return [_nested(flat[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_any_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind)) and not pa.types.is_struct(kind)


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
