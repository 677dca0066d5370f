"""The types that manifests write (`float32[512]`, `list<string>`) as Arrow types."""

from __future__ import annotations

import pyarrow as pa

from lancemill.media.types import IMAGE
from lancemill_api import types

_NAMED = {
    "bool": pa.bool_(),
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


def arrow_type(kind: str | types.Type) -> pa.DataType:
    """The Arrow type that `kind` (a manifest's text, or what it was parsed to) stands for.

    One size is a fixed-size list (Lance indexes such as vectors), several are a tensor.
    """
    if isinstance(kind, str):
        kind = types.parse(kind)
    if isinstance(kind, types.Timestamp):
        return pa.timestamp(kind.unit, kind.zone)
    if isinstance(kind, types.ListOf):
        return pa.list_(arrow_type(kind.item))
    if isinstance(kind, types.Struct):
        return pa.struct([pa.field(name, arrow_type(one)) for name, one in kind.fields])
    if isinstance(kind, types.Tensor):
        item = arrow_type(kind.item)
        if len(kind.shape) == 1:
            return pa.list_(item, kind.shape[0])
        return pa.fixed_shape_tensor(item, list(kind.shape))
    return _NAMED.get(kind.name) or pa.type_for_alias(kind.name)


def type_text(kind: pa.DataType) -> str:
    """`kind` as a manifest would write it; Arrow's own name for what a manifest cannot write."""
    if is_blob(kind):
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


def is_blob(kind: pa.DataType) -> bool:
    """True for Lance's blob columns (told by name, so that pylance need not be imported)."""
    return getattr(kind, "extension_name", "") == "lance.blob.v2"
