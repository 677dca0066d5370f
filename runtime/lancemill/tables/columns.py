"""Adds columns to rows that exist, without touching the files of the others.

A run's workers see rows in the order of their source, and a shard seldom ends where a fragment of
the dataset does; a data file of Lance, on the other hand, holds all rows of its fragment. So
workers write plain rows with their row ids beside the run's ledger, and the driver lays them out
by fragment at the commit: only the new columns' bytes pass through it, several fragments at once,
streaming. What others did meanwhile (rows deleted, fragments compacted or added) is then simply
what the driver finds; fragments that did not change between two attempts are not written again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.sinks.sink import RunRef
from lancemill.tables.blobs import blob_columns, conform, take_rows
from lancemill.tables.commit import Proposal

ROW = "lancemill_row"
"""Column of the staged rows with the row id that each belongs to: `_rowid` is Lance's own name."""

BATCH_BYTES = 16 << 20
THREADS = 4

Ids = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]


def origin(run: RunRef) -> dict[str, str]:
    """Field metadata of a column that `run` made."""
    return {
        "lancemill.pipeline": run.pipeline,
        "lancemill.meaning": run.meaning,
        "lancemill.inputs": json.dumps(list(run.inputs)),
    }


def missing(columns: Collection[str]) -> str:
    """Lance's filter for rows that lack one of `columns`."""
    return " or ".join(f"`{name}` is null" for name in columns)


@dataclass(slots=True)
class NewColumns:
    """A run's values for rows of a dataset, staged."""

    view: Any
    """The staged rows, as a `lance.LanceDataset`."""
    fields: Sequence[pa.Field]
    """The columns as the dataset stores them."""
    bytes_per_row: int
    refresh: bool
    """True where the columns exist: their values are replaced."""
    only_missing: bool
    """With `refresh`: only values that are null."""
    _ids: Ids | None = None
    _positions: Positions | None = None
    _changed: Ids | None = None
    _written: dict[Any, Any] = field(default_factory=dict)
    """Data files of earlier attempts, by what they were written for."""
    _schema: Any = None

    def propose(self, dataset: Any, changed: Ids) -> Proposal | None:
        """The transaction that gives the columns to `dataset`, but not to the rows `changed`."""
        self._read_ids()
        self._changed = changed
        with ThreadPoolExecutor(THREADS, "lancemill-columns") as pool:
            make = self._refreshed if self.refresh else self._widened
            made = list(pool.map(lambda one: make(dataset, one), dataset.get_fragments()))
        rows = sum(count for count, _ in made)
        if rows == 0:
            return None
        operation = self._update(made) if self.refresh else self._widen(made)
        return Proposal(operation, rows, dataset.version)

    # -- columns that are not there yet

    def _widen(self, made: list[tuple[int, Any]]) -> Any:
        from lance import LanceOperation

        return LanceOperation.Merge([metadata for _, metadata in made], self._schema)

    def _widened(self, dataset: Any, fragment: Any) -> tuple[int, Any]:
        """How many rows of `fragment` have new values, and its metadata with their file."""
        positions = self._positions_of(_row_ids(fragment))
        rows = int((positions >= 0).sum())
        metadata = fragment.metadata
        if rows == 0:
            return 0, metadata
        paths = tuple(file.path for file in metadata.files)
        known = (fragment.fragment_id, paths, metadata.physical_rows, str(dataset.lance_schema))
        if known not in self._written:
            schema = pa.schema(self.fields)
            reader = pa.RecordBatchReader.from_batches(schema, self._laid_out(positions))
            merged, self._schema = fragment.merge_columns(reader)
            self._written[known] = merged.files[-1]
        return rows, replace(metadata, files=[*metadata.files, self._written[known]])

    def _laid_out(self, positions: Positions) -> Iterator[pa.RecordBatch]:
        """A value for every row of a fragment, null where the run has none."""
        schema = pa.schema(self.fields)
        for some in self._pieces(positions):
            there = some >= 0
            found = self._take(some[there])
            index = np.cumsum(there) - 1
            spread = pa.array(index, pa.int64(), mask=~there)
            columns = [_plain(column).take(spread) for column in found.columns]
            yield conform(pa.RecordBatch.from_arrays(columns, names=schema.names), schema)

    # -- columns that are there

    def _update(self, made: list[tuple[int, Any]]) -> Any:
        from lance import LanceOperation

        changed = [one for rows, one in made if rows]
        return LanceOperation.Update(
            updated_fragments=[metadata for metadata, _, _ in changed],
            fields_modified=sorted({field for _, fields, _ in changed for field in fields}),
            update_mode="rewrite_columns",
            updated_fragment_offsets={metadata.id: offsets for metadata, _, offsets in changed},
        )

    def _refreshed(self, dataset: Any, fragment: Any) -> tuple[int, Any]:
        """How many rows of `fragment` get other values, and what `update_columns` made of it."""
        where = missing([one.name for one in self.fields]) if self.only_missing else None
        ids = _row_ids(fragment, where)
        positions = self._positions_of(ids)
        ids, positions = ids[positions >= 0], positions[positions >= 0]
        if len(ids) == 0:
            return 0, None
        schema = pa.schema([pa.field("_rowid", pa.uint64()), *self.fields])
        reader = pa.RecordBatchReader.from_batches(schema, self._with_ids(schema, ids, positions))
        return len(ids), fragment.update_columns(reader, "_rowid", with_offsets=True)

    def _with_ids(
        self, schema: pa.Schema, ids: Ids, positions: Positions
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        for some in self._pieces(positions):
            found = self._take(some)
            rowid = pa.array(ids[start : start + len(some)])
            start += len(some)
            columns = [rowid, *(_plain(column) for column in found.columns)]
            yield conform(pa.RecordBatch.from_arrays(columns, names=schema.names), schema)

    # -- the staged rows

    def _read_ids(self) -> None:
        """Row ids and places of all staged rows, 16 bytes each; the first of a doubled id wins."""
        if self._ids is None:
            column = self.view.to_table(columns=[ROW]).column(ROW)
            self._ids, first = np.unique(column.to_numpy(), return_index=True)
            self._positions = first.astype(np.int64)

    def _positions_of(self, ids: Ids) -> Positions:
        """Where the staged rows of `ids` are; -1 for those that there are none of."""
        assert self._ids is not None and self._positions is not None
        assert self._changed is not None
        if len(self._ids) == 0:
            return np.full(len(ids), -1, np.int64)
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        known = (self._ids[at] == ids) & ~np.isin(ids, self._changed)
        return np.where(known, self._positions[at], -1)

    def _pieces(self, positions: Positions) -> Iterator[Positions]:
        rows = max(1, min(8192, BATCH_BYTES // max(1, self.bytes_per_row)))
        for start in range(0, len(positions), rows):
            yield positions[start : start + rows]

    def _take(self, positions: Positions) -> pa.RecordBatch:
        names = [one.name for one in self.fields]
        return take_rows(self.view, positions.tolist(), names, blob_columns(self.view.schema))


def say_origin(dataset: Any, columns: Collection[str], run: RunRef) -> None:
    """Put into the columns' metadata who made their values, if it says something else."""
    wanted = origin(run)
    updates = {}
    for name in columns:
        said = dataset.schema.field(name).metadata or {}
        if any(said.get(key.encode()) != value.encode() for key, value in wanted.items()):
            updates[name] = wanted
    if updates:
        dataset.update_field_metadata(updates)


def _row_ids(fragment: Any, where: str | None = None) -> Ids:
    found = fragment.to_table(columns=[], filter=where, with_row_id=True).column("_rowid")
    ids: Ids = found.to_numpy().astype(np.uint64)
    return ids


def _plain(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values
