"""CSV and JSON as a source: read once, by DuckDB, into the snapshot's Parquet file.

Text has no types and no row numbers to start from, so a run reads it once and a resumed run never
again. Types are found from all rows, not from a sample: a file gives the same schema every time,
and no value deep in it can contradict a type.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lancemill.sources import text_formats
from lancemill.sources.parquet_rows import ParquetRows, by_bytes
from lancemill.sources.shards import cut_evenly
from lancemill.sources.snapshot_file import SnapshotFile, publish, spool
from lancemill.sources.source import Shard
from lancemill.sources.table_columns import chosen
from lancemill.sources.table_files import TableFile, check_unchanged, table_files
from lancemill.storage import each, explain, is_local, local_path, open_store

if TYPE_CHECKING:
    import duckdb

SUFFIXES = {
    "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    "json": (".json", ".json.gz"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
}
BATCH_ROWS = 2048

Files = dict[Path, TableFile]
"""Files by where they lie on this machine."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of text files, in the order of the files and of their lines."""

    uri: str
    format: str
    columns: tuple[str, ...] | None
    storage: object | None
    ledger_storage: object | None

    def schema(self) -> pa.Schema:
        with self._rows() as (rows, _):
            return chosen(_plain(rows.limit(0).to_arrow_table().schema), self.columns)

    def take_snapshot(self, folder: str, previous: dict[str, Any] | None = None) -> TextSnapshot:
        del previous
        with spool(folder) as scratch, self._rows() as (rows, files):
            schema = chosen(_plain(rows.limit(0).to_arrow_table().schema), self.columns)
            written = SnapshotFile(scratch / "rows.parquet", schema)
            for batch in self._batches(rows, files):
                columns = [_stored(batch.column(name)) for name in schema.names]
                written.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            written.close()
            for file in files.values():
                check_unchanged(file, self.storage)
            size = sum(size for _, size in ParquetRows(str(written.path)).groups())
            kept = publish(written.path, folder, "rows.parquet", self.ledger_storage)
        document = {
            "kind": self.format,
            "uri": self.uri,
            "file": kept,
            "rows": written.rows,
            "bytes": size,
            "told": f"{written.rows:,} rows in {len(files):,} {self.format} files",
        }
        return self.open_snapshot(document)

    def open_snapshot(self, document: dict[str, Any]) -> TextSnapshot:
        return TextSnapshot(document, ParquetRows(document["file"], self.ledger_storage))

    def _batches(self, rows: duckdb.DuckDBPyRelation, files: Files) -> Iterator[pa.RecordBatch]:
        try:
            yield from rows.to_arrow_reader(BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            # What DuckDB finds while it streams comes through Arrow's reader.
            raise text_formats.malformed(str(error), self.format, _names(files)) from None

    @contextmanager
    def _rows(self) -> Iterator[tuple[duckdb.DuckDBPyRelation, Files]]:
        """The table as a DuckDB relation, and the files that it is of."""
        import duckdb

        found = table_files(self.uri, SUFFIXES[self.format], self.storage)
        with _nearby(found, self.storage) as files:
            con = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
            try:
                con.execute("SET TimeZone = 'UTC'")
                read = text_formats.csv_rows if self.format == "csv" else text_formats.json_rows
                yield read(con, _names(files), lines=self.format == "jsonl"), files
            except duckdb.Error as error:
                raise text_formats.malformed(str(error), self.format, _names(files)) from None
            finally:
                con.close()


@dataclass
class TextSnapshot:
    """The rows as they were read, in a Parquet file of the ledger."""

    document: dict[str, Any]
    _file: ParquetRows = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema

    @property
    def rows(self) -> int:
        return int(self.document["rows"])

    @property
    def bytes(self) -> int:
        return int(self.document["bytes"])

    def shards(self, target_bytes: int) -> Iterator[Shard]:
        return cut_evenly(self._file.groups(), target_bytes)

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        rows = self._file.read(shard.start, shard.stop, columns, max_rows)
        return by_bytes(rows, max_bytes)


@contextmanager
def _nearby(found: list[TableFile], storage: object | None) -> Iterator[Files]:
    """The files on this machine: where they lie, or copies for the time of reading."""
    if all(is_local(file.uri) for file in found):
        yield {local_path(file.uri): file for file in found}
        return
    with tempfile.TemporaryDirectory(prefix="lancemill-") as scratch:
        copies = {}
        for index, file in enumerate(found):
            copy = Path(scratch) / f"{index:06d}-{file.uri.rpartition('/')[2]}"
            _download(file.uri, copy, storage)
            copies[copy] = file
        yield copies


def _download(uri: str, target: Path, storage: object | None) -> None:
    from obstore.exceptions import BaseError

    place = open_store(uri, storage)
    try:
        with target.open("wb") as file:
            for part in each(lambda: place.store.get(place.path).stream()):
                file.write(part)
    except (OSError, BaseError) as error:
        raise explain(error, uri) from error


def _names(files: Files) -> dict[Path, str]:
    return {path: file.uri for path, file in files.items()}


def _plain(schema: pa.Schema) -> pa.Schema:
    """DuckDB's JSON columns are text to everybody else."""
    return pa.schema([pa.field(one.name, _storage(one.type)) for one in schema])


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _stored(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column
