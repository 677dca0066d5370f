"""The Parquet sink: one file, row groups of a size that random reads can live with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.sinks.parts import Format, PartsSink
from lancemill.sinks.sink import RunRef
from lancemill.sinks.stream import Ranges, Stream
from lancemill.storage import Location, absolute, is_local

ROW_GROUP_BYTES = 16 << 20
BATCH_ROWS = 1024


class ParquetFormat(Format):
    """Parts are Parquet files; joining them copies their row groups' rows, one after another."""

    suffix = ".parquet"

    def __init__(self, compression: str = "zstd") -> None:
        self.compression = compression

    def write(self, stream: Stream, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        rows = 0
        with self._writer(stream, schema) as writer:
            for group in _groups(schema, batches):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
                rows += group.num_rows
        return rows

    def read(
        self, part: Location, schema: pa.Schema, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        with _open(part) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield batch.select(list(columns))

    def join(
        self, stream: Stream, parts: Sequence[Location], schema: pa.Schema, run: RunRef
    ) -> None:
        said = {
            "lancemill.run": run.run,
            "lancemill.pipeline": run.pipeline,
            "lancemill.meaning": run.meaning,
        }
        with self._writer(stream, schema) as writer:
            for part in parts:
                with _open(part) as file:
                    for index in range(file.num_row_groups):
                        group = file.read_row_group(index).cast(schema)
                        writer.write_table(group, row_group_size=max(1, group.num_rows))
            writer.add_key_value_metadata(said)

    def _writer(self, stream: Stream, schema: pa.Schema) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(stream, schema, compression=self.compression)


class ParquetSink(PartsSink):
    """Rows as one Parquet file."""

    __slots__ = ()

    @classmethod
    def of(cls, spec: Any, base: Path) -> ParquetSink:
        """The sink of a manifest's `sink.parquet`."""
        return cls(absolute(spec.uri, base), spec.storage, ParquetFormat(spec.compression))


def _open(part: Location) -> Any:
    import pyarrow.parquet as pq

    if is_local(part.uri):
        return pq.ParquetFile(part.uri)
    return pq.ParquetFile(Ranges(part))


def _groups(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows as tables of about ROW_GROUP_BYTES."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch.select(schema.names))
        if sum(one.nbytes for one in waiting) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)
