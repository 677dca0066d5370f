"""Replaces rows of a dataset by new ones that keep their row ids, in bounded memory.

Lance's own `merge_insert` holds all matched rows at once (3.9 GB for 1.2 GB of pictures), gives
them in the order of its threads, and committed elsewhere loses what would keep two writers apart.
What it makes is plain: the old rows are marked as deleted, the new ones are written to fragments
of their own, which carry the old rows' ids. That is done here, streaming, in the run's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.tables.blobs import blob_columns, conform, logical_schema
from lancemill.tables.create import STORAGE_VERSION
from lancemill.tables.table import Table

Ids = npt.NDArray[np.uint64]


def replace_rows(
    dataset: Any, table: Table, batches: Iterator[pa.RecordBatch], ids: Ids, addresses: Ids
) -> Any:
    """The `LanceOperation.Update` that puts `batches` in place of rows.

    `ids` are the row ids that the rows of `batches` take over, in their order; `addresses` those of
    all rows that go. Columns that `batches` do not have keep the values of the rows replaced.
    """
    from lance import LanceOperation

    stored = dataset.schema
    whole = _completed(dataset, batches, ids)
    fragments = write(table, pa.RecordBatchReader.from_batches(stored, whole))
    if dataset.has_stable_row_ids:
        fragments = _with_ids(fragments, ids)
    updated, removed = _deleted(dataset, addresses)
    return LanceOperation.Update(
        removed_fragment_ids=removed,
        updated_fragments=updated,
        new_fragments=fragments,
        fields_for_preserving_frag_bitmap=list(_field_ids(dataset.lance_schema.fields())),
        update_mode="rewrite_rows",
    )


def write(table: Table, reader: pa.RecordBatchReader) -> list[Any]:
    """New fragments of the dataset at `table`, not committed."""
    from lance.fragment import write_fragments

    fragments: list[Any] = write_fragments(
        reader,
        table.uri,
        schema=reader.schema,
        mode="append",
        data_storage_version=STORAGE_VERSION,
        enable_stable_row_ids=True,
        storage_options=table.storage_options,
    )
    return fragments


def _completed(
    dataset: Any, batches: Iterator[pa.RecordBatch], ids: Ids
) -> Iterator[pa.RecordBatch]:
    """`batches` with the columns that they lack, as the replaced rows have them."""
    stored, start = dataset.schema, 0
    for batch in batches:
        mine = ids[start : start + batch.num_rows]
        start += batch.num_rows
        missing = [name for name in stored.names if name not in batch.schema.names]
        old = _take(dataset, mine, missing)
        columns = {**old, **dict(zip(batch.schema.names, batch.columns, strict=True))}
        together = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        yield conform(together, stored)


def _take(dataset: Any, ids: Ids, columns: Sequence[str]) -> dict[str, pa.Array]:
    """Values of the rows with these ids, in this order, blobs as bytes."""
    blobs = blob_columns(dataset.schema)
    plain = [name for name in columns if name not in blobs]
    found: dict[str, pa.Array] = {}
    if plain:
        taken = dataset._take_rows(ids.tolist(), columns=plain)
        for name in plain:
            kind = logical_schema(dataset.schema).field(name).type
            chunks = taken.column(name).combine_chunks()
            found[name] = chunks if isinstance(chunks, pa.Array) else pa.array([], kind)
    for name in columns:
        if name in blobs:
            read = dataset.read_blobs(name, ids=ids.tolist(), preserve_order=True)
            found[name] = pa.array([data for _, data in read], pa.large_binary())
    return found


def _with_ids(fragments: list[Any], ids: Ids) -> list[Any]:
    """`fragments` whose rows take over `ids`, in their order."""
    from lance.fragment import RowIdSequence

    given, start = [], 0
    for fragment in fragments:
        mine = ids[start : start + fragment.physical_rows]
        start += fragment.physical_rows
        told = RowIdSequence(mine).to_inline_metadata()
        given.append(replace(fragment, row_id_meta=told))
    return given


def _deleted(dataset: Any, addresses: Ids) -> tuple[list[Any], list[int]]:
    """Fragments with the rows at `addresses` marked as deleted, and those that have none left."""
    owner = (addresses >> np.uint64(32)).astype(np.int64)
    offset = (addresses & np.uint64(0xFFFFFFFF)).astype(np.int64)
    updated, removed = [], []
    for number in np.unique(owner).tolist():
        left = dataset.get_fragment(number).delete_rows(offset[owner == number].tolist())
        if left is None:
            removed.append(number)
        else:
            updated.append(left)
    return updated, removed


def _field_ids(fields: Sequence[Any]) -> Iterator[int]:
    """All fields, nested ones too: no index knows the new fragments before it is optimised."""
    for field in fields:
        yield field.id()
        yield from _field_ids(field.children())
