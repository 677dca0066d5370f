"""The Lance sink that adds columns to the rows that the source has read from the same dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.errors import Mistake, RunConflict
from lancemill.sinks.lance import LanceSink, began_at, below
from lancemill.sinks.lance_writer import LanceWriter
from lancemill.sinks.sink import Committed, RunRef, ShardOutput, ShardWriter
from lancemill.sinks.staged import StagedRows, fragments_of
from lancemill.tables import columns, commit, history
from lancemill.tables.columns import ROW, Ids, NewColumns
from lancemill.tables.commit import Proposal
from lancemill.tables.create import create, table_schema
from lancemill.tables.fit import fit, fits_new, storable
from lancemill.tables.history import History
from lancemill.tables.table import Table

ROWID = "_rowid"


@dataclass(slots=True)
class AddColumnsSink(LanceSink):
    """Adds or refreshes columns; the data files of the others stay as they are."""

    refresh: str = "missing"
    """Which values of columns that exist are made anew: `missing` (null) or `all`."""
    needs_row_id: bool = True
    needs_columns: tuple[str, ...] = (ROWID,)

    @property
    def only_missing(self) -> tuple[str, ...]:
        """Columns of which only rows that lack one need be read: where they are not there yet,
        all rows do."""
        return () if self.refresh == "all" else tuple(self.target.columns or ())

    def fit(self, schema: pa.Schema) -> list[Mistake]:
        there = self.target_schema()
        made = [name for name in schema.names if name != ROWID]
        if there is None:
            mistakes = [Mistake("", f"{self.uri} does not exist: addColumns adds to a dataset")]
        else:
            mistakes = fits_new(schema, self.target.blobs, "blobs")
            mistakes += self._fit_named(schema, there, made)
            mistakes = mistakes or storable(schema, self.target.columns)
        return [below(mistake, "spec.sink.lance") for mistake in mistakes]

    def _fit_named(self, schema: pa.Schema, there: pa.Schema, made: list[str]) -> list[Mistake]:
        known = [name for name in made if name in there.names]
        if known and len(known) < len(made):
            new = [name for name in made if name not in there.names]
            return [
                Mistake(
                    "columns",
                    f"{self.target.name} has {', '.join(known)} and has not {', '.join(new)}: one "
                    "run either adds columns or refreshes them; write two pipelines",
                )
            ]
        if not known:
            return []
        values = pa.schema([schema.field(name) for name in made])
        return fit(values, there, self.target.name, columns=self.target.columns, partial=True)

    def prepare(self, schema: pa.Schema, run: RunRef, read: int | None = None) -> dict[str, Any]:
        commit.refuse_taken(self.target.table, run)
        dataset = self.target.table.open()
        made = [name for name in schema.names if name != ROWID]
        base = {
            "run": run.run,
            **began_at(dataset),
            "columns": made,
            "refresh": set(made) <= set(dataset.schema.names),
            "read": dataset.version if read is None else read,
        }
        # Before any row is made: values for rows that were moved or replaced would fit nowhere.
        self._since(run, dataset, base)
        create(self._home(base), self._stored_schema(schema))
        return base

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter:
        home, stored = self._home(base), self._stored_schema(schema)
        return LanceWriter(home, stored, self._folder(base), names={ROWID: ROW})

    def stage(
        self, outputs: Sequence[ShardOutput], schema: pa.Schema, base: Mapping[str, Any]
    ) -> StagedRows:
        visible = pa.schema([schema.field(name) for name in base["columns"]])
        return LanceSink.stage(self, outputs, visible, base)

    def commit(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> Committed:
        done = LanceSink.commit(self, run, outputs, schema, base)
        self._finish(run, base)
        return done

    def committed(self, run: RunRef, base: Mapping[str, Any]) -> Committed | None:
        done = LanceSink.committed(self, run, base)
        if done is not None:
            self._finish(run, base)
        return done

    def _propose(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
        dataset: Any,
        past: History,
    ) -> Proposal | None:
        if not fragments_of(outputs):
            return None
        past = self._since(run, dataset, base)
        made = self._made(run, outputs, schema, base)
        return made.propose(dataset, _changed(dataset, past, base["read"]))

    _values: NewColumns | None = None

    def _made(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> NewColumns:
        """The run's values; kept between attempts, with what they have written."""
        if self._values is None:
            stored = self._stored_schema(schema)
            said = columns.origin(run)
            rows = sum(output.rows for output in outputs)
            self._values = NewColumns(
                view=self.stage(outputs, schema, base).view,
                fields=[_with_metadata(stored.field(name), said) for name in base["columns"]],
                bytes_per_row=sum(output.bytes for output in outputs) // max(1, rows),
                refresh=base["refresh"],
                only_missing=self.refresh == "missing",
            )
        return self._values

    def _home(self, base: Mapping[str, Any]) -> Table:
        uri = f"{self.target.runs}/{base['run']}/rows.lance"
        return Table(uri, self.target.table.options)

    def _stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns as the dataset stores them, behind the row ids."""
        there = self.target.table.open().schema
        made = [one for one in schema if one.name != ROWID]
        new = table_schema(pa.schema(made), blobs=self.target.blobs)
        fields = [there.field(f.name) if f.name in there.names else f for f in new]
        return pa.schema([pa.field(ROW, pa.uint64()), *(f.with_nullable(True) for f in fields)])

    def _since(self, run: RunRef, dataset: Any, base: Mapping[str, Any]) -> History:
        """What happened since the version that the rows were read from; RunConflict where they
        cannot be found any more."""
        past = history.since(dataset, base["read"])
        self._refuse_replaced(run, past)
        self._refuse_moved(run, dataset, past)
        return past

    def _refuse_moved(self, run: RunRef, dataset: Any, past: History) -> None:
        moved = [entry.version for entry in past.entries if entry.operation == "Rewrite"]
        if moved and not dataset.has_stable_row_ids:
            raise RunConflict(
                f"{self.uri} was compacted (version {moved[0]}) after the version that run "
                f"{run.run} reads, and has no stable row ids to find its rows by",
                remedy="start a new run, and compact before or after it",
                final=True,
            )

    def _finish(self, run: RunRef, base: Mapping[str, Any]) -> None:
        """Behind the commit: say who made the values, and remove what it was made from."""
        from lance import LanceDataset

        if base["refresh"]:
            columns.say_origin(self.target.table.open(), base["columns"], run)
        self._values = None
        home = self._home(base)
        with suppress(OSError, ValueError):
            LanceDataset.drop(home.uri, home.storage_options, ignore_not_found=True)


def _changed(dataset: Any, past: History, read: int) -> Ids:
    """Ids of rows that others replaced since version `read`: values made of what they were before
    are not theirs. Without stable ids a row that is replaced has another id, and is not found.

    Where somebody replaced rows, all that changed since then count, and where the history is
    gone; to refresh columns alone replaces none.
    """
    replaced = any(getattr(e.transaction.operation, "new_fragments", None) for e in past.entries)
    if not dataset.has_stable_row_ids or (past.complete and not replaced):
        return np.empty(0, np.uint64)
    where = f"_row_last_updated_at_version > {read}"
    found = dataset.to_table(columns=[], filter=where, with_row_id=True).column("_rowid")
    return np.asarray(found.to_numpy(), np.uint64)


def _with_metadata(one: pa.Field, metadata: Mapping[str, str]) -> pa.Field:
    told = {key.encode(): value.encode() for key, value in metadata.items()}
    return one.with_metadata({**(one.metadata or {}), **told})
