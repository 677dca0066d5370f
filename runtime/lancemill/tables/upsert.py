"""Merges a run's rows into a dataset by key.

Rows whose key is there already replace the rows that have it (see `rewrite`); all others are
appended, in the order of their source. Where no key is there already, the run's own fragments are
the new rows, and nothing is written again. The run's keys are held in memory, its rows are not.
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

from lancemill.tables import history, query, rewrite
from lancemill.tables.blobs import conform
from lancemill.tables.commit import Proposal
from lancemill.tables.table import Table

Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint64]

NOWHERE = np.iinfo(np.uint64).max


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

        keep = self.kept()
        known = self._known(dataset)
        there = known.ids != NOWHERE
        if not keep.any():
            return None
        if keep.all() and not there.any():
            operation: Any = LanceOperation.Append(list(self.fragments))
        elif not (keep & there).any():
            operation = LanceOperation.Append(self._append(dataset, keep))
        else:
            operation = self._replace(dataset, keep & there, known)
            operation.new_fragments += self._append(dataset, keep & ~there)
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

    def _known(self, dataset: Any) -> _Known:
        """Which rows of `dataset` have the keys of the run's rows."""
        ids = np.full(self.keys().num_rows, NOWHERE, np.uint64)
        addresses: Ids = np.zeros(0, np.uint64)
        if dataset.count_rows() == 0:
            return _Known(ids, addresses)
        quoted = [query.quoted(name) for name in self.key]
        same = " and ".join(f"staged.{name} = there.{name}" for name in quoted)
        sql = (
            "select position, min(_rowid) as id, list(_rowaddr) as addresses "
            f"from staged join there on {same} group by position"
        )
        scanner = dataset.scanner(columns=list(self.key), with_row_id=True, with_row_address=True)
        with closing(query.connection()) as database:
            database.register("staged", self.keys().filter(pa.array(self.kept())))
            database.register("there", scanner.to_reader())
            found = database.sql(sql).to_arrow_table()
        ids[found.column("position").to_numpy()] = found.column("id").to_numpy()
        lists = found.column("addresses").combine_chunks()
        return _Known(ids, lists.flatten().to_numpy().astype(np.uint64))

    # -- what is written

    def _replace(self, dataset: Any, mask: Mask, known: _Known) -> Any:
        batches = self._chosen(mask)
        ids, addresses = known.ids[mask], known.addresses
        operation = rewrite.replace_rows(dataset, self.table, batches, ids, addresses)
        self._note(operation.new_fragments)
        return operation

    def _append(self, dataset: Any, mask: Mask) -> list[Any]:
        if not mask.any():
            return []
        names = self.rows.schema.names
        stored = pa.schema([dataset.schema.field(name) for name in names])
        batches = (conform(batch, stored) for batch in self._chosen(mask))
        fragments = rewrite.write(self.table, pa.RecordBatchReader.from_batches(stored, batches))
        self._note(fragments)
        return fragments

    def _note(self, fragments: list[Any]) -> None:
        self.written += [file.path for one in fragments for file in one.files]

    def _chosen(self, mask: Mask) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self.rows.scan(self.rows.schema.names):
            part = mask[start : start + batch.num_rows]
            start += batch.num_rows
            if part.any():
                yield batch if part.all() else batch.filter(pa.array(part))


@dataclass(frozen=True, slots=True)
class _Known:
    """Rows of a dataset that have the keys of a run's rows."""

    ids: Ids
    """For each of the run's rows the row id that its key has; NOWHERE for a new key."""
    addresses: Ids
    """Addresses of all rows that have one of the keys: of a key that is there twice, both."""


def refused(row: dict[str, Any], key: Sequence[str]) -> dict[str, str]:
    """What the quarantine is told of a row that was not merged."""
    value = ", ".join(str(row[name]) for name in key)
    if any(row[name] is None for name in key):
        reason, message = "NullKey", f"{', '.join(key)} is null: no row can be found by it"
    else:
        reason, message = "DuplicateKey", f"an earlier row of the run has the key {value}"
    told = {"reason": reason, "message": message, "stage": "sink", "action": "quarantine"}
    return {"key": value, **told}
