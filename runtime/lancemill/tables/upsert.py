"""Merges a run's rows into a dataset by key.

Rows whose key is there already go through Lance's merge, which keeps their row ids and the columns
that the run does not make. All others are new: they are written apart, because a merge puts new
rows into the order of its threads, and a dataset is to have its source's. Where no row is there
already, the run's own fragments are the new rows, and nothing is written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.tables import history, query
from lancemill.tables.blobs import conform
from lancemill.tables.commit import Proposal
from lancemill.tables.create import STORAGE_VERSION
from lancemill.tables.table import Table

Mask = npt.NDArray[np.bool_]

MERGE_BYTES = 64 << 20
"""Size of a batch given to Lance's merge, which keeps the order of rows within a batch only."""


@dataclass(slots=True)
class Upsert:
    """A run's rows, staged, and the merges that were made of them."""

    table: Table
    rows: query.Rows
    fragments: Sequence[Any]
    """The fragments that `rows` reads, for when all of them can be used as they are."""
    key: Sequence[str]
    written: list[str] = field(default_factory=list)
    """Data files that merges wrote, of which only the last may have been committed."""
    _keys: pa.Table | None = None
    _kept: Mask | None = None

    def propose(self, dataset: Any) -> Proposal | None:
        """The transaction that merges the rows into `dataset`."""
        from lance import LanceOperation

        keep, there = self.kept(), self._there(dataset)
        if not keep.any():
            return None
        if keep.all() and not there.any():
            operation: Any = LanceOperation.Append(list(self.fragments))
        elif not (keep & there).any():
            operation = LanceOperation.Append(self._write(dataset, keep))
        else:
            operation = self._merge(dataset, keep & there)
            operation.new_fragments += self._write(dataset, keep & ~there)
        properties = {history.KEY: json.dumps(list(self.key))}
        return Proposal(operation, int(keep.sum()), dataset.version, properties=properties)

    # -- which rows

    def set_aside(self) -> list[dict[str, str]]:
        """Rows that cannot be merged, because an earlier row of the run has their key."""
        keys = self.keys().select(list(self.key))
        aside = np.flatnonzero(~self.kept())
        return [refused(row, self.key) for row in keys.take(pa.array(aside)).to_pylist()]

    def keys(self) -> pa.Table:
        """The rows' keys, in order, with their `position`."""
        if self._keys is None:
            # Without metadata: that of a primary key is in the dataset, not in what it reads.
            fields = [self.rows.schema.field(name).remove_metadata() for name in self.key]
            schema = pa.schema(fields)
            batches = [conform(batch, schema) for batch in self.rows.scan(self.key)]
            found = pa.Table.from_batches(batches, schema)
            position = pa.array(np.arange(found.num_rows, dtype=np.int64))
            self._keys = found.append_column("position", position)
        return self._keys

    def kept(self) -> Mask:
        """True for the first row of each key."""
        if self._kept is None:
            keys = self.keys()
            firsts = keys.group_by(list(self.key)).aggregate([("position", "min")])
            mask = np.zeros(keys.num_rows, dtype=bool)
            mask[firsts.column("position_min").to_numpy()] = True
            self._kept = mask
        return self._kept

    def _there(self, dataset: Any) -> Mask:
        """True for rows whose key `dataset` has."""
        mask = np.zeros(self.keys().num_rows, dtype=bool)
        if dataset.count_rows() == 0:
            return mask
        quoted = ['"' + name.replace('"', '""') + '"' for name in self.key]
        same = " and ".join(f"staged.{name} = there.{name}" for name in quoted)
        sql = f"select position from staged where exists (select 1 from there where {same})"
        with closing(query.connection()) as database:
            database.register("staged", self.keys())
            database.register("there", dataset.scanner(columns=list(self.key)).to_reader())
            found = database.sql(sql).to_arrow_table()
        mask[found.column("position").to_numpy()] = True
        return mask

    # -- what is written

    def _merge(self, dataset: Any, mask: Mask) -> Any:
        builder = dataset.merge_insert(list(self.key)).when_matched_update_all()
        rows = self._reader(dataset, mask)
        reader = pa.RecordBatchReader.from_batches(rows.schema, _joined(rows))
        transaction, _ = builder.conflict_retries(0).execute_uncommitted(reader)
        operation = transaction.operation
        self.written += [file.path for one in operation.new_fragments for file in one.files]
        return operation

    def _write(self, dataset: Any, mask: Mask) -> list[Any]:
        from lance.fragment import write_fragments

        if not mask.any():
            return []
        reader = self._reader(dataset, mask)
        fragments: list[Any] = write_fragments(
            reader,
            self.table.uri,
            schema=reader.schema,
            mode="append",
            data_storage_version=STORAGE_VERSION,
            enable_stable_row_ids=True,
            storage_options=self.table.storage_options,
        )
        self.written += [file.path for one in fragments for file in one.files]
        return fragments

    def _reader(self, dataset: Any, mask: Mask) -> pa.RecordBatchReader:
        names = self.rows.schema.names
        stored = pa.schema([dataset.schema.field(name) for name in names])
        return pa.RecordBatchReader.from_batches(stored, self._chosen(stored, mask))

    def _chosen(self, stored: pa.Schema, mask: Mask) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self.rows.scan(stored.names):
            part = mask[start : start + batch.num_rows]
            start += batch.num_rows
            if part.any():
                chosen = batch if part.all() else batch.filter(pa.array(part))
                yield conform(chosen, stored)


def _joined(batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches' rows in batches of about MERGE_BYTES."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.nbytes for one in waiting) >= MERGE_BYTES:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


def refused(row: dict[str, Any], key: Sequence[str]) -> dict[str, str]:
    """What the quarantine is told of a row that was not merged."""
    value = ", ".join(str(row[name]) for name in key)
    if any(row[name] is None for name in key):
        reason, message = "NullKey", f"{', '.join(key)} is null: no row can be found by it"
    else:
        reason, message = "DuplicateKey", f"an earlier row of the run has the key {value}"
    told = {"reason": reason, "message": message, "stage": "sink", "action": "quarantine"}
    return {"key": value, **told}
