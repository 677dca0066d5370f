"""Parquet files as a source, read where they lie: the snapshot pins them by size and ETag."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import pyarrow as pa

from lancemill.errors import StorageError
from lancemill.ops.arrow_types import without_views
from lancemill.sources.parquet_rows import ParquetRows, by_bytes
from lancemill.sources.shards import cut_evenly
from lancemill.sources.source import Shard
from lancemill.sources.table_columns import chosen
from lancemill.sources.table_files import TableFile, check_unchanged, table_files

SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A file, a folder of files, or those that a glob matches, as one table."""

    uri: str
    columns: tuple[str, ...] | None
    storage: object | None

    def schema(self) -> pa.Schema:
        first = table_files(self.uri, SUFFIXES, self.storage)[0]
        return chosen(_plain(ParquetRows(first.uri, self.storage).schema), self.columns)

    def take_snapshot(
        self, folder: str, previous: dict[str, Any] | None = None
    ) -> ParquetTableSnapshot:
        del folder, previous
        files = table_files(self.uri, SUFFIXES, self.storage)
        readers = [ParquetRows(file.uri, self.storage) for file in files]
        schema = chosen(_plain(readers[0].schema), self.columns)
        for reader in readers[1:]:
            _check_alike(reader, schema, readers[0].uri)
        document = {
            "kind": "parquet",
            "uri": self.uri,
            "files": [asdict(file) for file in files],
            "fileRows": [reader.rows for reader in readers],
            "rows": sum(reader.rows for reader in readers),
            "bytes": sum(size for one in readers for _, size in one.groups(schema.names)),
            "told": f"{sum(one.rows for one in readers):,} rows in {len(files):,} Parquet files",
        }
        return ParquetTableSnapshot(document, schema, self.storage)

    def open_snapshot(self, document: dict[str, Any]) -> ParquetTableSnapshot:
        first = ParquetRows(document["files"][0]["uri"], self.storage)
        schema = chosen(_plain(first.schema), self.columns)
        return ParquetTableSnapshot(document, schema, self.storage)


@dataclass
class ParquetTableSnapshot:
    """Pinned files; a row's number counts through all of them."""

    document: dict[str, Any]
    schema: pa.Schema
    _storage: object | None = field(repr=False)

    @property
    def rows(self) -> int:
        return int(self.document["rows"])

    @property
    def bytes(self) -> int:
        return int(self.document["bytes"])

    def shards(self, target_bytes: int) -> Iterator[Shard]:
        names = self.schema.names
        groups = (group for _, reader in self._files for group in reader.groups(names))
        return cut_evenly(groups, target_bytes)

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for file, reader, low, high in self._parts(shard):
            check_unchanged(file, self._storage)
            rows = reader.read(low, high, columns, max_rows)
            for batch in by_bytes(rows, max_bytes):
                yield _as(batch, wanted)

    def _parts(self, shard: Shard) -> Iterator[tuple[TableFile, ParquetRows, int, int]]:
        """The files that hold the shard's rows, and which rows of each."""
        ends = list(accumulate(self.document["fileRows"]))
        for index in range(bisect_right(ends, shard.start), len(ends)):
            first = ends[index] - self.document["fileRows"][index]
            if first >= shard.stop:
                return
            low, high = max(shard.start - first, 0), min(shard.stop, ends[index]) - first
            yield *self._files[index], low, high

    @cached_property
    def _files(self) -> list[tuple[TableFile, ParquetRows]]:
        files = [TableFile(**file) for file in self.document["files"]]
        return [(file, ParquetRows(file.uri, self._storage)) for file in files]


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without the notes of the program that wrote it (pandas' index and the like), and without
    its views of text and bytes."""
    fields = [one.with_type(without_views(one.type)) for one in schema]
    return pa.schema(fields)


def _check_alike(reader: ParquetRows, schema: pa.Schema, first: str) -> None:
    other = _plain(reader.schema)
    for one in schema:
        if one.name not in other.names or other.field(one.name).type != one.type:
            there = f"{other.field(one.name).type}" if one.name in other.names else "missing"
            raise StorageError(
                f"{reader.uri}: column '{one.name}' is {there}, in {first} it is {one.type}",
                remedy="files of one table need the same columns; or name the ones to read in "
                "spec.source.table.columns",
            )


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the table's own fields (another file may differ in nullability and views)."""
    columns = [
        column if column.type == one.type else column.cast(one.type)
        for column, one in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
