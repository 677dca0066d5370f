"""What keeps a dataset from being what its LanceDataset declares, in words.

Columns that are not declared are no drift: addColumns makes them, and others may. Nor is a column
that is never null although it might be: an upsert makes its key so.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from lancemill.ops.arrow_types import type_text
from lancemill.tables.fit import meaning
from lancemill.tables.types import is_blob


def drift(declared: pa.Schema, there: pa.Schema) -> list[str]:
    """One text for each column that is missing or another one."""
    return [text for field in declared for text in _of_column(field, there)]


def _of_column(declared: pa.Field, there: pa.Schema) -> Iterator[str]:
    name, wanted = declared.name, type_text(declared.type)
    if name not in there.names:
        yield f"column '{name}' ({wanted}) is missing"
        return
    found = there.field(name)
    if meaning(found.type) != meaning(declared.type):
        yield f"column '{name}' is {type_text(found.type)}, declared is {wanted}"
    elif is_blob(found.type) != is_blob(declared.type):
        ways = {True: "blob", False: "inline"}
        is_, wanted = ways[is_blob(found.type)], ways[is_blob(declared.type)]
        yield f"column '{name}' is stored {is_}, declared is {wanted}"
    if found.nullable and not declared.nullable:
        yield f"column '{name}' may be null, declared is never null"
