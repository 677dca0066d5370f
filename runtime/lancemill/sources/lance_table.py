"""A Lance dataset as a source: one version of it, read in row order, blobs as their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from lancemill.errors import PlanError, StorageError
from lancemill.sources.missing_rows import Runs, missing_rows
from lancemill.sources.parquet_rows import by_bytes
from lancemill.sources.shards import cut_evenly
from lancemill.sources.source import Shard
from lancemill.sources.table_columns import PATH, chosen
from lancemill.storage import explain, lance_options
from lancemill.tables.blobs import take_rows

ROW_ID = "_rowid"
HEAD_ROWS = 64
"""Rows that the size of a row is estimated from."""


@dataclass(frozen=True, slots=True)
class LanceTable:
    """A dataset at its latest or at a given version; with `_rowid` on request."""

    uri: str
    columns: tuple[str, ...] | None
    version: int | None
    with_row_id: bool
    storage: object | None
    only_missing: tuple[str, ...] = ()
    """Where all of these are there: only rows that lack one of them."""

    def schema(self) -> pa.Schema:
        return self._schema(self._open(self.version))

    def take_snapshot(
        self, folder: str, previous: dict[str, Any] | None = None
    ) -> LanceTableSnapshot:
        del folder, previous
        dataset = self._open(self.version)
        schema = self._schema(dataset)
        rows = dataset.count_rows()
        document = {
            "kind": "lance",
            "uri": self.uri,
            "version": dataset.version,
            "rows": rows,
            "bytes": _bytes(dataset, schema),
            "told": f"{rows:,} rows of version {dataset.version}",
        }
        if self.only_missing and set(self.only_missing) <= set(dataset.schema.names):
            return self._with_missing(document, schema, dataset)
        return LanceTableSnapshot(document, schema, dataset)

    def _with_missing(
        self, document: dict[str, Any], schema: pa.Schema, dataset: Any
    ) -> LanceTableSnapshot:
        names = list(self.only_missing)
        snapshot = LanceTableSnapshot({**document, "missing": names}, schema, dataset)
        runs = snapshot.runs
        rows = 0 if runs is None else runs.rows
        told = f"{rows:,} of {document['told']} lack {' or '.join(names)}"
        size = document["bytes"] * rows // max(document["rows"], 1)
        snapshot.document |= {"rows": rows, "bytes": size, "told": told}
        return snapshot

    def open_snapshot(self, document: dict[str, Any]) -> LanceTableSnapshot:
        dataset = self._open(document["version"])
        return LanceTableSnapshot(document, self._schema(dataset), dataset)

    def _open(self, version: int | None) -> Any:
        import lance

        try:
            options = lance_options(self.storage, self.uri) or None
            return lance.dataset(self.uri, version=version, storage_options=options)
        except ValueError as error:
            if "not found" not in str(error).lower():
                raise explain(error, self.uri) from error
            if version is None:
                raise StorageError(
                    f"{self.uri}: there is no Lance dataset", remedy="check the uri"
                ) from None
            raise self._no_version(version) from None
        except OSError as error:
            raise explain(error, self.uri) from error

    def _no_version(self, version: int) -> Exception:
        if self.version is None:
            return StorageError(
                f"{self.uri}: version {version}, which this run began with, is gone",
                remedy="start a new run",
            )
        return PlanError.at(f"{PATH}.version", f"{self.uri} has no version {version}")

    def _schema(self, dataset: Any) -> pa.Schema:
        fields = [_readable(one) for one in dataset.schema]
        schema = chosen(pa.schema(fields), self.columns)
        return schema.append(pa.field(ROW_ID, pa.uint64())) if self.with_row_id else schema


@dataclass
class LanceTableSnapshot:
    """One version of a dataset."""

    document: dict[str, Any]
    schema: pa.Schema
    _dataset: Any = field(repr=False)

    @property
    def rows(self) -> int:
        return int(self.document["rows"])

    @property
    def bytes(self) -> int:
        return int(self.document["bytes"])

    @cached_property
    def runs(self) -> Runs | None:
        """The rows to read, where those are not all."""
        names = self.document.get("missing")
        return missing_rows(self._dataset, names) if names else None

    def shards(self, target_bytes: int) -> Iterator[Shard]:
        pieces = self._fragments if self.runs is None else [(self.rows, self.bytes)]
        return cut_evenly(pieces, target_bytes)

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        rows = self._batch_rows(max_rows, max_bytes)
        try:
            for some in self._reads(shard):
                found = (
                    self._scan(some, columns, rows)
                    if isinstance(some, range)
                    else self._take(some, columns, rows)
                )
                for batch in by_bytes(found, max_bytes):
                    yield _as(batch, wanted)
        except (OSError, ValueError) as error:
            raise explain(error, self.document["uri"]) from error

    def _reads(self, shard: Shard) -> Iterable[range | list[int]]:
        if self.runs is None:
            return [range(shard.start, shard.start + shard.rows)]
        return self.runs.reads(shard.start, shard.start + shard.rows)

    def _scan(self, rows: range, columns: Sequence[str], each: int) -> Iterator[pa.RecordBatch]:
        scanner = self._dataset.scanner(
            columns=[name for name in columns if name != ROW_ID],
            offset=rows.start,
            limit=len(rows),
            batch_size=each,
            with_row_id=ROW_ID in columns,
            blob_handling="all_binary",
            scan_in_order=True,
        )
        yield from scanner.to_batches()

    def _take(self, rows: list[int], columns: Sequence[str], each: int) -> Iterator[pa.RecordBatch]:
        blobs = [one.name for one in self._dataset.schema if _is_blob(one)]
        for start in range(0, len(rows), each):
            yield take_rows(self._dataset, rows[start : start + each], columns, blobs)

    def _batch_rows(self, max_rows: int, max_bytes: int) -> int:
        """Lance holds several batches at once, so that rows of megabytes must come in few."""
        each = self.bytes // max(self.rows, 1)
        return max(1, min(max_rows, max_bytes // max(each, 1)))

    @cached_property
    def _fragments(self) -> list[tuple[int, int]]:
        """(rows, expected bytes) of each fragment."""
        each = self.bytes / max(self.rows, 1)
        counts = (fragment.count_rows() for fragment in self._dataset.get_fragments())
        return [(rows, int(rows * each)) for rows in counts]


def _readable(one: pa.Field) -> pa.Field:
    """A column as reading gives it: a blob as its bytes, without Lance's notes on storage."""
    if _is_blob(one):
        return pa.field(one.name, pa.large_binary(), one.nullable)
    return one.remove_metadata()


def _is_blob(one: pa.Field) -> bool:
    notes = one.metadata or {}
    extension = getattr(one.type, "extension_name", "")
    return notes.get(b"lance-encoding:blob") == b"true" or extension.startswith("lance.blob")


def _bytes(dataset: Any, schema: pa.Schema) -> int:
    """What reading `schema` is expected to move: blobs by the sizes in their descriptors, the
    other columns by what the first rows take (files are no measure: they hold all columns)."""
    names = [one.name for one in dataset.schema if one.name in schema.names]
    blobs = [one.name for one in dataset.schema if one.name in names and _is_blob(one)]
    others = [name for name in names if name not in blobs]
    total = 0
    if blobs:
        for batch in dataset.scanner(columns=blobs).to_batches():
            total += sum(_sum(column.field("size")) for column in batch.columns)
    if others:
        head = dataset.scanner(columns=others, limit=HEAD_ROWS).to_table()
        total += head.nbytes * dataset.count_rows() // max(head.num_rows, 1)
    return total


def _sum(sizes: pa.Array) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(sizes).as_py() or 0)


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
