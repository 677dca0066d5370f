"""Arrow types as people write them in manifests."""

from __future__ import annotations

import pyarrow as pa

from lancemill.media.types import IMAGE


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
