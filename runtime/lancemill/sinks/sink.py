"""The contract of a sink: prepared once, written shard by shard anywhere, committed once.

What a worker writes for a shard is invisible until the driver's one commit. Everything that passes
between worker, ledger and driver is JSON, so that it can lie in the ledger and cross processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from lancemill.errors import Mistake
from lancemill.sources.source import Shard


@dataclass(frozen=True, slots=True)
class RunRef:
    """Who commits: what a version of the dataset says about its origin."""

    run: str
    pipeline: str
    meaning: str
    """Hash of what decides the output."""
    inputs: tuple[str, ...] = ()
    """Source columns that the output was made from (for a new column's field metadata)."""


@dataclass(frozen=True, slots=True)
class ShardOutput:
    """What a worker wrote for one shard."""

    fragments: tuple[Mapping[str, Any], ...]
    """Fragment metadata (Lance) or part descriptions, in row order."""
    files: tuple[str, ...]
    """Files made, relative to the sink, so that an abort removes exactly those."""
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The outcome of a commit."""

    version: int | None
    """The dataset's version that holds the run's rows; None where a sink has no versions."""
    rows: int
    already: bool = False
    """True when an earlier attempt of the same run had committed."""
    set_aside: tuple[Mapping[str, Any], ...] = field(default=())
    """Rows refused at the commit itself (duplicate keys of an upsert): key, reason, message."""


class Staged(Protocol):
    """A run's output before it is committed: can be queried, is not seen by readers."""

    @property
    def rows(self) -> int: ...

    def query(self, sql: str) -> pa.Table:
        """DuckDB over the run's rows as table `output`; reads only the columns that `sql` names."""
        ...

    def head(self, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The first rows, blobs as bytes (for the report's contact sheet)."""
        ...


class ShardWriter(Protocol):
    """Writes shards, one call each; may be called from several threads for different shards."""

    def write(self, shard: Shard, batches: Iterator[pa.RecordBatch]) -> ShardOutput: ...


class Sink(Protocol):
    """Where rows go."""

    @property
    def uri(self) -> str:
        """The dataset; its ledger lies at `<uri>.runs`, its quarantine at `<uri>.quarantine`."""
        ...

    @property
    def storage(self) -> Any:
        """The manifest's storage block of the dataset, which ledger and quarantine share."""
        ...

    @property
    def needs_row_id(self) -> bool:
        """Whether rows must come with their `_rowid` in the dataset."""
        ...

    @property
    def needs_columns(self) -> tuple[str, ...]:
        """Columns that the sink needs beside those that it stores (`_rowid`, to add columns)."""
        ...

    @property
    def only_missing(self) -> tuple[str, ...]:
        """Columns of the dataset of which only rows that lack one need be read; none: all rows."""
        ...

    def target_schema(self) -> pa.Schema | None:
        """The schema that the output must fit: the existing dataset's or the declared one's."""
        ...

    def fit(self, schema: pa.Schema) -> list[Mistake]:
        """What keeps output of this schema from being written here, with manifest paths."""
        ...

    def prepare(self, schema: pa.Schema, run: RunRef, read: int | None = None) -> dict[str, Any]:
        """Create what is missing, race-free; the base (a version to commit on), as JSON.

        `read` is the version of its dataset that a Lance source has listed.

        An incremental run adds `after` to it: the run of its pipeline that it goes on from.
        """
        ...

    def writer(self, schema: pa.Schema, base: Mapping[str, Any]) -> ShardWriter: ...

    def stage(
        self, outputs: Sequence[ShardOutput], schema: pa.Schema, base: Mapping[str, Any]
    ) -> Staged: ...

    def committed(self, run: RunRef, base: Mapping[str, Any]) -> Committed | None:
        """What this run has committed already, if it has: asked of the dataset itself."""
        ...

    def commit(
        self,
        run: RunRef,
        outputs: Sequence[ShardOutput],
        schema: pa.Schema,
        base: Mapping[str, Any],
    ) -> Committed:
        """Make the run's rows visible, once, however often it is called and wherever it dies."""
        ...

    def discard(self, outputs: Sequence[ShardOutput], base: Mapping[str, Any]) -> None:
        """Remove the files of outputs that will never be committed."""
        ...

    def last_run(self, pipeline: str) -> str | None:
        """The id of the last run of `pipeline` whose commit is in the dataset (for incremental)."""
        ...
