"""Sinks that end in one object: shards become parts beside the ledger, the commit joins them.

    <uri>                       appears when all of it is there, in place of what was there before
    <uri>.runs/<run>/parts/     one part for each shard that has rows
    <uri>.runs/<run>/object.json  written behind the object: the run is done
    <uri>.runs/last.json        the last run of each pipeline

Joining the parts again gives the same bytes, so a commit that died is simply done again; it is
never done once the run is marked as done, since a later run may have put its own object there.
"""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lancemill.errors import Mistake, StorageError
from lancemill.sinks.sink import Committed, RunRef, ShardOutput, ShardWriter
from lancemill.sinks.stream import Stream, whole
from lancemill.sources.source import Shard
from lancemill.storage import Location, open_store
from lancemill.tables import query
from lancemill.tables.commit import Checkpoint

DONE = "object.json"
LAST = "last.json"


class Format(ABC):
    """How rows are written to a part, read back, and joined."""

    suffix: str

    @abstractmethod
    def write(self, stream: Stream, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        """Write a part; its number of rows."""

    @abstractmethod
    def read(
        self, part: Location, schema: pa.Schema, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """The part's `columns`, in order."""

    @abstractmethod
    def join(
        self, stream: Stream, parts: Sequence[Location], schema: pa.Schema, run: RunRef
    ) -> None:
        """Write the object that holds the rows of all parts, in order."""


@dataclass(slots=True)
class PartsSink:
    """One object made of parts."""

    uri: str
    storage: object | None
    format: Format
    checkpoint: Checkpoint = lambda _: None
    needs_row_id: bool = False
    needs_columns: tuple[str, ...] = ()

    # -- before the run

    @property
    def only_missing(self) -> tuple[str, ...]:
        """None: the object is replaced as a whole."""
        return ()

    def target_schema(self) -> pa.Schema | None:
        """None: the object is replaced as a whole."""
        return None

    def fit(self, schema: pa.Schema) -> list[Mistake]:
        """Nothing, where a format says nothing else: any rows can be written."""
        return []

    def prepare(self, schema: pa.Schema, run: RunRef, read: int | None = None) -> dict[str, Any]:
        return {"run": run.run}

    # -- rows

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter:
        return _PartWriter(self._run(base["run"]), schema, self.format)

    def stage(
        self, outputs: Sequence[ShardOutput], schema: pa.Schema, base: Mapping[str, Any]
    ) -> StagedParts:
        rows = sum(output.rows for output in outputs)
        return StagedParts(self._parts(outputs, base), schema, self.format, rows)

    def discard(self, outputs: Sequence[ShardOutput], base: Mapping[str, Any]) -> None:
        """Remove exactly the parts of outputs that will never be committed."""
        self._run(base["run"]).delete(*(file for output in outputs for file in output.files))

    # -- the commit

    def committed(self, run: RunRef, base: Mapping[str, Any]) -> Committed | None:
        told = self._run(run.run).get(DONE)
        if told is None:
            return None
        return Committed(version=None, rows=json.loads(told)["rows"])

    def commit(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> Committed:
        """Put the object in place, once; an object without rows is written too."""
        done = self.committed(run, base)
        if done is not None:
            return Committed(version=None, rows=done.rows, already=True)
        self.checkpoint("proposed")
        try:
            with whole(open_store(self.uri, self.storage)) as stream:
                self.format.join(stream, self._parts(outputs, base), schema, run)
                self._refuse_done(run, base)
        except (StorageError, OSError):
            # A driver that was faster has put the object in place, or removed the parts.
            done = self.committed(run, base)
            if done is None:
                raise
            return Committed(version=None, rows=done.rows, already=True)
        self.checkpoint("committed")
        rows = sum(output.rows for output in outputs)
        self._note_last(run)
        self._run(run.run).put(DONE, json.dumps({"rows": rows}).encode())
        self.checkpoint("settled")
        with suppress(StorageError):
            self._forget_parts(base)
        return Committed(version=None, rows=rows)

    def _refuse_done(self, run: RunRef, base: Mapping[str, Any]) -> None:
        """StorageError, before the object appears, when another driver has finished the run: a
        later run's object may stand there by now."""
        if self.committed(run, base) is not None:
            raise StorageError(f"{self.uri}: run {run.run} has been finished by another process")

    def _forget_parts(self, base: Mapping[str, Any]) -> None:
        """Remove all parts, also those of attempts that died before they could tell of them."""
        folder = self._run(base["run"])
        folder.delete(*folder.list("parts/"))

    def last_run(self, pipeline: str) -> str | None:
        """The id of the last run of `pipeline` that put its object in place."""
        last: str | None = self._last().get(pipeline)
        return last

    # -- places

    def _run(self, run: str) -> Location:
        return open_store(f"{self.uri}.runs/{run}", self.storage)

    def _parts(self, outputs: Sequence[ShardOutput], base: Mapping[str, Any]) -> list[Location]:
        folder = self._run(base["run"])
        return [folder.child(file) for output in outputs for file in output.files]

    def _last(self) -> dict[str, Any]:
        told = open_store(f"{self.uri}.runs", self.storage).get(LAST)
        return {} if told is None else dict(json.loads(told))

    def _note_last(self, run: RunRef) -> None:
        last = self._last() | {run.pipeline: run.run}
        open_store(f"{self.uri}.runs", self.storage).put(LAST, json.dumps(last).encode())


@dataclass(frozen=True, slots=True)
class StagedParts:
    """Parts that are not joined yet, readable as one table in their order."""

    parts: Sequence[Location]
    schema: pa.Schema
    format: Format
    rows: int

    def query(self, sql: str) -> pa.Table:
        """DuckDB over the run's rows as table `output`; reads only the columns that `sql` names."""
        return query.query(sql, self)

    def head(self, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The first rows."""
        names = list(self.schema.names if columns is None else columns)
        some: list[pa.RecordBatch] = []
        for batch in self.scan(names):
            if sum(one.num_rows for one in some) >= rows:
                break
            some.append(batch)
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.Table.from_batches(some, schema).slice(0, rows)

    def scan(
        self, columns: Sequence[str], only_nulls: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            yield from self.format.read(part, self.schema, columns)


@dataclass(frozen=True, slots=True)
class _PartWriter:
    folder: Location
    schema: pa.Schema
    format: Format

    def write(self, shard: Shard, batches: Iterator[pa.RecordBatch]) -> ShardOutput:
        """One part with the shard's rows; none for no rows."""
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return ShardOutput((), (), 0, 0)
        # An attempt that was overtaken may still write: each has its own name.
        name = f"parts/{shard.index:08d}-{uuid.uuid4().hex[:8]}{self.format.suffix}"
        with whole(self.folder.child(name)) as stream:
            rows = self.format.write(stream, self.schema, _chain(first, batches))
        return ShardOutput(({"part": name, "rows": rows},), (name,), rows, stream.tell())


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
