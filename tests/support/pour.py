"""Pours rows through a sink as a run does: shards to fragments, then one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lancemill.sinks.sink import Committed, RunRef, ShardOutput, Sink
from lancemill.sources.source import Shard


def run_ref(run: str = "r1", pipeline: str = "cats") -> RunRef:
    return RunRef(run=run, pipeline=pipeline, meaning="m-" + run, inputs=("key",))


@dataclass(slots=True)
class Pour:
    """One run of a sink over rows that are cut into shards."""

    sink: Sink
    schema: pa.Schema
    ref: RunRef
    base: dict[str, Any] = field(default_factory=dict)
    outputs: list[ShardOutput] = field(default_factory=list)

    def write(self, shards: Sequence[pa.Table]) -> Pour:
        """Prepare, and write every shard."""
        self.base = self.base or self.sink.prepare(self.schema, self.ref)
        writer = self.sink.writer(self.schema, self.base)
        start = 0
        for index, rows in enumerate(shards):
            shard = Shard(index, start, start + rows.num_rows, rows.nbytes)
            start += rows.num_rows
            self.outputs.append(writer.write(shard, _batches(rows)))
        return self

    def commit(self) -> Committed:
        return self.sink.commit(self.ref, self.outputs, self.schema, self.base)

    def committed(self) -> Committed | None:
        return self.sink.committed(self.ref, self.base)

    def stage(self) -> Any:
        return self.sink.stage(self.outputs, self.schema, self.base)


def pour(sink: Sink, shards: Sequence[pa.Table], run: str = "r1", pipeline: str = "cats") -> Pour:
    """A run whose shards are written and not committed yet."""
    return Pour(sink, shards[0].schema, run_ref(run, pipeline)).write(shards)


def _batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    yield from rows.to_batches(max_chunksize=2)
