"""The Lance sink that merges by key: rows with a known key are replaced, the others are added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.errors import StorageError
from lancemill.sinks import files
from lancemill.sinks.lance import LanceSink
from lancemill.sinks.sink import Committed, RunRef, ShardOutput, ShardWriter
from lancemill.sinks.staged import fragments_of
from lancemill.sources.source import Shard
from lancemill.storage import Location, open_store
from lancemill.tables.commit import Proposal
from lancemill.tables.history import History
from lancemill.tables.upsert import Upsert, refused

REFUSED = "refused/"
"""Where the run's ledger has the rows that were refused: a resumed run tells them again."""


@dataclass(slots=True)
class UpsertSink(LanceSink):
    """Merges a run's rows by key. Columns of the dataset that the run does not make are kept."""

    _merge: Upsert | None = None

    def commit(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> Committed:
        # `super()` needs the class's cell, which slots=True leaves behind.
        done = LanceSink.commit(self, run, outputs, schema, base)
        self._remove_unused(outputs, done)
        return replace(done, set_aside=self._told(run))

    def committed(self, run: RunRef, base: Mapping[str, Any]) -> Committed | None:
        done = LanceSink.committed(self, run, base)
        return None if done is None else replace(done, set_aside=self._told(run))

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter:
        inner = LanceSink.writer(self, schema, base)
        return _WithKeys(inner, self.target.key, self._ledger(base["run"]))

    def _propose(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
        dataset: Any,
        past: History,
    ) -> Proposal | None:
        fragments = fragments_of(outputs)
        if not fragments:
            return LanceSink._propose(self, run, outputs, schema, base, dataset, past)
        self._refuse_replaced(run, past)
        self._refuse_other_fields(run, schema, base, dataset)
        if self._merge is None:
            rows = self.stage(outputs, schema, base)
            self._merge = Upsert(self.target.table, rows, fragments, self.target.key)
            self._tell(run, self._merge.set_aside())
        return self._merge.propose(dataset)

    def _tell(self, run: RunRef, rows: list[dict[str, str]]) -> None:
        """Before the commit: behind it nothing can tell any more which rows were refused."""
        _put_refused(self._ledger(run.run), "merge", rows)

    def _told(self, run: RunRef) -> tuple[Mapping[str, Any], ...]:
        ledger = self._ledger(run.run)
        texts = [ledger.get(name) for name in ledger.list(REFUSED)]
        return tuple(row for text in texts if text is not None for row in json.loads(text))

    def _ledger(self, run: str) -> Location:
        return open_store(f"{self.target.runs}/{run}", self.storage)

    def _remove_unused(self, outputs: Sequence[ShardOutput], done: Committed) -> None:
        """Remove staged and merged files that the commit does not refer to."""
        version = self.target.table.find(done.version)
        if version is None:
            return
        used = {file.path for f in version.get_fragments() for file in f.metadata.files}
        made = {file.path for fragment in fragments_of(outputs) for file in fragment.files}
        made.update([] if self._merge is None else self._merge.written)
        # What cannot be removed now is removed by the dataset's own clean-up.
        with suppress(StorageError):
            files.remove(open_store(self.uri, self.storage), sorted(made - used))
        self._merge = None


@dataclass(frozen=True, slots=True)
class _WithKeys:
    """Writes the rows that have a key; the others are told in the run's ledger."""

    inner: ShardWriter
    key: tuple[str, ...]
    ledger: Location

    def write(self, shard: Shard, batches: Iterator[pa.RecordBatch]) -> ShardOutput:
        without: list[dict[str, str]] = []
        output = self.inner.write(shard, self._with_key(batches, without))
        _put_refused(self.ledger, f"{shard.index:08d}", without)
        return output

    def _with_key(
        self, batches: Iterator[pa.RecordBatch], without: list[dict[str, str]]
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys = batch.select(list(self.key))
            whole = np.ones(batch.num_rows, dtype=bool)
            for column in keys.columns:
                whole &= column.is_valid().to_numpy(zero_copy_only=False)
            if whole.all():
                yield batch
                continue
            without += [refused(row, self.key) for row in keys.filter(pa.array(~whole)).to_pylist()]
            yield batch.filter(pa.array(whole))


def _put_refused(ledger: Location, name: str, rows: list[dict[str, str]]) -> None:
    path = f"{REFUSED}{name}.json"
    if rows:
        ledger.put(path, json.dumps(rows).encode())
    else:
        ledger.delete(path)  # of an attempt that read the source before it was changed
