"""Writes a shard's rows as Lance fragments: streaming, invisible until somebody commits them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from lancemill.errors import RunError
from lancemill.sinks.files import sidecars
from lancemill.sinks.sink import ShardOutput
from lancemill.sources.source import Shard
from lancemill.storage import Location, explain
from lancemill.tables.blobs import blob_columns, conform
from lancemill.tables.create import STORAGE_VERSION
from lancemill.tables.table import Table

MAX_BYTES_PER_FILE = 1 << 30
"""Where a large shard is cut; blobs in files of their own do not count."""
WIDE_ROW = 16 << 10
"""Bytes of a value of fixed size from which on its column is written batch by batch."""
PAGE_BYTES = 2 << 20
"""Bytes that each column gathers for a page where one is wide. Lance gathers 8 MiB by itself, and
copies what it gathers: batches of pictures are large enough to be pages as they are."""


class LanceWriter:
    """Writes each shard into fragments of its own. May be called from several threads."""

    def __init__(
        self,
        table: Table,
        schema: pa.Schema,
        folder: Location,
        *,
        mode: str = "append",
        names: Mapping[str, str] | None = None,
    ) -> None:
        """`schema` as Lance stores it; `names` of input columns that are stored under another."""
        self.table = table
        self.schema = schema
        self.folder = folder
        self.mode = mode
        self.names = dict(names or {})
        self._blobs = blob_columns(schema)

    def write(self, shard: Shard, batches: Iterator[pa.RecordBatch]) -> ShardOutput:
        """Fragments with the rows of `batches`; none for no rows."""
        from lance.fragment import write_fragments

        feed = _Feed(batches, self._conform)
        reader = pa.RecordBatchReader.from_batches(self.schema, iter(feed))
        try:
            fragments = write_fragments(
                reader,
                self.table.uri,
                schema=self.schema,
                mode=self.mode,
                max_bytes_per_file=MAX_BYTES_PER_FILE,
                data_cache_bytes=_gathered(self.schema),
                data_storage_version=STORAGE_VERSION,
                enable_stable_row_ids=True,
                storage_options=self.table.storage_options,
            )
        except (OSError, ValueError) as error:
            # What the pipeline raised comes back through Rust as text; the error itself says more.
            raise feed.error or explain(error, self.table.uri) from error
        return self._output(fragments)

    def _conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.names:
            batch = batch.rename_columns([self.names.get(n, n) for n in batch.schema.names])
        for field in self.schema:
            if not field.nullable and _has_null(batch, field.name):
                raise RunError(
                    f"{self.table.uri}: column '{field.name}' has a null, and is never null there",
                    remedy=f"keep such rows out: a sql stage, where {field.name} is not null",
                    final=True,
                )
        return conform(batch, self.schema)

    def _output(self, fragments: list[Any]) -> ShardOutput:
        files: dict[str, int] = {}
        for fragment in fragments:
            for file in fragment.files:
                files[f"data/{file.path}"] = int(file.file_size_bytes or 0)
                if self._blobs:
                    files |= sidecars(self.folder, file.path)
        # Through JSON, so that what is returned is what the ledger will give back.
        told = json.loads(json.dumps([fragment.to_json() for fragment in fragments]))
        return ShardOutput(
            fragments=tuple(told),
            files=tuple(files),
            rows=sum(fragment.num_rows for fragment in fragments),
            bytes=sum(files.values()),
        )


def _gathered(schema: pa.Schema) -> int | None:
    """Bytes that Lance may gather for the pages of all columns together; None for its own way."""
    wide = any(_width(field.type) >= WIDE_ROW for field in schema)
    return PAGE_BYTES * len(schema) if wide else None


def _width(kind: pa.DataType) -> int:
    """Bytes of each value of `kind`, 0 where they differ."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        return 0


def _has_null(batch: pa.RecordBatch, name: str) -> bool:
    return name not in batch.schema.names or bool(batch.column(name).null_count)


class _Feed:
    """Keeps the exception that a batch's maker raised, which would not come through Rust."""

    def __init__(self, batches: Iterator[pa.RecordBatch], conform: Any) -> None:
        self.batches = batches
        self.conform = conform
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.batches:
                yield self.conform(batch)
        except BaseException as error:
            self.error = error
            raise
