"""The API's type texts (`float32[512]`, `list<string>`, `image`) as Arrow types.

The grammar is the API's; what a type is in Arrow is the runtime's business, and decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import pyarrow as pa

from lancemill.media.types import IMAGE
from lancemill_api.types import ListOf, Scalar, Struct, Tensor, Timestamp, Type, parse

_SCALARS: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "date": pa.date32(),
    "image": IMAGE,
}


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type that `text` writes; raises lancemill_api.types.UnknownType."""
    return to_arrow(parse(text))


@singledispatch
def to_arrow(kind: Type) -> pa.DataType:
    """The Arrow type of a parsed one."""
    raise TypeError(f"{kind!r} is no type of the API")


@to_arrow.register
def _(kind: Scalar) -> pa.DataType:
    return _SCALARS[kind.name]


@to_arrow.register
def _(kind: Timestamp) -> pa.DataType:
    return pa.timestamp(kind.unit, kind.zone)


@to_arrow.register
def _(kind: Tensor) -> pa.DataType:
    return vector_or_tensor(_SCALARS[kind.item.name], kind.shape)


@to_arrow.register
def _(kind: ListOf) -> pa.DataType:
    return pa.list_(to_arrow(kind.item))


@to_arrow.register
def _(kind: Struct) -> pa.DataType:
    return pa.struct([pa.field(name, to_arrow(part)) for name, part in kind.fields])


def vector_or_tensor(item: pa.DataType, shape: tuple[int, ...]) -> pa.DataType:
    """Values of one shape: a fixed-size list for one dimension, a fixed-shape tensor for more."""
    if len(shape) == 1:
        return pa.list_(item, shape[0])
    return pa.fixed_shape_tensor(item, list(shape))


def deeply(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """`kind` with `change` made to all types within it, the innermost first, and then to itself."""
    if pa.types.is_struct(kind):
        kind = pa.struct([one.with_type(deeply(one.type, change)) for one in kind])
    elif pa.types.is_map(kind):
        item = kind.item_field.with_type(deeply(kind.item_type, change))
        kind = pa.map_(kind.key_field.with_type(deeply(kind.key_type, change)), item)
    elif pa.types.is_list(kind):
        kind = pa.list_(kind.value_field.with_type(deeply(kind.value_type, change)))
    elif pa.types.is_large_list(kind):
        kind = pa.large_list(kind.value_field.with_type(deeply(kind.value_type, change)))
    elif pa.types.is_fixed_size_list(kind):
        item = kind.value_field.with_type(deeply(kind.value_type, change))
        kind = pa.list_(item, kind.list_size)
    return change(kind)


def without_views(kind: pa.DataType) -> pa.DataType:
    """`kind` with plain text and bytes for Arrow's views of them, which Arrow itself can neither
    filter nor take rows of."""
    return deeply(kind, _without_view)


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def type_text(kind: pa.DataType) -> str:
    """`kind` as a manifest would write it; Arrow's own name for what a manifest cannot write."""
    if getattr(kind, "extension_name", "") == "lance.blob.v2":
        return "binary"
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{type_text(kind.value_type)}[{','.join(map(str, kind.shape))}]"
    if pa.types.is_fixed_size_list(kind):
        return f"{type_text(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{type_text(kind.value_type)}>"
    if kind == IMAGE:
        return "image"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{one.name}: {type_text(one.type)}' for one in kind)}>"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{f', {kind.tz}' if kind.tz else ''}]"
    if pa.types.is_date32(kind):
        return "date"
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return names.get(str(kind), str(kind))
