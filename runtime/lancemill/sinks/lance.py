"""The Lance sink: what its modes have in common, and the two that write rows straight into place.

append, overwrite and upsert write fragments into the dataset's own folder, where nobody sees them
until the one commit refers to them. What addColumns writes is no whole row, and waits in a dataset
of the run's own, beside its ledger (see `lance_columns`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from lancemill.errors import Mistake, RunConflict, RunError
from lancemill.sinks import staged
from lancemill.sinks.lance_writer import LanceWriter
from lancemill.sinks.sink import Committed, RunRef, ShardOutput, ShardWriter
from lancemill.sinks.staged import StagedRows, fragments_of
from lancemill.storage import Location, open_store
from lancemill.tables import commit, history
from lancemill.tables.commit import Checkpoint, Proposal
from lancemill.tables.create import create, table_schema
from lancemill.tables.fit import fit, fits_new, storable
from lancemill.tables.history import History
from lancemill.tables.journal import LedgerJournal
from lancemill.tables.table import Table

REPLACES = ("Overwrite", "Restore")
"""Operations after which a dataset is another one."""

CHANGES_ROWS = ("Append", "Update", "Delete", "Merge", "DataReplacement", *REPLACES)
"""Operations that an overwrite may not drop silently."""

CLEANED_AFTER = 24 * 3600.0
"""Age in seconds from which on a run looks whether its files are still there."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which dataset, and what the manifest says about it."""

    table: Table
    storage: object | None = None
    """The storage block that `table.options` are made of."""
    declared: pa.Schema | None = None
    """The schema that a LanceDataset gives."""
    columns: tuple[str, ...] | None = None
    blobs: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As people call it: `cats-224` of s3://lake/cats-224.lance."""
        return PurePosixPath(self.table.uri).name.removesuffix(".lance")

    @property
    def runs(self) -> str:
        """Where the ledgers of its runs lie."""
        return f"{self.table.uri}.runs"


@dataclass(slots=True)
class LanceSink:
    """Appends rows; the other modes differ in what they propose to commit."""

    target: Target
    checkpoint: Checkpoint = lambda _: None
    """For tests that end the process during a commit."""
    needs_row_id: bool = False
    """Whether rows must come with their `_rowid` in the dataset."""
    needs_columns: tuple[str, ...] = ()
    """Columns to keep beside the sink's own."""
    _staged: list[StagedRows] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return self.target.table.uri

    @property
    def storage(self) -> object | None:
        """The storage block, which ledger and quarantine share."""
        return self.target.storage

    # -- before the run

    @property
    def only_missing(self) -> tuple[str, ...]:
        """Columns of which only rows that lack one need be read."""
        return ()

    def target_schema(self) -> pa.Schema | None:
        """The schema that the output must fit: the existing dataset's or the declared one's."""
        dataset = self.target.table.find()
        return self.target.declared if dataset is None else dataset.schema

    def fit(self, schema: pa.Schema) -> list[Mistake]:
        """What keeps rows of `schema` from being written, told before anything runs."""
        mistakes = fits_new(schema, self.target.blobs, "blobs")
        mistakes += fits_new(schema, self.target.key, "key")
        there = self.target_schema()
        if there is not None:
            mistakes += fit(schema, there, self.target.name, columns=self.target.columns)
        mistakes = mistakes or storable(schema, self.target.columns)
        return [below(mistake, "spec.sink.lance") for mistake in mistakes]

    def prepare(self, schema: pa.Schema, run: RunRef, read: int | None = None) -> dict[str, Any]:
        """Create the dataset if it is missing; the version that the run starts from."""
        commit.repair(self.target.table)
        commit.refuse_taken(self.target.table, run)
        dataset = create(self.target.table, self._new_schema(schema))
        return {
            "run": run.run,
            **began_at(dataset),
            "fields": _field_ids(dataset),
        }

    # -- rows

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter:
        return LanceWriter(self.target.table, self._stored_schema(schema), self._folder(base))

    def stage(
        self, outputs: Sequence[ShardOutput], schema: pa.Schema, base: Mapping[str, Any]
    ) -> StagedRows:
        rows = staged.stage(
            self._home(base), self._view_schema(schema, base), fragments_of(outputs), schema.names
        )
        self._staged.append(rows)
        return rows

    def discard(self, outputs: Sequence[ShardOutput], base: Mapping[str, Any]) -> None:
        """Remove exactly the files of outputs that will never be committed."""
        self._forget_staged(base)
        self._folder(base).delete(*(file for output in outputs for file in output.files))

    # -- the commit

    def committed(self, run: RunRef, base: Mapping[str, Any]) -> Committed | None:
        self._refuse_another(run, base)
        return commit.settle(self.target.table, run, base["version"], checkpoint=self.checkpoint)

    def commit(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> Committed:
        """Make the run's rows visible, once, however often it is called and wherever it dies."""
        self._refuse_another(run, base)

        def propose(dataset: Any, past: History) -> Proposal | None:
            self._refuse_cleaned(run, outputs, base)
            self._refuse_behind(run, base, dataset)
            return self._propose(run, outputs, schema, base, dataset, past)

        done = commit.commit_once(
            self.target.table,
            propose,
            run,
            base["version"],
            journal=LedgerJournal(open_store(f"{self.target.runs}/{run.run}", self.storage)),
            checkpoint=self.checkpoint,
        )
        self._forget_staged(base)
        return done

    def last_run(self, pipeline: str) -> str | None:
        """The id of the last run of `pipeline` whose commit is in the dataset."""
        dataset = self.target.table.find()
        return None if dataset is None else history.last_run(dataset, pipeline)

    # -- what modes do in their own way

    def _propose(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
        dataset: Any,
        past: History,
    ) -> Proposal | None:
        from lance import LanceOperation

        fragments = fragments_of(outputs)
        if not fragments and "after" not in base:
            # An incremental run's version says what it has seen, also where all was set aside.
            return None
        self._refuse_replaced(run, past)
        self._refuse_other_fields(run, schema, base, dataset)
        rows = sum(output.rows for output in outputs)
        # Lance lets any two appends in: who comes behind another run sees it by this.
        after = {history.AFTER: base["after"] or ""} if "after" in base else None
        return Proposal(LanceOperation.Append(fragments), rows, dataset.version, properties=after)

    def _home(self, base: Mapping[str, Any]) -> Table:
        """The dataset that shards are written to."""
        return self.target.table

    def _view_schema(self, schema: pa.Schema, base: Mapping[str, Any]) -> Any:
        """The schema, with its field ids, by which staged fragments are read."""
        return self._home(base).open().lance_schema

    def _stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """`schema` with the types that the dataset has."""
        there = self.target.table.open().schema
        return pa.schema([there.field(name) for name in schema.names])

    def _new_schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema of a dataset made for rows of `schema`."""
        if self.target.declared is not None:
            return self.target.declared
        return table_schema(schema, blobs=self.target.blobs, key=self.target.key)

    # -- shared by the modes

    def _folder(self, base: Mapping[str, Any]) -> Location:
        return open_store(self._home(base).uri, self.storage)

    def _forget_staged(self, base: Mapping[str, Any]) -> None:
        for rows in self._staged:
            staged.forget(rows, self._folder(base))
        self._staged.clear()

    def _refuse_another(self, run: RunRef, base: Mapping[str, Any]) -> None:
        """Where the dataset was removed since the run began, its versions and files say nothing
        about one of the same name that was made anew."""
        dataset = self.target.table.find()
        if dataset is not None and dataset.version >= base["version"]:
            began, now = base.get("transaction"), history.transaction_of(dataset, base["version"])
            if began == now or None in (began, now):
                return
        raise RunConflict(
            f"{self.uri} is not there any more as run {run.run} found it: it was removed"
            + ("" if dataset is None else ", and made anew"),
            remedy="start a new run",
            final=True,
        )

    def _refuse_behind(self, run: RunRef, base: Mapping[str, Any], dataset: Any) -> None:
        last = history.last_run(dataset, run.pipeline) if "after" in base else None
        if last not in (None, base.get("after"), run.run):
            raise commit.behind(self.target.table, run, last)

    def _refuse_cleaned(
        self, run: RunRef, outputs: Sequence[ShardOutput], base: Mapping[str, Any]
    ) -> None:
        """Lance's clean-up takes files that no version refers to for leftovers after a week; a
        version that refers to a file that is gone could not be read."""
        if time.time() - base["time"] < CLEANED_AFTER:
            return
        there = set(self._folder(base).list("data"))
        gone = [file for output in outputs for file in output.files if file not in there]
        if gone:
            raise RunError(
                f"{len(gone)} files that run {run.run} has written are gone from {self.uri}: its "
                "clean-up removes what is not committed after a week",
                remedy="start a new run; commit within a week, or clean up less often",
                final=True,
            )

    def _refuse_replaced(self, run: RunRef, past: History) -> None:
        for entry in past.entries:
            if entry.operation in REPLACES:
                raise RunConflict(
                    f"{self.uri} was replaced (version {entry.version}, {entry.operation}) while "
                    f"run {run.run} was going on",
                    kept="the run's shards are kept, but belong to the dataset as it was before",
                    remedy="start a new run",
                    final=True,
                )

    def _refuse_other_fields(
        self, run: RunRef, schema: pa.Schema, base: Mapping[str, Any], dataset: Any
    ) -> None:
        """Fragments name columns by field id: a column dropped or made anew is another one."""
        now = _field_ids(dataset)
        for name in schema.names:
            if name in base["fields"] and now.get(name) != base["fields"][name]:
                raise RunConflict(
                    f"{self.uri}: column '{name}' was dropped or changed while run {run.run} was "
                    "going on",
                    remedy="start a new run",
                    final=True,
                )


@dataclass(slots=True)
class OverwriteSink(LanceSink):
    """Replaces all rows; the versions before stay until they are cleaned up."""

    def target_schema(self) -> pa.Schema | None:
        return self.target.declared

    def _propose(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
        dataset: Any,
        past: History,
    ) -> Proposal | None:
        from lance import LanceOperation

        self._refuse_changed(run, past)
        operation = LanceOperation.Overwrite(self._stored_schema(schema), fragments_of(outputs))
        rows = sum(output.rows for output in outputs)
        return Proposal(operation, rows, dataset.version, strict=True)

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter:
        stored = self._stored_schema(schema)
        return LanceWriter(self.target.table, stored, self._folder(base), mode="overwrite")

    def _view_schema(self, schema: pa.Schema, base: Mapping[str, Any]) -> Any:
        return self._stored_schema(schema)

    def _stored_schema(self, schema: pa.Schema) -> pa.Schema:
        return self._new_schema(schema)

    def _refuse_changed(self, run: RunRef, past: History) -> None:
        changed = [str(e.version) for e in past.entries if e.operation in CHANGES_ROWS]
        if changed or not past.complete:
            which = f"version {', '.join(changed)}" if changed else "versions now cleaned up"
            raise RunConflict(
                f"{self.uri} was changed ({which}) while run {run.run} was going on: overwriting "
                "it now would drop those rows",
                kept="the run's shards are kept",
                remedy="start a new run, which will replace them knowingly",
                final=True,
            )


def began_at(dataset: Any) -> dict[str, Any]:
    """What a run keeps of the version that it starts from."""
    return {
        "version": dataset.version,
        "transaction": history.transaction_of(dataset, dataset.version),
        "time": time.time(),
    }


def _field_ids(dataset: Any) -> dict[str, int]:
    return {field.name(): field.id() for field in dataset.lance_schema.fields()}


def below(mistake: Mistake, path: str) -> Mistake:
    """`mistake` with its path completed."""
    return Mistake(f"{path}.{mistake.path}".rstrip("."), mistake.message)
