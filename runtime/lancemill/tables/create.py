"""Makes datasets without a race, with the properties that can be given at creation only.

Lance's own `mode="create"` and `"append"` on a missing path let two racers both believe that they
made it, and one of them loses rows that were acknowledged. A strict Overwrite of version 0
(`max_retries=0`) has exactly one winner; the others get OSError and open what the winner made.
Stable row ids are ignored unless they are asked for here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

from lancemill.ops.arrow_types import deeply
from lancemill.storage import explain
from lancemill.tables.table import Table
from lancemill.tables.types import is_blob

STORAGE_VERSION = "2.2"
"""The newest stable format; blobs with sidecars need it."""

PRIMARY_KEY = b"lance-schema:unenforced-primary-key"
"""Field metadata by which Lance itself lets two merges of one new key conflict."""


def table_schema(
    schema: pa.Schema, *, blobs: Collection[str] = (), key: Collection[str] = ()
) -> pa.Schema:
    """`schema` as a new dataset gets it: `blobs` as blob columns, `key` as primary key."""
    import lance

    fields = []
    for one in schema:
        one = one.with_type(deeply(one.type, _usual_map))
        if one.name in blobs and not is_blob(one.type):
            one = lance.blob_field(one.name, nullable=one.nullable).with_metadata(one.metadata)
        if one.name in key:
            metadata = {**(one.metadata or {}), PRIMARY_KEY: b"true"}
            one = one.with_nullable(False).with_metadata(metadata)
        fields.append(one)
    return pa.schema(fields)


def _usual_map(kind: pa.DataType) -> pa.DataType:
    """A map as Arrow itself makes it. Parquet files name a map's inner fields as they like; Lance
    keeps those names in the dataset, and then refuses rows that come without them."""
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, kind.item_field.with_name("value"))
    return kind


def create(table: Table, schema: pa.Schema) -> Any:
    """The dataset at `table`, made empty with `schema` if there was none."""
    from lance import LanceDataset, LanceOperation

    found = table.find()
    if found is not None:
        return found
    try:
        return LanceDataset.commit(
            table.uri,
            LanceOperation.Overwrite(schema, []),
            read_version=0,
            max_retries=0,
            enable_stable_row_ids=True,
            storage_options=table.storage_options,
        )
    except OSError as error:
        # Another process was faster, or the store refused: the dataset itself tells which.
        found = table.find()
        if found is None:
            raise explain(error, table.uri) from error
        return found
