"""A run's output before its commit, as a detached version that no reader comes across."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from lancemill.errors import StorageError
from lancemill.storage import Location, explain
from lancemill.tables import query
from lancemill.tables.blobs import blob_columns, logical_schema
from lancemill.tables.table import Table

BATCH_BYTES = 8 << 20
BATCH_ROWS = 8192
BLOB_ROWS = 32
"""Rows in a batch that holds blobs' bytes, whose size the fragments do not tell."""
IO_BYTES = 32 << 20
"""Bytes that may be read ahead; Lance's own default is 2 GiB."""
TEXT_BYTES = 64
"""What a text is taken for."""


class StagedRows:
    """Fragments that are not committed, readable as one table in their order."""

    def __init__(self, view: Any, columns: Sequence[str], uri: str) -> None:
        self.view = view
        self.uri = uri
        self.schema = logical_schema(pa.schema([view.schema.field(name) for name in columns]))
        self._blobs = blob_columns(view.schema)

    @property
    def rows(self) -> int:
        return int(self.view.count_rows())

    def query(self, sql: str) -> pa.Table:
        """DuckDB over the run's rows as table `output`; reads only the columns that `sql` names."""
        return query.query(sql, self)

    def head(self, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The first rows, blobs as bytes."""
        names = list(self.schema.names if columns is None else columns)
        scanner = self.view.scanner(columns=names, limit=rows, blob_handling="all_binary")
        return scanner.to_table()

    def scan(
        self, columns: Sequence[str], only_nulls: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """All rows in order; a blob column that is read for its nulls only costs no bytes."""
        read_bytes = any(name in self._blobs and name not in only_nulls for name in columns)
        try:
            for batch in self._scanner(list(columns), read_bytes).to_batches():
                yield self._as_bytes(batch) if not read_bytes else batch
        except OSError as error:
            raise explain(error, self.uri) from error

    def _scanner(self, columns: list[str], read_bytes: bool) -> Any:
        return self.view.scanner(
            columns=columns,
            blob_handling="all_binary" if read_bytes else "blobs_descriptions",
            batch_size=self._batch_rows(columns, read_bytes),
            batch_readahead=1,
            fragment_readahead=1,
            io_buffer_size=IO_BYTES,
        )

    def _batch_rows(self, columns: list[str], read_bytes: bool) -> int:
        """So many rows as make a batch: Lance's limit by bytes comes after it has read the rows."""
        width = sum(self._width(name) for name in columns if name not in self._blobs)
        rows = min(BATCH_ROWS, int(BATCH_BYTES / max(width, 1)))
        return max(1, min(rows, BLOB_ROWS) if read_bytes else rows)

    def _width(self, name: str) -> float:
        known = _width(self.view.schema.field(name).type)
        # Else as if it were all that there is: a fragment does not tell a column's share.
        return known if known is not None else self._bytes_per_row

    @property
    def _bytes_per_row(self) -> float:
        fragments = [fragment.metadata for fragment in self.view.get_fragments()]
        size = sum(file.file_size_bytes or 0 for one in fragments for file in one.files)
        rows = sum(one.physical_rows for one in fragments)
        return float(size / max(1, rows))

    def _as_bytes(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Blobs' descriptors as empty byte strings, null where the blob is."""
        columns = [
            _nulls_of(batch.column(name)) if name in self._blobs else batch.column(name)
            for name in batch.schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def stage(
    table: Table, schema: Any, fragments: Sequence[Any], columns: Sequence[str]
) -> StagedRows:
    """`fragments` of `table`, written with `schema` but not committed, as rows."""
    from lance import LanceDataset, LanceOperation

    try:
        view = LanceDataset.commit(
            table.uri,
            LanceOperation.Overwrite(schema, list(fragments)),
            detached=True,
            storage_options=table.storage_options,
        )
    except OSError as error:
        raise explain(error, table.uri) from error
    return StagedRows(view, columns, table.uri)


def forget(staged: StagedRows, folder: Location) -> None:
    """Remove the detached version; its data files stay. Lance's clean-up does not see it."""
    with suppress(StorageError):
        folder.delete(f"_versions/d{staged.view.version}.manifest")


def fragments_of(outputs: Sequence[Any]) -> list[Any]:
    """Lance's fragment metadata from the outputs' JSON, in row order."""
    import json

    from lance.fragment import FragmentMetadata

    told: list[Mapping[str, Any]] = [one for output in outputs for one in output.fragments]
    return [FragmentMetadata.from_json(json.dumps(one)) for one in told]


def _width(kind: pa.DataType) -> float | None:
    """Bytes that a value takes, where the type tells."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_fixed_size_list(kind):
        item = _width(kind.value_type)
        return None if item is None else item * kind.list_size
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT_BYTES
    try:
        return float(kind.bit_width) / 8
    except ValueError:
        return None


def _nulls_of(descriptors: pa.Array) -> pa.Array:
    empty = pa.repeat(pa.scalar(b"", pa.large_binary()), len(descriptors))
    nothing = pa.scalar(None, pa.large_binary())
    return pa.compute.if_else(descriptors.is_valid(), empty, nothing)
